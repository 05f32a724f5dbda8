"""How much at once: connections, requests in flight, descriptors."""

import pathlib
import socket
import ssl
import subprocess
import sys
import unittest

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "support"))
import certificates  # noqa: E402
import cress_server as cress  # noqa: E402

HANDLERS = cress.module("handlers")
# It is in flight until the last byte is sent.
HELD, LAST_BYTE = cress.request("/count-body", "POST", body=b"x")[:-1], b"x"


class Connections(cress.ServerTest):
    def test_accepting_stops_and_resumes(self):
        server = self.serve(HANDLERS, "--worker-connections", "3")
        first = [self.connect(server) for _ in range(3)]
        for client in first:
            client.send(cress.request("/drip?count=100000&ms=20"))
            self.assertEqual(client.head()[0], 200)
        more = [self.connect(server) for _ in range(3)]
        for client in more:
            client.send(cress.request())
        server.settle(first[0].next_chunk)
        self.assertFalse(any(client.is_readable() for client in more))
        for closing, served in zip(first, more):
            closing.close()
            self.assertEqual(served.response().status, 200)

    def test_full_server_uses_no_cpu(self):
        server = self.serve(HANDLERS, "--worker-connections", "1", "--keep-alive=60")
        first = self.connect(server)
        first.send(cress.request("/drip?count=100000&ms=20"))
        self.assertEqual(first.head()[0], 200)
        second = self.connect(server)
        second.send(cress.request())
        server.settle(first.next_chunk)
        server.await_rest()
        self.assertFalse(second.is_readable())


class Eviction(cress.ServerTest):
    """Who keeps a full server waiting makes room; test_eviction.c has the rest."""

    def test_slow_clients(self):
        server = self.serve(HANDLERS, "--worker-connections=4", "--header-timeout=600",
                            "--body-timeout=600", "--keep-alive=600", "--access-logfile", "-",
                            stdout=subprocess.PIPE)
        slow = [self.connect(server) for _ in range(4)]
        self.assertEqual(slow[0].get().status, 200)
        slow[1].send(b"GET /half")
        slow[2].send(b"POST /count-body HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc")
        slow[3].send(b"POST /ignore-body HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")
        self.assertEqual(slow[3].response().body, b"ignored\n")
        drips = [self.connect(server) for _ in range(4)]
        for client in drips:
            client.send(cress.request("/drip?count=100000&ms=20"))
            self.assertEqual(client.head()[0], 200)
        self.assertEqual(slow[1].response().status, 408)
        for client in slow:
            self.assertTrue(client.is_closed())
        server.await_log("4 connections are open: those that keep the server waiting make room")
        server.await_log("body ended by Broken pipe")
        for client in drips:
            client.close()
        server.stop()
        with server.process.stdout as log:
            self.assertIn('"POST /count-body HTTP/1.1" 499 ', log.read())

    def test_handshakes(self):
        authority = certificates.Authority()
        self.addCleanup(authority.close)
        certfile, keyfile = authority.issue("server")
        server = self.serve(HANDLERS, "--certfile", certfile, "--keyfile", keyfile,
                            "--worker-connections=1", "--handshake-timeout=600")
        slow = self.connect(server)
        slow.send(b"\x16\x03\x01")  # else it is accepted later than the next one
        context = ssl.create_default_context(cafile=authority.file)
        sock = socket.create_connection(server.address, timeout=cress.DEADLINE)
        with cress.Client(context.wrap_socket(sock, server_hostname="localhost")) as client:
            self.assertEqual(client.get().status, 200)
        self.assertTrue(slow.is_closed())


class Concurrency(cress.ServerTest):
    def test_one_at_a_time_in_order(self):
        server = self.serve(HANDLERS, "--concurrency", "1")
        clients = [self.connect(server) for _ in range(4)]
        for client in clients:
            client.send(cress.request("/nap?ms=50"))
        for client in clients:
            self.assertEqual(client.response().body, b"slept 50\n")

    def test_beyond_the_backlog_503(self):
        server = self.serve(HANDLERS, "--concurrency=1", "--concurrency-backlog=1",
                            "--retry-after", "7")
        running, queued = self.connect(server), self.connect(server)
        running.send(HELD)
        server.settle()
        queued.send(cress.request("/"))
        server.settle()
        refused = self.connect(server)
        answer = refused.get("/")
        self.assertEqual((answer.status, answer.headers["retry-after"]), (503, "7"))
        self.assertTrue(refused.is_closed())
        self.assertFalse(queued.is_readable())
        running.send(LAST_BYTE)
        self.assertEqual(running.response().body, b"1 bytes\n")
        self.assertEqual(queued.response().body, b"hello, world\n")

    def test_no_backlog(self):
        server = self.serve(HANDLERS, "--concurrency=1", "--concurrency-backlog=0",
                            "--retry-after=0")
        running = self.connect(server)
        running.send(HELD)
        server.settle()
        answer = server.ask("/")
        self.assertEqual(answer.status, 503)
        self.assertNotIn("retry-after", answer.headers)
        running.send(LAST_BYTE)
        self.assertEqual(running.response().status, 200)
        self.assertEqual(server.ask("/").status, 200)

    def test_place_of_a_client_that_left_is_free_again(self):
        server = self.serve(HANDLERS, "--concurrency=2")
        leaving = self.connect(server)
        leaving.send(cress.request("/wait"))
        server.await_state(waiting=1)
        leaving.close()
        server.await_state(waiting=0, cleaned=1)
        clients = [self.connect(server) for _ in range(2)]
        for client in clients:
            client.send(cress.request("/nap?ms=50"))
        for client in clients:
            self.assertEqual(client.response().status, 200)

    def test_queued_client_that_leaves_takes_no_place(self):
        server = self.serve(HANDLERS, "--concurrency=1")
        running, leaving, last = (self.connect(server) for _ in range(3))
        running.send(HELD)
        server.settle()
        leaving.send(cress.request("/wait"))
        server.settle()
        leaving.close()
        server.settle()
        last.send(cress.request("/"))
        running.send(LAST_BYTE)
        self.assertEqual(running.response().status, 200)
        self.assertEqual(last.response().status, 200)
        self.assertEqual(server.state()["cleaned"], 0)


class Descriptors(cress.ServerTest):
    """--worker-connections fits, but the application's clients hold more than are left."""

    def test_running_out_pauses_and_resumes(self):
        server = self.serve(cress.module("descriptors"), "--worker-connections", "20",
                            "--keep-alive=60", descriptors=100)
        hungry = self.connect(server)
        self.assertEqual(hungry.get("/take").status, 200)
        waiting = [self.connect(server) for _ in range(5)]
        for client in waiting:
            client.send(cress.request("/"))
        server.await_log("[Aa]ccepting pauses .*Too many open files")
        server.settle(lambda: hungry.get("/"))
        server.await_rest()
        self.assertLess(server.log().count("Too many open files"), 20)
        self.assertFalse(any(client.is_readable() for client in waiting))
        self.assertEqual(hungry.get("/give").status, 200)
        for client in waiting:
            self.assertEqual(client.response().status, 200)


if __name__ == "__main__":
    unittest.main()
