"""gdb with greenlet/gdb/cress-gdb.py on a busy server, alive and as a core file: the same
greenlets, in the same state and waiting on the same objects, as in the server's own dump."""

import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "support"))
import cress_server as cress  # noqa: E402

SLOW = cress.app("slow")
HELPER = str(cress.SOURCE / "greenlet" / "gdb" / "cress-gdb.py")
GDB = shutil.which("gdb")
WAITERS = 200 if cress.SANITIZED else 1000
GDB_TIME = 120
HANDLER = "GET /: waits on sleep, "  # in a dump
HINT = "run the program with CRESS_GUARD=mprotect"
GUARDS_BY_MADVISE = tuple(map(int, re.findall(r"\d+", os.uname().release)[:2])) >= (6, 13)


def gdb(*arguments, commands):
    options = [option for command in commands for option in ("-ex", command)]
    done = subprocess.run(
        [GDB, "-nx", "-batch", "-iex", "set debuginfod enabled off", "-iex", "set pagination off",
         "-ex", f"source {HELPER}", *options, *arguments],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=GDB_TIME, errors="replace")
    return done.stdout, done.stderr


def without_times(state):
    return re.sub(r"(, (since|for) |; spawned by ).*", "", state)


def listed(text):
    """What `info greenlets` says: {number: state}."""
    lines = re.findall(r"^[ *] (\d+) +.*?: ((?:waits on|rests|runs|is ready|not started).*)$", text,
                       re.MULTILINE)
    return {int(number): without_times(state) for number, state in lines}


def dumped(text):
    """The same of a server's dump. That it rests "until ..." is said by the dump only."""
    pairs = re.findall(r"^  \S.*?: ((?:waits on|rests|runs|is ready|not started).*)\n"
                       r"    greenlet (\d+), ", text, re.MULTILINE)
    return {int(number): without_times(state).split(" until ")[0] for state, number in pairs}


def pieces(text):
    """What `greenlet apply all ...` says of each: {number: text}."""
    return {int(piece.split()[0]): piece
            for piece in re.split(r"^Greenlet ", text, flags=re.MULTILINE)[1:]}


def frames(text):
    """The functions of each greenlet in the output of `greenlet apply all bt`: {number: [...]}."""
    return {number: re.findall(r"^#\d+ +(?:0x[0-9a-f]+ in )?(\w+)", piece, re.MULTILINE)
            for number, piece in pieces(text).items()}


def sites(text):
    """Where each was spawned, as `info greenlets` says it, without the line's number."""
    return re.findall(r"; spawned by (\w+ \(\S+):\d+\)$", text, re.MULTILINE)


@unittest.skipUnless(GDB, "there is no gdb")
@unittest.skipIf("thread" in os.environ.get("CRESS_SANITIZE", ""),
                 "it keeps a signal for the greenlet that ran when it came")
class Gdb(cress.ServerTest):
    def start(self, **environment):
        server = self.serve(SLOW, "--worker-connections", "2000", "--request-timeout", "0",
                            "--header-timeout", "0", "--max-blocking-time", "0",
                            environment=environment)
        for _ in range(WAITERS):
            self.connect(server).send(cress.request("/?ms=600000"))
        cress.eventually(lambda: self.dump(server).count(HANDLER) == WAITERS, "all are waiting")
        return server

    def dump(self, server):
        before = len(re.findall("Dumped\n", server.log()))
        server.signal(signal.SIGUSR2)
        server.await_log("Dumped\n", before + 1)
        return server.log().split("Handling signal: usr2")[-1]

    def own_list(self, server):
        greenlets = dumped(self.dump(server))
        runs = [number for number, state in greenlets.items() if state == "runs"]
        self.assertEqual(len(runs), 1)  # the one that dumps
        del greenlets[runs[0]]
        self.assertGreaterEqual(len(greenlets), WAITERS)
        return greenlets

    def check_frames(self, text, greenlets):
        stacks = frames(text)
        self.assertEqual(set(stacks), set(greenlets))
        handlers = [stack for stack in stacks.values() if "application" in stack]
        self.assertEqual(len(handlers), WAITERS)
        for stack in handlers:
            self.assertLess(stack.index("cress_sleep"), stack.index("application"))
        for number, stack in stacks.items():
            if greenlets[number].startswith("waits on"):
                self.assertEqual(stack[-1], "context_entry", number)

    def test_alive(self):
        server = self.start()
        own = self.own_list(server)
        text, errors = gdb("-p", str(server.pid),
                           commands=["info greenlets", "greenlet apply all bt", "detach"])
        self.assertEqual(listed(text), own, errors)
        self.check_frames(text, own)
        self.assertNotIn(HINT, text)
        spawned = [site.rpartition("/")[2] for site in sites(text)]
        self.assertEqual(len(spawned), len(own))
        self.assertEqual(spawned.count("connection.c"), WAITERS)
        self.assertEqual(server.ask("/?ms=0").status, 200)  # it goes on

    def test_one_of_them(self):
        server = self.start()
        number = max(self.own_list(server))
        text, errors = gdb(
            "-p", str(server.pid),
            commands=["greenlet", f"greenlet {number}", "bt", "frame function application", "info locals",
                      "greenlet", "greenlet off", "bt", "greenlet", "greenlet 999999",
                      f"greenlet apply 1 {number} bt 1", "greenlet apply x", "detach"])
        self.assertIn(f"[greenlet {number} (greenlet-{number}), waits on sleep", text)
        self.assertRegex(text, r"(?m)^#\d+ .* application \(")
        self.assertRegex(text, r"(?m)^ms = ")
        self.assertEqual(text.count("No greenlet is selected."), 2)
        self.assertIn("Greenlet 1 (main): waits on event 0x", text)
        self.assertIn("there is no greenlet 999999", errors)
        self.assertIn("greenlet apply all|NUMBERS COMMAND", errors)

    def test_help(self):
        text, _ = gdb(commands=["help info greenlets"])
        self.assertIn("reckoned from the last time that the hub read the clock", text)
        self.assertIn("greenlet-N", text)

    @unittest.skipIf(cress.SANITIZED, "a sanitizer's shadow makes terabytes of a core")
    def test_core(self):
        server = self.start(CRESS_GUARD="mprotect")
        own = self.own_list(server)
        with tempfile.TemporaryDirectory() as folder:
            core = os.path.join(folder, "core")
            alive, errors = gdb("-p", str(server.pid),
                                commands=["info greenlets", f"generate-core-file {core}", "detach"])
            self.assertTrue(os.path.exists(core), errors)
            text, errors = gdb(cress.CRESS, core,
                               commands=["info greenlets", "greenlet apply all bt"])
        self.assertEqual(listed(alive), own)
        self.assertEqual(listed(text), own, errors)
        self.check_frames(text, own)
        self.assertNotIn(HINT, text)

    @unittest.skipIf(cress.SANITIZED, "a sanitizer's shadow makes terabytes of a core")
    def test_core_without_stacks(self):
        """gdb leaves out what it cannot read from end to end: it says so."""
        server = self.start()
        own = self.own_list(server)
        number = max(own)
        with tempfile.TemporaryDirectory() as folder:
            core = os.path.join(folder, "core")
            _, errors = gdb("-p", str(server.pid), commands=[f"generate-core-file {core}", "detach"])
            self.assertTrue(os.path.exists(core), errors)
            text, errors = gdb(cress.CRESS, core,
                               commands=["info greenlets", f"greenlet {number}", "greenlet apply all bt"])
        self.assertEqual(listed(text), own, errors)
        self.assertEqual(HINT in text.partition("\nGreenlet ")[0], GUARDS_BY_MADVISE)
        stacks = frames(text)
        for number, piece in pieces(text).items():
            self.assertEqual(stacks[number][-1:] != ["context_entry"], GUARDS_BY_MADVISE, piece)
            self.assertEqual(HINT in piece, GUARDS_BY_MADVISE, piece)

    @unittest.skipIf(cress.SANITIZED, "a sanitizer's shadow makes terabytes of a core")
    @unittest.skipUnless(pathlib.Path("/proc/sys/kernel/core_pattern").read_text() == "core\n",
                         "cores go elsewhere on this machine")
    def test_core_by_the_kernel(self):
        """With the guards that the kernel prefers."""
        with tempfile.TemporaryDirectory() as folder:
            server = cress.Server(SLOW, "--request-timeout", "0", "--max-blocking-time", "0",
                                  cwd=folder)
            self.addCleanup(lambda: server.process.returncode is None and server.process.kill())
            resource.prlimit(server.pid, resource.RLIMIT_CORE,
                             (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            with server.connect() as client:
                client.send(cress.request("/?ms=600000"))
                cress.eventually(lambda: self.dump(server).count(HANDLER) == 1, "it waits")
                own = self.own_list_of(server)
                server.signal(signal.SIGABRT)
                self.assertEqual(server.wait(), -signal.SIGABRT)
            cores = list(pathlib.Path(folder).glob("core*"))
            self.assertEqual(len(cores), 1)
            text, errors = gdb(cress.CRESS, str(cores[0]),
                               commands=["info greenlets", "greenlet apply all bt"])
        self.assertEqual(listed(text), own, errors)
        self.assertEqual(sum("application" in stack for stack in frames(text).values()), 1)
        self.assertNotIn(HINT, text)

    def own_list_of(self, server):
        return {number: state for number, state in dumped(self.dump(server)).items()
                if state != "runs"}


if __name__ == "__main__":
    unittest.main()
