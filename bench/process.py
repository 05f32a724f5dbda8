"""A server as a process tree: started on a core, accounted for, stopped.

CPU time is what the scheduler counted, in nanoseconds, user and system together:
the first field of /proc/PID/task/TID/schedstat, summed over all threads of the
tree. (utime and stime are counted in ticks of 1 to 10 ms and guess the split.)
"""

import os
import resource
import signal
import subprocess
import time


def raise_descriptor_limit():
    """Servers and wrk inherit it. Returns the limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def pick_cores():
    """One core for the server, one for the client: the same one if there is no other."""
    cores = sorted(os.sched_getaffinity(0))
    return cores[0], cores[min(1, len(cores) - 1)]


def on_core(core, command):
    """Pinned, and told to end should the driver be killed outright."""
    return ["setpriv", "--pdeathsig", "TERM", "taskset", "-c", str(core), *command]


def _read(path):
    """A file of /proc; empty when its process has gone."""
    try:
        with open(path) as f:
            return f.read()
    except OSError:
        return ""


def _threads(pid):
    try:
        return os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []


def tree(pid):
    """pid and its descendants, parents first."""
    pids = [pid]
    for parent in pids:
        for tid in _threads(parent):
            pids += [int(p) for p in _read(f"/proc/{parent}/task/{tid}/children").split()]
    return pids


class Process:
    """One server. As a context manager it is stopped on the way out, whatever happens."""

    def __init__(self, command, log_path):
        self.command = command
        self.log_path = log_path
        with open(log_path, "wb") as log:
            # A session of its own: Ctrl-C reaches the driver alone, which then stops it.
            self.popen = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                          start_new_session=True)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()

    def running(self):
        return self.popen.poll() is None

    def output(self):
        with open(self.log_path, errors="replace") as log:
            return log.read().strip()

    def tree(self):
        return tree(self.popen.pid)

    def cpu_ns(self):
        ns = 0
        for pid in self.tree():
            for tid in _threads(pid):
                fields = _read(f"/proc/{pid}/task/{tid}/schedstat").split()
                ns += int(fields[0]) if fields else 0
        return ns

    def resident_bytes(self):
        """Rss, exact: VmRSS of status lags behind by up to 64 pages a thread."""
        kib = 0
        for pid in self.tree():
            for line in _read(f"/proc/{pid}/smaps_rollup").splitlines():
                if line.startswith("Rss:"):
                    kib += int(line.split()[1])
        return kib * 1024

    def sockets(self):
        """How many descriptors of the tree are sockets."""
        count = 0
        for pid in self.tree():
            for fd in os.listdir(f"/proc/{pid}/fd"):
                try:
                    count += os.readlink(f"/proc/{pid}/fd/{fd}").startswith("socket:")
                except OSError:
                    pass
        return count

    def settle(self, quiet=0.3, limit=20.0):
        """Waits until the tree has used next to no CPU for `quiet` seconds."""
        end = time.monotonic() + limit
        before = self.cpu_ns()
        while time.monotonic() < end:
            time.sleep(quiet)
            after = self.cpu_ns()
            if after - before < quiet * 0.01 * 1e9:
                return
            before = after

    def send_signal(self, pids, signum):
        for pid in pids:
            try:
                os.kill(pid, signum)
            except ProcessLookupError:
                pass

    def stop(self, first=None, patience=10.0):
        """SIGINT (a quick stop) to the first process (or to `first`: a tracer's child), and SIGKILL to all
        that are left after `patience` seconds."""
        if not self.running():
            return
        pids = self.tree()
        self.send_signal([first or self.popen.pid], signal.SIGINT)
        try:
            self.popen.wait(patience)
        except subprocess.TimeoutExpired:
            print(f"  does not stop on SIGINT, killed: {' '.join(self.command)}", flush=True)
            self.send_signal(pids, signal.SIGKILL)
            self.popen.wait()
