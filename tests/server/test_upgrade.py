"""Connections that go on in another protocol, over TCP and over TLS: tests/server/modules/upgrade.c
answers lines in capitals."""

import contextlib
import pathlib
import re
import select
import signal
import socket
import ssl
import subprocess
import sys
import unittest

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "support"))
import certificates  # noqa: E402
import cress_server as cress  # noqa: E402

UPGRADE = cress.module("upgrade")
LARGE = 16 << 20


def setUpModule():
    global authority, certfile, keyfile
    authority = certificates.Authority()
    certfile, keyfile = authority.issue("server")


def tearDownModule():
    authority.close()


def request(path="/"):
    return cress.request(path, headers="Connection: Upgrade\r\nUpgrade: line\r\n")


def lines(size):
    """So many bytes of lines, no two of which are the same."""
    return b"".join(b"line %09d\n" % i for i in range(size // 15))


class Side:
    """One side of TLS, as a socket that can end its own direction alone."""

    def __init__(self, sock):
        self.sock = sock
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.create_default_context(cafile=authority.file)
        self.side = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        self.until_done(self.side.do_handshake)

    def until_done(self, call):
        while True:
            try:
                result = call()
                self.sock.sendall(self.outgoing.read())
                return result
            except ssl.SSLWantReadError:
                self.sock.sendall(self.outgoing.read())
                data = self.sock.recv(65536)
                if data:
                    self.incoming.write(data)
                else:
                    self.incoming.write_eof()

    def sendall(self, data):
        self.until_done(lambda: self.side.write(data))

    def recv(self, size):
        try:
            return self.until_done(lambda: self.side.read(size))
        except ssl.SSLZeroReturnError:
            return b""

    def shutdown(self, _):
        with contextlib.suppress(ssl.SSLWantReadError):
            self.side.unwrap()
        self.sock.sendall(self.outgoing.read())

    def close(self):
        self.sock.close()


class Tests:
    """What holds over both: `tls` says which."""

    tls = False

    def serve_lines(self, *options, **kwargs):
        secure = ("--certfile", certfile, "--keyfile", keyfile) if self.tls else ()
        return self.serve(UPGRADE, *secure, *options, **kwargs)

    def dial(self, server, receive_buffer=None):
        sock = socket.socket()
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(cress.DEADLINE)
        sock.connect(server.address)
        if self.tls:
            context = ssl.create_default_context(cafile=authority.file)
            sock = context.wrap_socket(sock, server_hostname="localhost",
                                       suppress_ragged_eofs=False)
        client = cress.Client(sock)
        self.addCleanup(client.close)
        return client

    def switch(self, server, path="/", **kwargs):
        client = self.dial(server, **kwargs)
        client.send(request(path))
        self.assert_switched(client)
        return client

    def assert_switched(self, client):
        status, headers = client.head()
        self.assertEqual((status, headers["upgrade"], headers["connection"]),
                         (101, "line", "Upgrade"))
        self.assertNotIn("content-length", headers)
        self.assertNotIn("transfer-encoding", headers)

    def assert_speaks(self, client):
        client.send(b"still there?\n")
        self.assertEqual(client.exactly(13), b"STILL THERE?\n")

    # ---- bytes ---------------------------------------------------------------------

    def test_bytes_behind_the_request(self):
        server = self.serve_lines("--access-logfile", "-", stdout=subprocess.PIPE)
        client = self.dial(server)
        client.send(request() + b"one\ntwo\nthr")
        self.assert_switched(client)
        self.assertEqual(client.exactly(8), b"ONE\nTWO\n")
        client.send(b"ee\nquit\n")
        self.assertEqual(client.rest(), b"THREE\nQUIT\nfarewell\n")
        server.stop()
        with server.process.stdout as log:
            self.assertRegex(log.read(), r'"GET / HTTP/1.1" 101 28 ')

    def test_bytes_one_by_one(self):
        client = self.dial(self.serve_lines())
        for byte in request() + b"one\nquit\n":
            client.send(bytes([byte]))
        self.assert_switched(client)
        self.assertEqual(client.rest(), b"ONE\nQUIT\nfarewell\n")

    def test_not_offered(self):
        client = self.dial(self.serve_lines())
        self.assertEqual(client.get("/").body, b"hello, world\n")
        client.send(request())  # on the same connection
        self.assert_switched(client)
        self.assert_speaks(client)

    # ---- ends -----------------------------------------------------------------------

    def test_half_close(self):
        server = self.serve_lines()
        for path in "/", "/half-closed":
            sock = socket.create_connection(server.address, timeout=cress.DEADLINE)
            with cress.Client(Side(sock) if self.tls else sock) as client:
                client.send(request(path) + b"one\ntwo\n")
                self.assert_switched(client)
                self.assertEqual(client.exactly(8), b"ONE\nTWO\n")
                client.sock.shutdown(socket.SHUT_WR)
                self.assertEqual(client.rest(), b"farewell\n")
        server.await_log("echo: end", 2)

    def test_server_ends_its_side_first(self):
        server = self.serve_lines()
        client = self.switch(server, "/two")
        self.assertEqual(client.exactly(9), b"not read\n")
        server.await_log("writer: end")
        if not self.tls:  # which knows of goodbyes for both directions only
            self.assertTrue(client.is_closed())
            client.send(b"hello")
            server.await_log("two: 5 bytes")
        client.close()
        server.await_log("two: (end|Connection reset)")

    def test_client_that_leaves_cancels_waits(self):
        server = self.serve_lines()
        client = self.switch(server, "/sleep")
        client.close()
        server.await_log("sleep: ECANCELED")

    def test_client_that_resets(self):
        server = self.serve_lines()
        for path, message in ("/", "echo: Connection reset by peer"), ("/sleep", "sleep: ECANCELED"):
            client = self.switch(server, path)
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.close()
            server.await_log(message)
        self.assert_speaks(self.switch(server))

    # ---- much -------------------------------------------------------------------------

    def fill(self, server, client, data):
        """Sends data and reads nothing, until the server takes no more; how much went."""
        sock, sent = client.sock, 0
        sock.setblocking(False)
        while sent < len(data):
            with contextlib.suppress(BlockingIOError, ssl.SSLWantWriteError):
                sent += sock.send(memoryview(data)[sent:sent + 65536])
                continue
            server.settle()
            if not select.select([], [sock], [], 0)[1]:
                break
        return sent

    def exchange(self, client, data, sent=0):
        """Sends what of data is not sent yet and reads as much as all, both whenever it goes."""
        sock, received = client.sock, bytearray(client.buffer)
        sock.setblocking(False)
        while len(received) < len(data):
            more = sock.pending() if self.tls else 0
            readable, writable, _ = select.select([sock], [sock] if sent < len(data) else [], [],
                                                  0 if more else cress.DEADLINE)
            if not more and not readable and not writable:
                self.fail(f"nothing goes: {sent} sent, {len(received)} received")
            with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                if writable:
                    sent += sock.send(memoryview(data)[sent:sent + 65536])
            with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                if readable or more:
                    received += sock.recv(1 << 18)
        sock.settimeout(cress.DEADLINE)
        return bytes(received)

    def test_large_both_ways(self):
        client = self.switch(self.serve_lines())
        data = lines(LARGE)
        self.assertTrue(self.exchange(client, data) == data.upper())
        self.assert_speaks(client)

    def test_back_pressure(self):
        server = self.serve_lines()
        client = self.switch(server, receive_buffer=8192)
        before = self.resident(server)
        data = lines(3 * LARGE)
        sent = self.fill(server, client, data)
        self.assertLess(sent, 2 * LARGE)  # what the kernel takes
        self.assertTrue(self.exchange(client, data, sent) == data.upper())
        if not cress.SANITIZED:
            self.assertLess(self.resident(server) - before, 4096)

    def resident(self, server):
        text = pathlib.Path(f"/proc/{server.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", text)[1])

    # ---- limits -------------------------------------------------------------------------

    def test_write_timeout(self):
        server = self.serve_lines("--write-timeout=0.5")
        client = self.switch(server, "/flood", receive_buffer=4096)
        server.await_log("flood: ETIMEDOUT")
        client.sock.settimeout(cress.DEADLINE)
        with contextlib.suppress(OSError):
            client.rest()

    def test_others_while_one_floods(self):
        server = self.serve_lines()
        flooded = self.switch(server, "/flood")
        other = self.switch(server)
        for _ in range(20):
            self.assertTrue(flooded.sock.recv(1 << 20))
            self.assert_speaks(other)

    def test_no_request_timeout_and_no_keep_alive(self):
        server = self.serve_lines("--request-timeout=0.3", "--keep-alive=0.3",
                                  "--header-timeout=0.3", "--body-timeout=0.3")
        client = self.switch(server)
        later = self.dial(server)  # the same limits, which begin behind those of the first
        self.assertEqual(later.get("/").status, 200)
        self.assertTrue(later.is_closed())
        self.assert_speaks(client)

    def test_worker_connections(self):
        server = self.serve_lines("--worker-connections=1")
        client = self.switch(server)
        waiting = socket.create_connection(server.address, timeout=1.5)
        with waiting:
            waiting.sendall(cress.request() if not self.tls else b"\x16\x03\x01")
            with self.assertRaises(socket.timeout):
                waiting.recv(1)
        self.assert_speaks(client)
        client.send(b"quit\n")
        client.rest()
        self.assert_speaks(self.switch(server))

    def test_concurrency(self):
        server = self.serve_lines("--concurrency=1", "--concurrency-backlog=0")
        client = self.switch(server)
        self.assertEqual(self.dial(server).get("/").status, 503)
        client.send(b"quit\n")
        client.rest()
        cress.eventually(lambda: self.dial(server).get("/").status == 200, "its place is free")

    # ---- stopping --------------------------------------------------------------------------

    def test_graceful_stop(self):
        server = self.serve_lines("--graceful-timeout=600", "--access-logfile", "-",
                                  stdout=subprocess.PIPE)
        clients = [self.switch(server), self.switch(server, "/half-closed")]
        for client in clients:
            self.assert_speaks(client)
        server.signal(signal.SIGTERM)
        for client in clients:
            self.assertEqual(client.rest(), b"farewell\n")
            client.close()
        self.assertEqual(server.wait(), 0)
        with server.process.stdout as log:
            self.assertEqual(len(re.findall(" 101 22 ", log.read())), 2)

    def test_graceful_stop_of_one_that_does_not_read(self):
        server = self.serve_lines("--graceful-timeout=0.5")
        client = self.switch(server, "/sleep")
        server.signal(signal.SIGTERM)
        with contextlib.suppress(ssl.SSLEOFError):  # it is cut, without a goodbye
            self.assertEqual(client.rest(), b"")
        self.assertEqual(server.wait(), 0)
        server.await_log("sleep: ECANCELED")

    def test_graceful_stop_amid_a_transfer(self):
        """What has arrived by then is answered."""
        server = self.serve_lines("--graceful-timeout=600")
        client = self.switch(server, receive_buffer=4096)
        data = lines(1 << 20)
        client.sock.setblocking(False)
        sent = 0
        with contextlib.suppress(BlockingIOError, ssl.SSLWantWriteError):
            while sent < len(data):
                sent += client.sock.send(memoryview(data)[sent:sent + 15000])
        client.sock.settimeout(cress.DEADLINE)
        server.signal(signal.SIGTERM)
        server.await_log("Handling signal: term")
        received = client.rest()
        self.assertTrue(received.endswith(b"farewell\n"), received[-100:])
        self.assertTrue(data.upper().startswith(received[:-9]))
        client.close()
        self.assertEqual(server.wait(), 0)

    def test_quick_stop(self):
        server = self.serve_lines()
        self.switch(server)
        self.switch(server, "/sleep")
        self.switch(server, "/flood", receive_buffer=4096)
        self.assertEqual(server.stop(), 0)
        server.await_log("echo: ECANCELED")
        server.await_log("sleep: ECANCELED")
        server.await_log("flood: ECANCELED")


class Plain(Tests, cress.ServerTest):
    pass


class Tls(Tests, cress.ServerTest):
    tls = True

    def test_openssl(self):
        server = self.serve_lines()
        done = subprocess.run(["openssl", "s_client", "-quiet", "-CAfile", authority.file,
                               "-connect", "127.0.0.1:%d" % server.address[1]],
                              input=request() + b"one\nquit\n", stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, timeout=cress.DEADLINE)
        head, answer = done.stdout.split(b"\r\n\r\n", 1)
        self.assertTrue(head.startswith(b"HTTP/1.1 101 "), head)
        self.assertEqual(answer, b"ONE\nQUIT\nfarewell\n")


if __name__ == "__main__":
    unittest.main()
