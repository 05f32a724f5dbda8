"""Applications that fail or break the rules: what their clients see, what the log says."""

import errno
import pathlib
import re
import signal
import sys
import unittest

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "support"))
import cress_server as cress  # noqa: E402

HANDLERS = cress.module("handlers")


class Misbehaving(cress.ServerTest):
    def setUp(self):
        self.server = self.serve(HANDLERS)

    def cut(self, path):
        """What the client of a connection that is cut received."""
        with self.server.connect() as client:
            client.send(cress.request(path))
            try:
                return client.rest()
            except ConnectionResetError:
                return client.buffer

    def logged(self, pattern):
        self.server.await_log(rf"\[ERROR\].*handlers\.so:application.*{pattern}")

    def test_errno_becomes_a_status(self):
        for error, status in ((errno.EIO, 500), (errno.ETIMEDOUT, 503), (errno.EMSGSIZE, 413),
                              (errno.EBADMSG, 400), (0, 500)):
            with self.subTest(errno=error):
                self.assertEqual(self.server.ask(f"/fail?errno={error}").status, status)

    def test_error_page_is_whole_and_the_connection_goes_on_or_ends(self):
        with self.server.connect() as client:
            answer = client.get("/fail")
            self.assertEqual(answer.status, 500)
            if answer.headers.get("connection") == "close":
                self.assertTrue(client.is_closed())
            else:
                self.assertEqual(client.get().status, 200)

    def test_failure_half_way_cuts(self):
        received = self.cut("/fail-half-way")
        self.assertTrue(received.startswith(b"HTTP/1.1 200 "))
        self.assertTrue(received.endswith(b"4\r\nhalf\r\n"), received)

    def test_no_response_is_500_and_told(self):
        self.assertEqual(self.server.ask("/say-nothing").status, 500)
        self.logged("without a response")

    def test_too_long_body_cuts_and_is_told(self):
        received = self.cut("/miscount?says=5&sends=10")
        self.assertNotIn(b"0123456789", received)
        self.logged("Content-Length")

    def test_too_short_body_cuts_and_is_told(self):
        received = self.cut("/miscount?says=10&sends=5")
        self.assertTrue(received.endswith(b"\r\n\r\n01234") or received == b"", received)
        self.logged("Content-Length")

    def test_exact_body(self):
        self.assertEqual(self.server.ask("/miscount?says=10&sends=10").body, b"0123456789")

    def test_response_cannot_be_split(self):
        answer = self.server.ask("/split?value=a%0d%0aInjected:%20yes")
        self.assertEqual(answer.status, 500)
        self.assertNotIn("injected", answer.headers)
        answer = self.server.ask("/split?value=a%20b")
        self.assertEqual((answer.status, answer.headers["x-value"]), (200, "a b"))

    def tearDown(self):
        self.assertEqual(self.server.ask().body, b"hello, world\n")


class Overflow(unittest.TestCase):
    def test_stack_overflow_is_named(self):
        server = cress.Server(HANDLERS)
        with server.connect() as client:
            client.send(cress.request("/overflow"))
            try:
                self.assertEqual(client.rest(), b"")
            except ConnectionResetError:
                pass
        status = server.wait()
        self.assertIn(-status, (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS), server.log())
        self.assertRegex(server.log(), r"GET /overflow\b.*overflow.*\b64 KiB")

    def test_larger_stack(self):
        server = cress.Server(HANDLERS, "--stack-size", "256k")
        with server.connect() as client:
            client.send(cress.request("/overflow"))
            try:
                client.rest()
            except ConnectionResetError:
                pass
        self.assertLess(server.wait(), 0)
        self.assertTrue(re.search(r"GET /overflow\b.*256 KiB", server.log()), server.log())


@unittest.skipIf(cress.SANITIZED, "a sanitizer ends it in its own way")
class Sent(unittest.TestCase):
    def test_segv_from_outside_ends_it(self):
        server = cress.Server(HANDLERS)
        server.signal(signal.SIGSEGV)
        self.addCleanup(server.process.kill)
        self.assertEqual(-server.wait(), signal.SIGSEGV, server.log())


if __name__ == "__main__":
    unittest.main()
