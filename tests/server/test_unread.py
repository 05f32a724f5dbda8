"""Clients that have sent more than is read ahead, and responses that end with the connection."""

import pathlib
import signal
import sys
import unittest

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "support"))
import cress_server as cress  # noqa: E402

HANDLERS = cress.module("handlers")
BODY = b"POST /wait HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + b"x" * 30000


class Unread(cress.ServerTest):
    def check_cancelled(self, request):
        server = self.serve(HANDLERS)
        client = self.connect(server)
        client.send(request)
        server.await_state(waiting=1)
        client.close()
        server.await_log("cleaned up after ECANCELED")
        server.await_state(waiting=0, cleaned=1)

    def test_leaving_behind_pipelined_requests(self):
        self.check_cancelled(cress.request("/wait") + cress.request("/") * 1000)

    def test_leaving_behind_an_unread_body(self):
        self.check_cancelled(BODY)

    def test_staying(self):
        server = self.serve(HANDLERS)
        client = self.connect(server)
        client.send(cress.request("/wait") + cress.request("/") * 1000)
        server.await_state(waiting=1)
        server.ask("/nap?ms=700")  # longer than one look at who is still there
        server.ask("/wake")
        self.assertEqual(client.response().body, b"woken\n")
        for _ in range(1000):
            self.assertEqual(client.response().body, b"hello, world\n")


class UntilClose(cress.ServerTest):
    def receive(self, path):
        server = self.serve(HANDLERS)
        client = self.connect(server)
        client.send(cress.request(path, version="1.0"))
        while client.sock.recv(65536):
            pass

    def test_whole(self):
        self.receive("/drip?count=3&ms=1")

    def test_failed_half_way_is_not_taken_for_whole(self):
        with self.assertRaises(ConnectionResetError):
            self.receive("/fail-half-way")


class Bounds(cress.ServerTest):
    def test_a_chunk_is_refused_by_its_size_line(self):
        server = self.serve(HANDLERS, "--limit-request-body", "10")
        for size in b"FFFF", b"FFFFFFFFFFFFFFFF":
            client = self.connect(server)
            client.send(b"POST /count-body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" +
                        size + b"\r\n")
            self.assertEqual(client.response().status, 413)
            self.assertTrue(client.is_closed())

    def test_hangup_drains(self):
        server = self.serve(HANDLERS)
        client = self.connect(server)
        self.assertEqual(client.get().status, 200)
        client.send(cress.request("/nap?ms=300"))
        server.process.send_signal(signal.SIGHUP)
        self.assertEqual(client.response().status, 200)
        self.assertEqual(server.process.wait(cress.DEADLINE), 0)


if __name__ == "__main__":
    unittest.main()
