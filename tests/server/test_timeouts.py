"""Slow clients and slow applications. Spans are set short, and what should happen is
waited for: nothing here fails because it was too early or a little late. The clock is real
where a client has to go on for longer than a limit of the server's, in pauses much shorter.
"""

import pathlib
import socket
import sys
import tempfile
import time
import unittest

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "support"))
import cress_server as cress  # noqa: E402

HANDLERS = cress.module("handlers")
WITHOUT_DELAY = {"CRESS_CLOCK": "virtual"}  # whatever limit there is passes at once


class Heads(cress.ServerTest):
    def test_slow_head_gets_408(self):
        server = self.serve(HANDLERS, "--header-timeout", "0.3")
        client = self.connect(server)
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n")
        answer = client.response()
        self.assertEqual(answer.status, 408)
        self.assertEqual(answer.headers["connection"], "close")
        self.assertTrue(client.is_closed())

    def test_drops_do_not_prolong_it(self):
        server = self.serve(HANDLERS, "--header-timeout", "0.5")
        client = self.connect(server)
        client.sock.settimeout(0.05)
        end = time.monotonic() + cress.DEADLINE
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n")
        received = b""
        while not received and time.monotonic() < end:
            client.send(b"X: y\r\n")
            try:
                received = client.sock.recv(100)
            except socket.timeout:
                pass
        self.assertTrue(received.startswith(b"HTTP/1.1 408 "), received)

    def test_silent_connection_is_closed(self):
        server = self.serve(HANDLERS, "--header-timeout", "0.3")
        client = self.connect(server)
        self.assertTrue(client.is_closed())

    def test_second_head_too(self):
        server = self.serve(HANDLERS, "--header-timeout", "0.3", "--keep-alive", "60")
        client = self.connect(server)
        self.assertEqual(client.get().status, 200)
        client.send(b"GET ")
        self.assertEqual(client.response().status, 408)
        self.assertTrue(client.is_closed())

    def test_none(self):
        server = self.serve(HANDLERS, "--header-timeout=0", environment=WITHOUT_DELAY)
        client = self.connect(server)
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n")
        server.settle()
        client.send(b"\r\n")
        self.assertEqual(client.response().status, 200)


class KeepAlive(cress.ServerTest):
    def test_idle_connection_is_closed(self):
        server = self.serve(HANDLERS, "--keep-alive", "0.3")
        client = self.connect(server)
        for _ in range(3):
            self.assertEqual(client.get().status, 200)
        self.assertTrue(client.is_closed())

    def test_none(self):
        server = self.serve(HANDLERS, "--keep-alive", "0")
        client = self.connect(server)
        answer = client.get()
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.headers["connection"], "close")
        self.assertTrue(client.is_closed())

    def test_each_request_begins_it_anew(self):
        server = self.serve(HANDLERS, "--keep-alive", "1")
        client = self.connect(server)
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            self.assertEqual(client.get().status, 200)
            time.sleep(0.05)


class Requests(cress.ServerTest):
    def test_503_when_nothing_was_sent(self):
        server = self.serve(HANDLERS, "--request-timeout=0.3")
        client = self.connect(server)
        answer = client.get("/wait")
        self.assertEqual(answer.status, 503)
        server.await_log("cleaned up after ETIMEDOUT")
        server.await_state(waiting=0, cleaned=1, deferred=1)

    def test_cut_when_something_was_sent(self):
        server = self.serve(HANDLERS, "--request-timeout", "0.5")
        client = self.connect(server)
        client.send(cress.request("/drip?count=1000&ms=50"))
        self.assertEqual(client.head()[0], 200)
        received = client.rest()
        self.assertIn(b"drop 0\n", received)
        self.assertFalse(received.endswith(b"0\r\n\r\n"), received)

    def test_cut_although_the_client_does_not_read(self):
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/socket"
            server = self.serve(HANDLERS, "--request-timeout=0.3", "--write-timeout=600",
                                "-b", f"unix:{path}")
            server.await_log("Listening at: unix")
            before = server.descriptors()
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(cress.DEADLINE)
            sock.connect(path)
            with cress.Client(sock) as client:
                client.send(cress.request("/flood?size=512"))
                server.await_log("flood ended by ETIMEDOUT")
                cress.eventually(lambda: server.descriptors() <= before, "it is closed")

    def test_endless_answer_to_head_starves_nobody(self):
        server = self.serve(HANDLERS, "--request-timeout", "2")
        client = self.connect(server)
        client.send(cress.request("/flood", "HEAD"))
        self.assertEqual(server.ask().status, 200)
        server.await_log("flood ended by ETIMEDOUT")

    def test_quick_ones_are_not_touched(self):
        server = self.serve(HANDLERS, "--request-timeout", "2")
        client = self.connect(server)
        for _ in range(20):
            self.assertEqual(client.get("/nap?ms=5").status, 200)

    def test_none(self):
        server = self.serve(HANDLERS, "--request-timeout=0", "--header-timeout=0",
                            environment=WITHOUT_DELAY)
        self.assertEqual(server.ask("/nap?ms=1000000").status, 200)


class Bodies(cress.ServerTest):
    def test_body_that_stops(self):
        server = self.serve(HANDLERS, "--body-timeout=0.3")
        client = self.connect(server)
        client.send(b"POST /count-body HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc")
        self.assertIn(client.response().status, (408, 503))
        self.assertTrue(client.is_closed())
        server.await_log("body ended by ETIMEDOUT")

    def test_pieces_prolong_it(self):
        server = self.serve(HANDLERS, "--body-timeout=1")
        client = self.connect(server)
        client.send(b"POST /count-body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        end, pieces = time.monotonic() + 1.5, 0
        while time.monotonic() < end:
            client.send(b"1\r\nx\r\n")
            pieces += 1
            time.sleep(0.05)
        client.send(b"0\r\n\r\n")
        self.assertEqual(client.response().body, b"%d bytes\n" % pieces)

    def test_unread_body_that_stops(self):
        server = self.serve(HANDLERS, "--body-timeout=0.3")
        client = self.connect(server)
        client.send(b"POST /ignore-body HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc")
        self.assertEqual(client.response().body, b"ignored\n")
        self.assertTrue(client.is_closed())


class Writes(cress.ServerTest):
    def test_client_that_does_not_read(self):
        server = self.serve(HANDLERS, "--write-timeout", "0.5")
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(cress.DEADLINE)
        sock.connect(server.address)
        client = cress.Client(sock)
        self.addCleanup(client.close)
        client.send(cress.request("/flood"))
        server.await_log("flood ended by (ETIMEDOUT|Broken pipe)")
        server.await_state(cleaned=1)
        self.assertEqual(server.ask().status, 200)


if __name__ == "__main__":
    unittest.main()
