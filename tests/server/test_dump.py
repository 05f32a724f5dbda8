"""What a running server tells about itself: SIGUSR2 and the watcher of handlers that do not wait."""

import ctypes.util
import fcntl
import os
import pathlib
import re
import signal
import socket
import sys
import tempfile
import threading
import unittest

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "support"))
import cress_server as cress  # noqa: E402

SLOW = cress.app("slow")
WAITERS = 100 if cress.SANITIZED else 1000
THREAD_SANITIZER = "thread" in os.environ.get("CRESS_SANITIZE", "")
HAS_LIBDW = ctypes.util.find_library("dw") is not None


def threads_of(pid):
    return len(os.listdir(f"/proc/{pid}/task"))


@unittest.skipIf(THREAD_SANITIZER, "it keeps a signal for the greenlet that ran when it came")
class Dump(cress.ServerTest):
    def dump(self, server):
        """The lines of a dump, once it is there."""
        before = len(re.findall(r"Dumped\n", server.log()))
        server.signal(signal.SIGUSR2)
        server.await_log(r"Dumped\n", before + 1)
        return server.log().split("Handling signal: usr2")[-1].splitlines()[1:-1]

    def park(self, server, count, query="ms=600000"):
        clients = [self.connect(server) for _ in range(count)]
        for number, client in enumerate(clients):
            client.send(cress.request(f"/?{query}&n={number}"))
        return clients

    def in_flight(self, server, pattern):
        return [line for line in self.dump(server) if re.match(pattern, line)]

    def test_every_waiter_is_named_with_what_it_waits_on(self):
        server = self.serve(SLOW, "--worker-connections", "2000", "--keep-alive", "60",
                            "--request-timeout", "0", "--max-blocking-time", "0")
        self.park(server, WAITERS)
        pattern = r"  GET /\S* ?.*: waits on sleep, since \d+\.\d{3} s, for \d+\.\d{3} s at most$"
        cress.eventually(lambda: len(self.in_flight(server, pattern)) == WAITERS,
                         f"{WAITERS} requests are waiting")
        lines = self.dump(server)
        for line in lines:  # nobody waits on something that has no name
            if re.match(r"  \S.*: ", line) and "waits on" in line:
                self.assertRegex(line, r"waits on (sleep|(watched )?descriptor \d+|\S.* 0x[0-9a-f]+)")
        self.assertEqual(sum("is ready" in line for line in lines), 0)
        text = "\n".join(lines)
        self.assertIn("  dump: runs", text)
        self.assertIn("  main: waits on event 0x", text)
        self.assertGreaterEqual(text.count("    stands where greenlet "), WAITERS - 1)
        self.assertLess(len(text), 400 * (WAITERS + 100))
        self.assertRegex(text, r"KiB of stack touched")
        if HAS_LIBDW:
            self.assertRegex(text, r"#\d+ +application \(apps/slow\.c:\d+\)")
            self.assertRegex(text, r"#\d+ +cress_sleep \(greenlet/hub\.c:\d+\)")

    def test_requests_are_served_during_a_dump(self):
        server = self.serve(SLOW, "--worker-connections", "2000", "--request-timeout", "0",
                            "--max-blocking-time", "0")
        self.park(server, 200)
        for _ in range(3):
            server.signal(signal.SIGUSR2)
            self.assertEqual(server.ask("/?ms=0").body, b"slept 0 ms\n")
        self.dump(server)

    def test_connections_at_rest(self):
        server = self.serve(SLOW, "--keep-alive", "60", "--max-blocking-time", "0")
        client = self.connect(server)
        self.assertEqual(client.get("/?ms=0").status, 200)
        cress.eventually(lambda: self.in_flight(
            server, r"  .*: rests until descriptor \d+ can be read, since "), "it rests")

    def test_it_goes_to_the_log_file(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "error.log")
            process = cress.subprocess.Popen(
                [cress.CRESS, "-b", "127.0.0.1:0", "--error-logfile", str(path), SLOW],
                stdin=cress.subprocess.DEVNULL, stderr=cress.subprocess.PIPE, text=True)
            self.addCleanup(process.kill)
            cress.eventually(lambda: path.exists() and "Listening" in path.read_text(),
                             "the server listens")
            process.send_signal(signal.SIGUSR2)
            cress.eventually(lambda: "Dumped" in path.read_text(), "the dump is in the file")
            self.assertIn("\n  dump: runs\n", path.read_text())
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.communicate(timeout=cress.DEADLINE)[1], "")
            self.assertEqual(process.returncode, 0)


    def test_one_at_a_time(self):
        """Each takes a thread and megabytes; nobody reads what they write."""
        output, its_end = os.pipe()
        process = cress.subprocess.Popen([cress.CRESS, "-b", "127.0.0.1:0", SLOW],
                                         stdin=cress.subprocess.DEVNULL, stderr=its_end)
        self.addCleanup(process.kill)
        os.close(its_end)
        said = b""
        while b"Listening" not in said:
            said += os.read(output, 4096)
        port = int(re.search(rb"Listening at: \S+:(\d+) ", said)[1])
        sock = socket.create_connection(("127.0.0.1", port), timeout=cress.DEADLINE)
        client = cress.Client(sock)
        self.addCleanup(client.close)
        fcntl.fcntl(output, fcntl.F_SETPIPE_SZ, 4096)  # not before: a full pipe loses lines
        before = threads_of(process.pid)
        for _ in range(100):
            process.send_signal(signal.SIGUSR2)
            self.assertEqual(client.get("/?ms=0").status, 200)
            self.assertLessEqual(threads_of(process.pid), before + 1)
        process.send_signal(signal.SIGTERM)
        with open(output, encoding="utf-8") as rest:
            self.assertIn("Handling signal: usr2", rest.read())
        self.assertEqual(process.wait(cress.DEADLINE), 0)


class Stall(cress.ServerTest):
    def stalls(self, server):
        return re.findall(r"\[WARNING\] greenlet GET /\S*.* has not let the others run for \d\.\d+ s",
                          server.log())

    def test_a_handler_that_computes_is_named_with_its_function(self):
        server = self.serve(SLOW)
        answer = server.ask("/?ms=300&how=compute")
        self.assertRegex(answer.body, rb"computed \d+ in 300 ms\n")
        server.await_log(r"\[WARNING\] greenlet GET /\S*.* has not let the others run for \d\.\d+ s\n")
        if HAS_LIBDW:
            server.await_log(r"#\d+ +compute \(apps/slow\.c:\d+\)\n")
            server.await_log(r"#\d+ +application \(apps/slow\.c:\d+\)\n")

    def test_once_each_time(self):
        server = self.serve(SLOW)
        for count in (1, 2):
            server.ask(f"/stall-{count}?ms=1000&how=compute")
            cress.eventually(lambda: len(self.stalls(server)) >= count, f"report {count}")
            self.assertEqual(len(self.stalls(server)), count)
            self.assertIn(f"GET /stall-{count} ", self.stalls(server)[-1])

    def test_it_can_be_switched_off(self):
        server = self.serve(SLOW, "--max-blocking-time", "0")
        server.ask("/?ms=500&how=compute")
        self.assertEqual(self.stalls(server), [])

    def test_other_requests_wait_and_are_not_named(self):
        server = self.serve(SLOW)  # names have the path, without the query
        paths = ["/hog?ms=1000&how=compute"] + [f"/modest-{i}?ms=1" for i in range(4)]
        answers = []
        threads = [threading.Thread(target=lambda path=path: answers.append(server.ask(path).body))
                   for path in paths]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(answers), len(paths))
        cress.eventually(lambda: self.stalls(server), "the report")
        for line in self.stalls(server):
            self.assertIn("greenlet GET /hog ", line)


if __name__ == "__main__":
    unittest.main()
