"""Requests that are not well-formed, ambiguous or too large: the right status, a closed
connection, and a server that goes on.
"""

import contextlib
import pathlib
import signal
import socket
import sys
import threading
import unittest

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "support"))
import cress_server as cress  # noqa: E402

HOST = b"Host: a\r\n"

# status, bytes
CASES = [
    # request line: RFC 9112 3
    (400, b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n"),
    (400, b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n"),
    (400, b"GET / HTTP/1.1\n" + HOST + b"\r\n"),
    (400, b"GET /#top HTTP/1.1\r\n" + HOST + b"\r\n"),
    (400, b"GET * HTTP/1.1\r\n" + HOST + b"\r\n"),
    (400, b"GET relative HTTP/1.1\r\n" + HOST + b"\r\n"),
    (400, b"GET /%zz HTTP/1.1\r\n" + HOST + b"\r\n"),
    (400, b"GET /%00 HTTP/1.1\r\n" + HOST + b"\r\n"),
    (400, b"GET /\x01 HTTP/1.1\r\n" + HOST + b"\r\n"),
    (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
    (501, b"FROB / HTTP/1.1\r\n" + HOST + b"\r\n"),
    (501, b"get / HTTP/1.1\r\n" + HOST + b"\r\n"),
    (501, b"CONNECT a:80 HTTP/1.1\r\n" + HOST + b"\r\n"),
    (505, b"GET / HTTP/2.0\r\n" + HOST + b"\r\n"),
    (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    # Host: RFC 9112 3.2
    (400, b"GET / HTTP/1.1\r\n\r\n"),
    (400, b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n"),
    (400, b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
    # fields: RFC 9112 5
    (400, b"GET / HTTP/1.1\r\n" + HOST + b"Name : x\r\n\r\n"),
    (400, b"GET / HTTP/1.1\r\n" + HOST + b"Na me: x\r\n\r\n"),
    (400, b"GET / HTTP/1.1\r\n" + HOST + b": x\r\n\r\n"),
    (400, b"GET / HTTP/1.1\r\n" + HOST + b"no colon\r\n\r\n"),
    (400, b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n b\r\n\r\n"),
    (400, b"GET / HTTP/1.1\r\n" + HOST + b"X: a\0b\r\n\r\n"),
    (400, b"GET / HTTP/1.1\r\n" + HOST + b"X: a\nY: b\r\n\r\n"),
    (400, b"GET / HTTP/1.1\r\n" + HOST + b"X:\rContent-Length: 3\r\n\r\nabc"),
    # framing: RFC 9112 6
    (400, b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"
     b"\r\n0\r\n\r\n"),
    (400, b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"),
    (400, b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: +3\r\n\r\nabc"),
    (400, b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3,3\r\n\r\nabc"),
    (400, b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 99999999999999999999\r\n\r\n"),
    (400, b"POST / HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    (400, b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding:\r\n\r\n"),
    (417, b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nExpect: miracles\r\n\r\n"),
    # sizes
    (414, b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n" + HOST + b"\r\n"),
    (431, b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 9000 + b"\r\n\r\n"),
    (431, b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n" * 101 + b"\r\n"),
    (431, b"GET / HTTP/1.1\r\n" + HOST + (b"X: " + b"a" * 8000 + b"\r\n") * 9 + b"\r\n"),
    (413, b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 2000000000\r\n\r\n"),
]

# status one of several: which of the refusals comes first is not fixed
EITHER = [
    ((400, 505), b"GET / HTTP/1.1 \r\n" + HOST + b"\r\n"),
    ((400, 505), b"GET /\r\n\r\n"),
    ((400, 501), b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n"),
    ((400, 501), b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked, gzip\r\n\r\n"),
    ((400, 505), b"GET / HTTP/1.2\r\n" + HOST + b"\r\n"),
    ((400, 505), b"GET / HTTP/9\r\n" + HOST + b"\r\n"),
    ((400, 501), b"DESCRIBE / RTSP/1.0\r\n" + HOST + b"\r\n"),
]


class Malformed(cress.ServerTest):
    def setUp(self):
        self.server = self.serve(cress.module("handlers"))

    def refused(self, data, statuses, whole=True):
        with self.server.connect() as client:
            if whole:
                client.send(data)
            else:
                for i in range(0, len(data), 7):
                    client.send(data[i:i + 7])
            answer = client.response()
            self.assertIn(answer.status, statuses, (data, answer))
            if b"HTTP/1.0" not in data:
                self.assertEqual(answer.headers.get("connection"), "close", data)
            self.assertTrue(client.is_closed(), data)

    def test_refused(self):
        for status, data in CASES:
            with self.subTest(data=data[:70]):
                self.refused(data, (status,))
        for statuses, data in EITHER:
            with self.subTest(data=data[:70]):
                self.refused(data, statuses)
        self.assertEqual(self.server.ask().body, b"hello, world\n")
        self.assertEqual(self.server.log().count("[ERROR]"), 0, self.server.log())

    def test_refused_in_pieces(self):
        for status, data in CASES:
            if len(data) < 300:
                with self.subTest(data=data[:70]):
                    self.refused(data, (status,), whole=False)

    def test_request_after_a_refused_one_is_not_served(self):
        with self.server.connect() as client:
            client.send(cress.request() + b"GET / HTTP/1.1\r\n\r\n" + cress.request("/wake"))
            self.assertEqual(client.response().status, 200)
            self.assertEqual(client.response().status, 400)
            self.assertTrue(client.is_closed())

    def test_malformed_chunks(self):
        for chunks in b"3\r\nabcd\r\n0\r\n\r\n", b"x\r\n", b"0x3\r\nabc\r\n0\r\n\r\n", b"-1\r\n":
            with self.subTest(chunks=chunks), self.server.connect() as client:
                client.send(b"POST /count-body HTTP/1.1\r\nHost: a\r\n"
                            b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
                self.assertEqual(client.response().status, 400)
                self.assertTrue(client.is_closed())

    def test_chunked_body_over_the_limit(self):
        server = self.serve(cress.module("handlers"), "--limit-request-body", "100")
        with server.connect() as client:
            client.send(b"POST /count-body HTTP/1.1\r\nHost: a\r\n"
                        b"Transfer-Encoding: chunked\r\n\r\n" + b"a\r\n0123456789\r\n" * 20)
            self.assertEqual(client.response().status, 413)

    def test_half_a_request_and_an_end(self):
        with self.server.connect() as client:
            client.send(b"GET / HTTP/1.1\r\nHos")
            client.sock.shutdown(socket.SHUT_WR)
            self.assertIn(client.rest()[:12], (b"", b"HTTP/1.1 400"))
        self.assertEqual(self.server.ask().status, 200)

    def test_noise(self):
        for seed in range(64):
            noise = bytes((seed * 37 + i * i * 11) % 256 for i in range(seed * 13))
            with self.server.connect() as client:
                client.send(noise)
                client.sock.shutdown(socket.SHUT_WR)
                try:
                    client.rest()
                except ConnectionResetError:
                    pass
        self.assertEqual(self.server.ask().status, 200)


class Limits(cress.ServerTest):
    def status(self, server, data):
        with server.connect() as client:
            client.send(data)
            return client.response().status

    def test_request_line(self):
        server = self.serve(cress.module("handlers"), "--limit-request-line=100")
        line = b"GET /%s HTTP/1.1\r\n"
        fits = line % (b"a" * (100 - len(line % b"")))
        self.assertEqual(self.status(server, fits + HOST + b"\r\n"), 404)
        self.assertEqual(self.status(server, line % (b"a" * 100) + HOST + b"\r\n"), 414)

    def test_fields(self):
        server = self.serve(cress.module("handlers"), "--limit-request-fields", "5")
        head = b"GET / HTTP/1.1\r\n" + HOST
        self.assertEqual(self.status(server, head + b"X: a\r\n" * 4 + b"\r\n"), 200)
        self.assertEqual(self.status(server, head + b"X: a\r\n" * 5 + b"\r\n"), 431)

    def test_field_size(self):
        server = self.serve(cress.module("handlers"), "--limit-request-field-size", "200")
        head = b"GET / HTTP/1.1\r\n" + HOST
        self.assertEqual(self.status(server, head + b"X: " + b"a" * 190 + b"\r\n\r\n"), 200)
        self.assertEqual(self.status(server, head + b"X: " + b"a" * 300 + b"\r\n\r\n"), 431)

    def test_head(self):
        server = self.serve(cress.module("handlers"), "--limit-request-head", "1k")
        head = b"GET / HTTP/1.1\r\n" + HOST
        self.assertEqual(self.status(server, head + b"X: " + b"a" * 900 + b"\r\n\r\n"), 200)
        self.assertEqual(self.status(server, head + (b"X: " + b"a" * 400 + b"\r\n") * 3 + b"\r\n"),
                         431)

    def test_large_head_within_the_limits(self):
        server = self.serve(cress.module("handlers"))
        head = b"GET / HTTP/1.1\r\n" + HOST
        self.assertEqual(self.status(server, head + (b"X: " + b"a" * 8000 + b"\r\n") * 7 + b"\r\n"),
                         200)

    def test_body(self):
        server = self.serve(cress.module("handlers"), "--limit-request-body=10")
        self.assertEqual(server.ask("/count-body", "POST", body=b"x" * 10).body, b"10 bytes\n")
        self.assertEqual(server.ask("/count-body", "POST", body=b"x" * 11).status, 413)


HUGE = b"POST /count-body HTTP/1.1\r\n" + HOST + b"Content-Length: 20000000\r\n\r\n"


class Lingering(cress.ServerTest):
    """Whoever looks for an answer only when all is sent gets it."""

    def test_a_body_of_20_mb_that_is_refused(self):
        server = self.serve(cress.module("handlers"), "--limit-request-body=10")
        with server.connect() as client:
            client.send(HUGE + b"x" * 20000000)
            self.assertEqual(client.response().status, 413)

    def test_stopping_does_not_wait_for_a_client_that_goes_on_sending(self):
        server = self.serve(cress.module("handlers"), "--limit-request-body=10")
        with server.connect() as client:
            client.send(HUGE)
            self.assertEqual(client.response().status, 413)
            stopped = threading.Event()
            sender = threading.Thread(target=self.go_on_sending, args=(client, stopped))
            sender.start()
            server.signal(signal.SIGINT)
            try:
                self.assertEqual(server.wait(), 0)
            finally:
                stopped.set()
                sender.join()

    @staticmethod
    def go_on_sending(client, stopped):
        with contextlib.suppress(OSError):
            while not stopped.wait(0.1):
                client.send(b"x")


if __name__ == "__main__":
    unittest.main()
