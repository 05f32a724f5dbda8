"""Greenlets in gdb, in a live process or a core file:

    (gdb) source cress-gdb.py
    (gdb) info greenlets                 who there is, and what each waits on
    (gdb) greenlet 7                     frames are those of greenlet 7 from now on: bt, up, info locals
    (gdb) greenlet                       which one that is
    (gdb) greenlet off                   back to what the thread itself does
    (gdb) greenlet apply all bt          a command for each; or for some: greenlet apply 3 7-9 bt

The program (or libcress) must have its debug information: a stripped one shows nothing.
x86-64 only.

How it is done: registers of a core file can't be set, so none is. Frame 0 stays what the thread
is doing; while a greenlet is selected, an unwinder says that frame 0 was called from where
the greenlet is parked, and leaves frame 0 out of backtraces. When the program goes on, nothing is selected
any more.

A core file by generate-core-file (gcore) lacks the stacks where their guards are made by madvise:
backtraces end after a few frames then. The program must have run with CRESS_GUARD=mprotect. Cores written by
the kernel are whole.
"""

import functools

import gdb
import gdb.frames
import gdb.unwinder

NEW, RUNNING, RESTING = 0, 1, 2
NOT_ARMED = (1 << 32) - 1
IN_LINE = 1 << 31  # timers.c: a place in the line
JOIN = "the end of"  # its object is the line of a greenlet
WORD = 8
LOOKED_AT = 64  # words of a stack in use: some are not zero
LOST = ("its stack is not in this core file, as generate-core-file leaves out memory that has guards: "
        "run the program with CRESS_GUARD=mprotect")
# What boost.context's jump_fcontext pushes above the control words.
PUSHED = ["r12", "r13", "r14", "r15", "rbx", "rbp", "rip"]


def pointer(value):
    return int(value.cast(gdb.lookup_type("unsigned long")))


def read_word(address):
    word = gdb.lookup_type("unsigned long").pointer()
    return int(gdb.Value(address).cast(word).dereference())


def variable_at(address):
    """The name of the variable that holds address, or None."""
    text = gdb.execute(f"info symbol {address}", to_string=True)
    return None if text.startswith("No symbol") else text.split(" in section ")[0].replace(" ", "")


@functools.lru_cache(maxsize=4096)
def code_at(address):
    """The function, and the line if that is known."""
    where = gdb.find_pc_line(address)
    block = gdb.block_for_pc(address)
    while block and not block.function:
        block = block.superblock
    name = block.function.name if block else variable_at(address) or f"{address:#x}"
    return f"{name} ({where.symtab.filename}:{where.line})" if where.symtab else name


def text_of(value):
    return value.string(errors="replace")


class Greenlet:
    def __init__(self, hub, value):
        self.hub, self.value = hub, value
        self.number = int(value["id"])

    @property
    def name(self):
        extra = self.value["extra"]
        return text_of(extra["name"]) if extra and extra["name"] else f"greenlet-{self.number}"

    @property
    def runs(self):
        return pointer(self.hub.value["current"]) == pointer(self.value.address)

    def wait(self):
        """What it waits on, as cress_print_greenlets says it."""
        what, number = text_of(self.value["what"]), pointer(self.value["object"])
        if "#" in what:
            return what.replace("#", str(number), 1)
        if number == 0:
            return what
        if what == JOIN:
            return f"{what} {number:#x} ({self.joined(number).name})"
        variable = variable_at(number)
        return f"{what} {number:#x}" + (f" ({variable})" if variable else "")

    def joined(self, line):
        kind = self.value.type.strip_typedefs()
        offset = next(f.bitpos // 8 for f in kind.fields() if f.name == "done")
        return Greenlet(self.hub, gdb.Value(line - offset).cast(kind.pointer()).dereference())

    def limit(self):
        timer = int(self.value["timer"])
        if timer == NOT_ARMED:
            return None
        part = "line" if timer & IN_LINE else "heap"
        entries = self.hub.value["timers"][part]["entries"]
        return float(entries[timer & ~IN_LINE]["deadline"])

    def state(self):
        state, parked = int(self.value["state"]), bool(self.value["parked"])
        if state == NEW:
            text = "not started"
        elif state == RESTING and parked:
            text = "rests"
        elif parked:
            text = f"waits on {self.wait()}"
        else:
            text = "runs" if self.runs else "is ready"
        if parked:
            text += self.times()
        return text + (" (being killed)" if self.value["cancelled"] else "")

    def times(self):
        now, limit = float(self.hub.value["now"]), self.limit()
        text = f", since {max(now - float(self.value['since']), 0):.3f} s"
        if limit is not None:
            text += f", for {max(limit - now, 0):.3f} s at most"
        return text

    def site(self):
        return code_at(pointer(self.value["site"]) - 1)

    def stack_is_lost(self):
        """Is the selected greenlet's stack not in the core file? It reads as zeros then."""
        if not self.value["stack"]:
            return False
        extent = self.value["stack"]["extent"]
        bottom, size = pointer(extent["bottom"]), int(extent["size"])
        at = pointer(gdb.newest_frame().read_register("rsp")) if self.runs else self.registers()["rsp"]
        words = min(LOOKED_AT, (bottom + size - at) // WORD)
        if at < bottom or words <= 0:
            return False
        try:
            return not any(gdb.selected_inferior().read_memory(at, words * WORD).tobytes())
        except gdb.MemoryError:
            return True

    def registers(self):
        """Those that are known where it is parked, by name; None: it has no frames."""
        if not self.value["stack"] or int(self.value["state"]) != RUNNING:
            return None
        context = self.value["context"]
        if any(field.name == "pc" for field in context.type.fields()):
            return {name: pointer(context[field])
                    for name, field in (("rip", "pc"), ("rsp", "sp"), ("rbp", "fp"))}
        saved = pointer(context["pointer"])
        try:
            registers = {name: read_word(saved + WORD * (1 + i)) for i, name in enumerate(PUSHED)}
        except gdb.MemoryError:
            raise gdb.GdbError(LOST) from None
        registers["rsp"] = saved + WORD * (1 + len(PUSHED))
        return registers


class Hub:
    def __init__(self, value):
        self.value = value
        self.thread_number = int(value["thread"])

    def greenlets(self):
        at = self.value["greenlets"]
        while at:
            yield Greenlet(self, at.dereference())
            at = at["next"]

    def thread(self):
        for thread in gdb.selected_inferior().threads():
            if thread.ptid[1] == self.thread_number:
                return thread
        return None


def hubs():
    symbol = gdb.lookup_global_symbol("hub_all") or gdb.lookup_static_symbol("hub_all")
    if symbol is None:
        raise gdb.GdbError("no symbol hub_all: not a program with cress, or one without debug information")
    at = symbol.value()
    while at:
        yield Hub(at.dereference())
        at = at["other"]


def all_greenlets():
    return [g for hub in hubs() for g in hub.greenlets()]


def find(number):
    """That of the selected thread's hub before others."""
    found = [g for g in all_greenlets() if g.number == number]
    thread = gdb.selected_thread()
    found.sort(key=lambda g: g.hub.thread() != thread)
    if not found:
        raise gdb.GdbError(f"there is no greenlet {number}")
    return found[0]


# ---- selecting ---------------------------------------------------------------------

class Selection:
    """The greenlet whose frames are shown, and the thread's frame 0 that they are put behind."""
    greenlet = None
    registers = None
    at = None  # (rsp, rip) of that frame

    @classmethod
    def clear(cls, *_):
        if cls.greenlet is not None:
            cls.greenlet = cls.registers = cls.at = None
            gdb.invalidate_cached_frames()

    @classmethod
    def set(cls, greenlet):
        cls.clear()
        thread = greenlet.hub.thread()
        if thread is None:
            raise gdb.GdbError("its thread is not there")
        thread.switch()
        if greenlet.runs:
            gdb.newest_frame().select()
            return
        registers = greenlet.registers()
        if registers is None:
            raise gdb.GdbError(f"greenlet {greenlet.number} has no frames: it {greenlet.state()}")
        frame = gdb.newest_frame()
        cls.at = tuple(pointer(frame.read_register(name)) for name in ("rsp", "rip"))
        cls.greenlet, cls.registers = greenlet, registers
        gdb.invalidate_cached_frames()
        gdb.newest_frame().older().select()


class FrameId:
    def __init__(self, sp, pc):
        self.sp, self.pc = sp, pc


class Unwinder(gdb.unwinder.Unwinder):
    def __init__(self):
        super().__init__("cress greenlets")

    def __call__(self, pending):
        if Selection.greenlet is None:
            return None
        if tuple(pointer(pending.read_register(name)) for name in ("rsp", "rip")) != Selection.at:
            return None
        # Below the greenlet's own: callers must not seem to lie beneath it.
        word = gdb.lookup_type("unsigned long")
        sp = gdb.Value(Selection.registers["rsp"] - WORD).cast(word)
        info = pending.create_unwind_info(FrameId(sp, pending.read_register("rip")))
        for name, value in Selection.registers.items():
            info.add_saved_register(name, gdb.Value(value).cast(word))
        return info


class FrameFilter:
    """Leaves out the thread's own frame."""

    def __init__(self):
        self.name, self.priority, self.enabled = "cress greenlets", 1, True
        gdb.frame_filters[self.name] = self

    def filter(self, frames):
        if Selection.greenlet is None:
            return frames
        return (f for f in frames if f.inferior_frame().level() > 0)


# ---- commands ------------------------------------------------------------------------

def show(greenlet):
    mark = "*" if Selection.greenlet and Selection.greenlet.number == greenlet.number else " "
    print(f"{mark} {greenlet.number:<6} {greenlet.name}: {greenlet.state()}; "
          f"spawned by {greenlet.site()}")


def hint():
    """After the frames of the selected greenlet, or of one that runs."""
    print(f"({LOST})")


class InfoGreenlets(gdb.Command):
    """Lists all greenlets: number, name, state, what each waits on, and where it was spawned.

"since": how long it has waited; "for ... at most": how much is left of its limit. Both are
reckoned from the last time that the hub read the clock, not from now: while the hub sleeps,
or a greenlet runs on and on, that may be long ago.

Names are those given by cress_set_name; others are called greenlet-N. What the program's
own reports say of a greenlet beside that (a request, by a `describe` hook) is made by running
the program's code, which gdb does not do."""

    def __init__(self):
        super().__init__("info greenlets", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        found = list(hubs())
        code_at.cache_clear()
        for hub in found:
            if len(found) > 1:
                print(f"Hub of LWP {hub.thread_number}:")
            for greenlet in hub.greenlets():
                show(greenlet)
        if not found:
            print("No hub runs.")


class SelectGreenlet(gdb.Command):
    """greenlet N: frames are those of that greenlet, until the program goes on.
greenlet: which one that is. greenlet off: none.
greenlet apply all|NUMBERS COMMAND: the command for each of them.

Cores made by generate-core-file have the stacks only if the program ran with
CRESS_GUARD=mprotect."""

    def __init__(self):
        super().__init__("greenlet", gdb.COMMAND_STACK, prefix=True)

    def invoke(self, argument, from_tty):
        if argument == "off":
            Selection.clear()
        elif argument:
            Selection.set(find(int(argument)))
            self.tell()
        elif Selection.greenlet:
            self.tell()
        else:
            print("No greenlet is selected.")

    @staticmethod
    def tell():
        if not Selection.greenlet:
            print("It runs: its frames are the thread's own.")
            return
        greenlet = Selection.greenlet
        print(f"[greenlet {greenlet.number} ({greenlet.name}), {greenlet.state()}]")
        print(f"[spawned by {greenlet.site()}]")
        gdb.execute("frame")
        if greenlet.stack_is_lost():
            hint()


def chosen(words):
    """The greenlets that "all" or "3 7-9" stand for, and what follows."""
    if words and words[0] == "all":
        return all_greenlets(), words[1:]
    greenlets = []
    while words and words[0].replace("-", "").isdigit():
        first, _, last = words[0].partition("-")
        greenlets += [find(n) for n in range(int(first), int(last or first) + 1)]
        words = words[1:]
    return greenlets, words


class ApplyGreenlet(gdb.Command):
    """greenlet apply all|NUMBERS COMMAND"""

    def __init__(self):
        super().__init__("greenlet apply", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        greenlets, command = chosen(argument.split())
        if not greenlets or not command:
            raise gdb.GdbError("greenlet apply all|NUMBERS COMMAND")
        before, thread = Selection.greenlet, gdb.selected_thread()
        try:
            for greenlet in greenlets:
                self.apply(greenlet, " ".join(command))
        finally:
            Selection.clear()
            thread.switch()
            if before is not None:
                Selection.set(before)

    @staticmethod
    def apply(greenlet, command):
        print(f"\nGreenlet {greenlet.number} ({greenlet.name}): {greenlet.state()}")
        try:
            if not greenlet.runs and greenlet.registers() is None:
                print("(no frames)")
                return
            Selection.set(greenlet)
        except gdb.GdbError as error:
            print(f"({error})")
            return
        gdb.execute(command)
        if greenlet.stack_is_lost():
            hint()


gdb.unwinder.register_unwinder(None, Unwinder(), replace=True)
FrameFilter()
InfoGreenlets()
SelectGreenlet()
ApplyGreenlet()
for event in (gdb.events.cont, gdb.events.exited, gdb.events.inferior_call):
    event.connect(Selection.clear)
