"""cress fails none of the probes of tests/probes/, and each of them is one that can be failed."""

import pathlib
import socket
import sys
import threading
import unittest

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path += [str(TESTS / "support"), str(TESTS / "probes")]
import cress_server as cress  # noqa: E402
from probes import PROBES  # noqa: E402
from run import judge_all  # noqa: E402
from wire import FINISH, Outcome, talk  # noqa: E402

DATE = b"Date: Sun, 22 Nov 2026 22:00:00 GMT\r\n"


class Cress(cress.ServerTest):
    def test_fails_none(self):
        server = self.serve(cress.module("probe_echo"), "--keep-alive", "20")
        failures = judge_all(PROBES, server.address, patience=cress.DEADLINE)
        self.assertEqual([f"{probe.category}/{probe.name}: {wrong}; came: {outcome}"
                          for probe, wrong, outcome in failures], [])
        self.assertNotIn("[ERROR]", server.log())


def answer(status, body=b"", fields=b""):
    return b"HTTP/1.1 %d -\r\n%sContent-Length: %d\r\n%s\r\n%s" % (status, DATE, len(body), fields,
                                                                body)


def echo(method=b"GET", target=b"/x", body=b""):
    return answer(200, b"method=%s\ntarget=%s\nhost=a.example\nprobe=\nbody=%s" %
                  (method, target, body))


MARKED = echo(target=b"/marker")
# What servers without any understanding might say to whatever is sent.
BLUNT = {
    "silence": (b"", False),
    "an end": (b"", True),
    "200": (echo(), False),
    "200 for all": (echo() + MARKED, True),
    "200 for what is hidden": (echo() + echo(target=b"/smuggled") + MARKED, True),
    "400": (answer(400, fields=b"Connection: close\r\n"), True),
    "500": (answer(500, fields=b"Connection: close\r\n"), True),
    "no HTTP": (b"what?\r\n", True),
}


class Probes(unittest.TestCase):
    def outcome(self, name, probe):
        raw, closed = BLUNT[name]
        return Outcome(raw, probe.methods, closed, [])

    def test_are_many(self):
        self.assertGreaterEqual(len(PROBES), 194)
        names = [(probe.category, probe.name) for probe in PROBES]
        self.assertEqual(len(names), len(set(names)))
        for probe in PROBES:
            self.assertRegex(probe.clause, r"\d", "a clause")

    def test_each_can_be_failed(self):
        for probe in PROBES:
            with self.subTest(probe=f"{probe.category}/{probe.name}"):
                judged = [probe.judge(self.outcome(name, probe))
                          for name in ("silence", "200 for all", "400")]
                self.assertTrue(any(judged))

    def test_what_hides_is_seen(self):
        for probe in PROBES:
            judged = probe.judge(self.outcome("200 for what is hidden", probe))
            self.assertIsNotNone(judged, probe.name)

    def test_blunt_servers_fail_many(self):
        for name in BLUNT:
            failed = sum(bool(probe.judge(self.outcome(name, probe))) for probe in PROBES)
            self.assertGreater(failed, len(PROBES) // 4, name)

    def test_no_probe_is_passed_by_what_is_no_http(self):
        for probe in PROBES:
            self.assertIsNotNone(probe.judge(self.outcome("no HTTP", probe)), probe.name)


class Answers(unittest.TestCase):
    """What is told apart in what comes."""

    def broken(self, raw, methods=(), closed=True):
        return Outcome(raw, methods, closed, []).broken

    def test_sound(self):
        chunks = (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                  b"1;a\r\nx\r\n0\r\nA: b\r\n\r\n")
        raw = b"HTTP/1.1 100 Continue\r\n\r\n" + chunks + answer(404, b"no")
        outcome = Outcome(raw, (), True, [])
        self.assertIsNone(outcome.broken)
        self.assertEqual(outcome.interim, [100])
        self.assertEqual([(a.status, a.body) for a in outcome.finals], [(200, b"x"), (404, b"no")])

    def test_without_content(self):
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
        self.assertIsNone(self.broken(head + answer(200), methods=["HEAD"]))
        self.assertIsNotNone(self.broken(head + answer(200), closed=False))
        self.assertIsNone(self.broken(b"HTTP/1.1 204 -\r\n\r\n"))
        self.assertIsNotNone(self.broken(b"HTTP/1.1 204 -\r\n\r\nx"))

    def test_malformed(self):
        for raw in (b"HTTP/1.1 204 -\r\nContent-Length: 0\r\n\r\n",
                    b"HTTP/1.1 200\r\n\r\n",
                    b"HTTP/2 200 OK\r\n\r\n",
                    b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
                    b"HTTP/1.1 200 OK\r\nA : b\r\nContent-Length: 0\r\n\r\n",
                    b"HTTP/1.1 200 OK\r\nA: \x01\r\nContent-Length: 0\r\n\r\n",
                    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
                    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
                    b"0\r\n\r\n",
                    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nx\r\n0\r\n\r\n",
                    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nx",
                    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nx",
                    b"HTTP/1.1 200 OK\r\nContent-"):
            self.assertIsNotNone(self.broken(raw), raw)


class Talking(unittest.TestCase):
    """What comes over a socket from a server that says the same to everything."""

    def talk(self, data, closes, patience=cress.DEADLINE):
        listener = socket.create_server(("127.0.0.1", 0))
        done = threading.Event()

        def serve():
            sock, _ = listener.accept()
            with sock:
                while sock.recv(65536):
                    pass
                sock.sendall(data)
                if not closes:
                    done.wait(cress.DEADLINE)
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            return talk(listener.getsockname(), [b"GET / HTTP/1.1\r\n", FINISH], (), patience)
        finally:
            done.set()
            thread.join()
            listener.close()

    def test_closed(self):
        outcome = self.talk(answer(200, b"x"), closes=True)
        self.assertTrue(outcome.closed)
        self.assertEqual([a.body for a in outcome.finals], [b"x"])

    def test_left_open(self):
        outcome = self.talk(answer(200), closes=False, patience=0.5)
        self.assertFalse(outcome.closed)

    def test_end_without_a_word(self):
        outcome = self.talk(b"", closes=True)
        self.assertTrue(outcome.closed)
        self.assertEqual((outcome.finals, outcome.broken), ([], None))


if __name__ == "__main__":
    unittest.main()
