"""Clients that leave, half or whole, while a handler waits."""

import pathlib
import socket
import sys
import unittest

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "support"))
import cress_server as cress  # noqa: E402

HANDLERS = cress.module("handlers")


class Leaving(cress.ServerTest):
    def waiting(self, path="/wait", *options):
        server = self.serve(HANDLERS, *options)
        client = self.connect(server)
        client.send(cress.request(path))
        server.await_state(waiting=1)
        return server, client

    def test_close_cancels_the_handler(self):
        server, client = self.waiting()
        client.close()
        server.await_log("cleaned up after ECANCELED")
        server.await_state(waiting=0, cleaned=1, deferred=1)

    def test_reset_cancels_the_handler(self):
        server, client = self.waiting()
        client.reset()
        server.await_state(waiting=0, cleaned=1, deferred=1)

    def test_half_close_cancels_a_waiting_handler(self):
        server, client = self.waiting()
        client.sock.shutdown(socket.SHUT_WR)
        server.await_state(waiting=0, cleaned=1)
        client.rest()

    def test_half_close_when_allowed(self):
        server, client = self.waiting("/wait", "--allow-half-close")
        client.sock.shutdown(socket.SHUT_WR)
        server.settle()
        self.assertEqual(server.state()["waiting"], 1)
        server.ask("/wake")
        self.assertEqual(client.response().body, b"woken\n")
        self.assertTrue(client.is_closed())

    def test_reset_cancels_even_when_half_close_is_allowed(self):
        server, client = self.waiting("/wait", "--allow-half-close")
        client.reset()
        server.await_state(waiting=0, cleaned=1)

    def test_half_closed_client_is_answered_without_a_wait(self):
        server = self.serve(HANDLERS)
        client = self.connect(server)
        client.send(cress.request())
        client.sock.shutdown(socket.SHUT_WR)
        self.assertEqual(client.response().body, b"hello, world\n")
        self.assertTrue(client.is_closed())

    def test_half_closed_client_gets_all_of_a_large_answer(self):
        for size in 65536, 512:
            with self.subTest(size=size):
                server = self.serve(HANDLERS)
                sock = socket.socket()
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
                sock.settimeout(cress.DEADLINE)
                sock.connect(server.address)
                with cress.Client(sock) as client:
                    total = 8 << 20
                    client.send(cress.request(f"/flood?size={size}&count={total // size}"))
                    client.sock.shutdown(socket.SHUT_WR)
                    server.await_state(cleaned=0)
                    self.assertEqual(len(client.response().body), total)
                    self.assertTrue(client.is_closed())

    def test_handler_that_goes_on(self):
        server, client = self.waiting("/wait-without-client")
        client.close()
        server.settle()
        self.assertEqual(server.state()["waiting"], 1)
        server.ask("/wake")
        server.await_state(waiting=0, cleaned=0, finished=1)

    def test_handler_that_waits_for_it(self):
        server, client = self.waiting("/wait-for-gone")
        client.close()
        server.await_state(waiting=0, gone=1)

    def test_client_that_leaves_a_stream(self):
        server = self.serve(HANDLERS)
        client = self.connect(server)
        client.send(cress.request("/flood"))
        self.assertEqual(client.head()[0], 200)
        client.reset()
        server.await_state(cleaned=1)
        self.assertEqual(server.ask().status, 200)

    def test_client_that_leaves_its_body(self):
        server = self.serve(HANDLERS)
        client = self.connect(server)
        client.send(b"POST /count-body HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc")
        client.close()
        server.await_log("body ended by (Broken pipe|ECANCELED)")

    def test_handler_that_waits_again_after_a_large_body(self):
        server = self.serve(HANDLERS)
        client = self.connect(server)
        body = bytes(40000)  # more than is read ahead, and none of it is waited for
        client.send(cress.request("/wait-read-wait", "POST", body=body))
        server.await_state(waiting=1)
        server.ask("/wake")
        server.await_log("the body is read")
        server.await_state(waiting=1)
        client.close()
        server.await_state(waiting=0, cleaned=1, deferred=1)

    def test_many_leave(self):
        count = 200
        server = self.serve(HANDLERS)
        before = server.descriptors()
        clients = [self.connect(server) for _ in range(count)]
        for client in clients:
            client.send(cress.request("/wait"))
        server.await_state(waiting=count)
        for client in clients:
            client.close()
        server.await_state(waiting=0, cleaned=count, deferred=count)
        cress.eventually(lambda: server.descriptors() <= before + 1, "descriptors are closed")

    def test_chatter_while_a_handler_waits_does_not_spin(self):
        server, client = self.waiting()
        client.sock.setblocking(False)
        with self.assertRaises(BlockingIOError):
            while True:
                client.sock.send(cress.request() * 1000)
        client.sock.settimeout(cress.DEADLINE)
        server.settle()
        server.await_rest()
        server.ask("/wake")
        self.assertEqual(client.response().body, b"woken\n")
        for _ in range(500):
            self.assertEqual(client.response().body, b"hello, world\n")


class Pipelining(cress.ServerTest):
    def test_answers_come_in_order(self):
        server = self.serve(HANDLERS)
        client = self.connect(server)
        paths = ["/nap?ms=100", "/", "/nowhere", "/nap?ms=20", "/"] * 10
        client.send(b"".join(cress.request(path) for path in paths))
        for path in paths:
            answer = client.response()
            if path == "/nowhere":
                self.assertEqual(answer.status, 404)
            else:
                expected = b"hello, world\n" if path == "/" else \
                    b"slept %s\n" % path.split("=")[1].encode()
                self.assertEqual(answer.body, expected)

    def test_requests_with_bodies(self):
        server = self.serve(HANDLERS)
        client = self.connect(server)
        bodies = [b"x" * n for n in (0, 1, 100, 5000, 70000)]
        client.send(b"".join(cress.request("/count-body", "POST", body=body) +
                             cress.request("/ignore-body", "POST", body=body[:100])
                             for body in bodies))
        for body in bodies:
            self.assertEqual(client.response().body, b"%d bytes\n" % len(body))
            self.assertEqual(client.response().body, b"ignored\n")

    def test_first_answer_does_not_wait_for_the_second(self):
        server = self.serve(HANDLERS)
        client = self.connect(server)
        client.send(cress.request() + cress.request("/wait"))
        self.assertEqual(client.response().body, b"hello, world\n")
        server.await_state(waiting=1)
        server.ask("/wake")
        self.assertEqual(client.response().body, b"woken\n")


class Versions(cress.ServerTest):
    def setUp(self):
        self.server = self.serve(HANDLERS)

    def test_10_closes(self):
        client = self.connect(self.server)
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        answer = client.response()
        self.assertEqual((answer.status, answer.body), (200, b"hello, world\n"))
        self.assertTrue(client.is_closed())

    def test_10_keep_alive(self):
        client = self.connect(self.server)
        for _ in range(3):
            client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            answer = client.response()
            self.assertEqual(answer.headers["connection"].lower(), "keep-alive")
            self.assertEqual(answer.body, b"hello, world\n")

    def test_10_stream_ends_with_the_connection(self):
        client = self.connect(self.server)
        client.send(b"GET /drip?count=3&ms=10 HTTP/1.0\r\n\r\n")
        answer = client.response()
        self.assertNotIn("transfer-encoding", answer.headers)
        self.assertEqual(answer.body, b"drop 0\ndrop 1\ndrop 2\n")

    def test_11_stream_is_chunked(self):
        client = self.connect(self.server)
        client.send(cress.request("/drip?count=3&ms=10"))
        status, headers = client.head()
        self.assertEqual((status, headers["transfer-encoding"]), (200, "chunked"))
        self.assertEqual(list(iter(client.chunk, b"")), [b"drop 0\n", b"drop 1\n", b"drop 2\n"])
        self.assertEqual(client.get().status, 200)

    def test_head(self):
        client = self.connect(self.server)
        answer = client.get(method="HEAD")
        self.assertEqual((answer.status, answer.headers["content-length"]), (200, "13"))
        self.assertEqual(client.get().body, b"hello, world\n")

    def test_continue(self):
        client = self.connect(self.server)
        client.send(b"POST /count-body HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n"
                    b"Expect: 100-continue\r\n\r\n")
        self.assertEqual(client.response().status, 100)
        client.send(b"abc")
        self.assertEqual(client.response().body, b"3 bytes\n")


if __name__ == "__main__":
    unittest.main()
