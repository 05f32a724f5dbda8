"""HTTPS, with OpenSSL's, curl's and wrk's clients, and with some that keep to nothing."""

import contextlib
import pathlib
import re
import select
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import unittest

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "support"))
import certificates  # noqa: E402
import cress_server as cress  # noqa: E402

HANDLERS = cress.module("handlers")
USAGE, TLS = 2, 9


def setUpModule():
    global authority, certfile, keyfile
    authority = certificates.Authority()
    certfile, keyfile = authority.issue("server")


def tearDownModule():
    authority.close()


def trusting(version=None):
    context = ssl.create_default_context(cafile=authority.file)
    if version:
        context.minimum_version = context.maximum_version = version
    return context


class Memory:
    """A client whose records are sent as the test likes, over a plain Client."""

    def __init__(self, raw):
        self.raw = raw
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.side = trusting().wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")

    def until_done(self, call, send):
        while True:
            try:
                result = call()
                send(self.outgoing.read())
                return result
            except ssl.SSLWantReadError:
                send(self.outgoing.read())
                data = self.raw.sock.recv(65536)
                if data:
                    self.incoming.write(data)
                else:
                    self.incoming.write_eof()

    def handshake(self, send):
        self.until_done(self.side.do_handshake, send)

    def receive(self):
        return self.until_done(self.side.read, lambda data: None)

    def end(self):
        """Puts a goodbye into outgoing."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.side.unwrap()


class HttpsTest(cress.ServerTest):
    def serve_https(self, module=HANDLERS, *options, version=None):
        server = self.serve(module, "--certfile", certfile, "--keyfile", keyfile, *options)
        context = trusting(version)

        def connect():
            sock = socket.create_connection(server.address, timeout=cress.DEADLINE)
            return cress.Client(context.wrap_socket(sock, server_hostname="localhost",
                                                  suppress_ragged_eofs=False))

        server.connect = connect
        self.url = "https://localhost:%d" % server.address[1]
        return server

    def connect_raw(self, server):
        client = cress.Client(socket.create_connection(server.address, timeout=cress.DEADLINE))
        self.addCleanup(client.close)
        return client


class Configuration(unittest.TestCase):
    def fails(self, status, message, *options):
        for verb in (), ("--check-config",):
            got, _, err = cress.run(HANDLERS, "-b", "127.0.0.1:0", "--log-level=error", *options,
                                    *verb)
            self.assertEqual((got, err), (status, f"cress: {message}\n"))

    def test_files(self):
        other, other_key = authority.issue("other")
        junk = authority.write("junk", "junk\n")
        self.fails(TLS, "/nowhere/x: No such file or directory", "--certfile", "/nowhere/x")
        self.fails(TLS, "/nowhere/x: No such file or directory", "--certfile", certfile,
                   "--keyfile", "/nowhere/x")
        self.fails(TLS, f"{junk}: not a certificate in PEM: no start line", "--certfile", junk)
        self.fails(TLS, f"{other_key}: not the key of {certfile}", "--certfile", certfile,
                   "--keyfile", other_key)
        self.fails(TLS, 'ciphers: "nonsense" names none that can be used', "--certfile", certfile,
                   "--keyfile", keyfile, "--ciphers", "nonsense")

    def test_key_without_certificate(self):
        self.fails(USAGE, "--keyfile: there is no --certfile", "--keyfile", keyfile)
        self.fails(USAGE, "--ciphers: there is no --certfile", "--ciphers", "ALL")

    def test_both_in_one_file(self):
        both = authority.write("both", pathlib.Path(certfile).read_text() +
                               pathlib.Path(keyfile).read_text())
        self.assertEqual(cress.run(HANDLERS, "--certfile", both, "--check-config"),
                         (0, "configuration ok\n", ""))


class Serving(HttpsTest):
    def test_it_says_where(self):
        server = self.serve_https()
        self.assertEqual(server.urls, ["https://127.0.0.1:%d" % server.address[1]])

    def test_keep_alive(self):
        server = self.serve_https()
        client = self.connect(server)
        for _ in range(50):
            self.assertEqual(client.get().body, b"hello, world\n")

    def test_both_versions(self):
        for version in ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3:
            with self.subTest(version=version):
                server = self.serve_https(version=version)
                self.assertEqual(server.ask().body, b"hello, world\n")

    def test_environ(self):
        server = self.serve_https(cress.app("environ"))
        text = server.ask("/").body.decode()
        for line in ("wsgi.url_scheme.*https", "HTTPS.*on", r"SSL_PROTOCOL.*TLSv1\.3",
                     "SSL_CIPHER.*TLS_AES", "SSL_TLS_SNI.*localhost"):
            self.assertRegex(text, line)

    def test_environ_without_tls(self):
        text = self.serve(cress.app("environ")).ask("/").body.decode()
        self.assertNotRegex(text, "SSL_|HTTPS")
        self.assertRegex(text, "wsgi.url_scheme.*http\\b")

    def test_access_log(self):
        with tempfile.NamedTemporaryFile("r") as log:
            server = self.serve_https(HANDLERS, "--access-logfile", log.name)
            server.ask("/state")
            line = cress.eventually(lambda: pathlib.Path(log.name).read_text(), "a line")
            self.assertRegex(line, r'^127\.0\.0\.1 - - \[.*\] "GET /state HTTP/1\.1" 200 ')

    def test_pipelined(self):
        """More requests than the receive buffer holds, decrypted before they are asked for."""
        server = self.serve_https()
        raw = self.connect_raw(server)
        memory = Memory(raw)
        memory.handshake(raw.send)
        count = 2000
        memory.side.write(b"".join(cress.request(f"/?{i}") for i in range(count)))
        thread = threading.Thread(target=raw.send, args=(memory.outgoing.read(),))
        thread.start()
        answers = b""
        while answers.count(b"hello, world\n") < count:
            answers += memory.receive()
        self.assertEqual(answers.count(b"HTTP/1.1 200 OK\r\n"), count)
        thread.join()

    def test_read_ahead_while_a_handler_waits(self):
        """The requests behind it are read ahead, and answered when it is done; of 15, the last
        are then in OpenSSL's buffer, and nothing is in the kernel's."""
        server = self.serve_https(HANDLERS, "--keep-alive=60", "--header-timeout=60")
        padding = "X-Padding: " + "x" * 700 + "\r\n"
        for count in 15, 100:
            with self.subTest(count=count):
                client = self.connect(server)
                client.send(cress.request("/wait"))
                server.await_state(waiting=1)
                client.send(cress.request("/", headers=padding) * count)
                server.settle()
                server.ask("/wake")
                self.assertEqual(client.response().body, b"woken\n")
                for _ in range(count):
                    self.assertEqual(client.response().body, b"hello, world\n")

    def test_large_answers(self):
        server = self.serve_https()
        for size in 512, 5000, 65536:
            with self.subTest(size=size):
                total = 8 << 20
                answer = server.ask(f"/flood?size={size}&count={total // size}")
                self.assertEqual(len(answer.body), total // size * size)

    def test_slow_reader_gets_all_to_the_last_byte(self):
        server = self.serve_https()
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        sock.settimeout(cress.DEADLINE)
        sock.connect(server.address)
        with cress.Client(trusting().wrap_socket(sock, server_hostname="localhost",
                                                 suppress_ragged_eofs=False)) as client:
            total = 4 << 20
            client.send(cress.request(f"/flood?size=65536&count={total >> 16}",
                                      headers="Connection: close\r\n"))
            server.settle()
            self.assertEqual(len(client.response().body), total)
            self.assertEqual(client.sock.recv(1), b"")  # the goodbye, not a cut

    def test_upload(self):
        server = self.serve_https()
        body = bytes(range(256)) * 12000
        self.assertEqual(server.ask("/count-body", method="POST", body=body).body,
                         b"%d bytes\n" % len(body))

    def test_large_upload_that_nobody_reads(self):
        server = self.serve_https()
        answer = server.ask("/ignore-body", method="POST", body=b"x" * 100_000)
        self.assertEqual(answer.status, 200)

    def test_request_in_one_write_with_the_goodbye(self):
        """The end was seen with the request; nothing of either is lost."""
        server = self.serve_https(HANDLERS, "--keep-alive", "60")
        raw = self.connect_raw(server)
        memory = Memory(raw)
        memory.handshake(raw.send)
        memory.side.write(cress.request())
        memory.side.write(cress.request())
        memory.end()
        raw.send(memory.outgoing.read())
        answer = b""
        while answer.count(b"hello, world\n") < 2:
            answer += memory.receive()
        with self.assertRaises(ssl.SSLZeroReturnError):
            memory.receive()


class Ends(HttpsTest):
    def test_idle_connection_gets_a_goodbye(self):
        server = self.serve_https(HANDLERS, "--keep-alive", "0.3")
        client = self.connect(server)
        self.assertEqual(client.get().status, 200)
        self.assertEqual(client.sock.recv(1), b"")  # ssl.SSLEOFError without one

    def test_so_does_one_at_shutdown(self):
        server = self.serve_https(HANDLERS, "--keep-alive", "60")
        client = self.connect(server)
        self.assertEqual(client.get().status, 200)
        server.signal(15)
        self.assertEqual(client.sock.recv(1), b"")
        self.assertEqual(server.wait(), 0)

    def test_error_answer_is_read_to_its_end(self):
        server = self.serve_https()
        client = self.connect(server)
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" + b"x" * 50_000)
        self.assertEqual(client.response().status, 400)

    def test_close_cancels_a_waiting_handler(self):
        server = self.serve_https()
        client = self.connect(server)
        client.send(cress.request("/wait"))
        server.await_state(waiting=1)
        client.close()
        server.await_log("cleaned up after ECANCELED")
        server.await_state(waiting=0, cleaned=1, deferred=1)

    def test_reset_cancels_a_waiting_handler(self):
        server = self.serve_https()
        client = self.connect(server)
        client.send(cress.request("/wait"))
        server.await_state(waiting=1)
        client.reset()
        server.await_state(waiting=0, cleaned=1)

    def test_goodbye_cancels_a_waiting_handler(self):
        server = self.serve_https()
        client = self.connect(server)
        client.send(cress.request("/wait"))
        server.await_state(waiting=1)
        client.sock.unwrap()
        server.await_state(waiting=0, cleaned=1)

    def test_goodbye_right_behind_another_request(self):
        """It has been decrypted with the request: no descriptor tells of it."""
        server = self.serve_https()
        raw = self.connect_raw(server)
        memory = Memory(raw)
        memory.handshake(raw.send)
        memory.side.write(cress.request("/wait"))
        raw.send(memory.outgoing.read())
        server.await_state(waiting=1)
        memory.side.write(cress.request())
        memory.end()
        raw.send(memory.outgoing.read())
        server.await_state(waiting=0, cleaned=1)

    def test_body_that_is_cut(self):
        server = self.serve_https()
        client = self.connect(server)
        client.send(b"POST /count-body HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345")
        client.close()
        self.assertEqual(server.ask().status, 200)


class SlowClients(HttpsTest):
    """An answer of which the last record is kept by the server: its handler is done, and the
    goodbye waits for the client to read. Over a unix socket, whose room does not grow."""

    def serve_unix(self, *options):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = f"{folder.name}/socket"
        return self.serve(HANDLERS, "--certfile", certfile, "--keyfile", keyfile,
                          "--max-blocking-time", "0", *options, bind=f"unix:{self.path}")

    def connect_unix(self):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(cress.DEADLINE)
        sock.connect(self.path)
        client = cress.Client(trusting().wrap_socket(sock, server_hostname="localhost",
                                                     suppress_ragged_eofs=False))
        self.addCleanup(client.close)
        return client

    def is_kept(self, server, client):
        """False: the kernel has taken the answer. The goodbye itself may wait for 2 s."""
        poll = select.poll()
        poll.register(client.sock, select.POLLRDHUP)
        waiting = (r"  HTTP connection: waits on room to write to a TLS stream \S+, "
                   r"since \S+ s(?:, for (\d+)\.\d+ s at most)?\n")

        def what():
            if poll.poll(0):
                return "taken"
            dumps = len(re.findall(r"Dumped\n", server.log()))
            server.signal(signal.SIGUSR2)
            server.await_log(r"Dumped\n", dumps + 1)
            found = re.search(waiting, server.log().split("Handling signal: usr2")[-1])
            return found and ("taken" if found[1] in ("0", "1", "2") else "kept")

        return cress.eventually(what, "the answer is taken or kept") == "kept"

    def await_goodbye(self, server):
        """One record more each time, until one does not fit: it is the last."""
        for count in range(1, 1000):
            client = self.connect_unix()
            client.send(cress.request(f"/flood?size=8192&count={count}", version="1.0"))
            if self.is_kept(server, client):
                return client
            client.close()
        raise AssertionError("everything fits")

    def stops(self, server, signum):
        server.signal(signum)
        self.assertEqual(server.wait(), 0)
        self.assertNotIn("did not end in time", server.log())

    def test_goodbye_follows_when_it_reads(self):
        server = self.serve_unix("--write-timeout=0")
        client = self.await_goodbye(server)
        self.assertGreater(len(client.response().body), 8192)  # ssl.SSLEOFError without one

    def test_int_does_not_wait_for_it(self):
        server = self.serve_unix("--write-timeout=0")
        self.await_goodbye(server)
        self.stops(server, signal.SIGINT)

    def test_term_waits_for_the_graceful_timeout_only(self):
        server = self.serve_unix("--write-timeout=600", "--graceful-timeout=0.3")
        self.await_goodbye(server)
        self.stops(server, signal.SIGTERM)
        self.assertIn("1 connections are cut", server.log())


class Handshakes(HttpsTest):
    def test_silent_client(self):
        server = self.serve_https(HANDLERS, "--handshake-timeout", "0.3", "--header-timeout", "60")
        client = self.connect_raw(server)
        self.assertTrue(client.is_closed())

    def hello(self):
        """The first bytes of a client."""
        memory = Memory(None)
        with self.assertRaises(ssl.SSLWantReadError):
            memory.side.do_handshake()
        return memory.outgoing.read()

    def test_half_handshakes(self):
        server = self.serve_https(HANDLERS, "--handshake-timeout", "0.3", "--header-timeout", "60",
                                  "--log-level", "debug")
        hello = self.hello()
        clients = []
        for cut in 1, 5, 50, len(hello) - 1, len(hello):
            client = self.connect_raw(server)
            client.send(hello[:cut])
            clients.append(client)
        for client in clients:
            client.rest()  # all are closed, some after the server's part
        server.await_log("TLS handshake with 127.0.0.1: too slow", 5)
        self.assertEqual(server.ask().status, 200)

    def test_it_is_not_the_head_s_limit(self):
        server = self.serve_https(HANDLERS, "--handshake-timeout", "60", "--header-timeout", "0.3")
        client = self.connect(server)
        self.assertTrue(client.is_closed())

    def test_drops(self):
        """Byte by byte."""
        server = self.serve_https()
        raw = self.connect_raw(server)
        memory = Memory(raw)

        def drip(data):
            for byte in data:
                raw.send(bytes([byte]))

        memory.handshake(drip)
        memory.side.write(cress.request())
        drip(memory.outgoing.read())
        self.assertIn(b"hello, world\n", memory.receive())

    def test_many_leave_during_it(self):
        server = self.serve_https(HANDLERS, "--worker-connections", "20")
        hello = self.hello()
        for cut in range(1, 60):
            with socket.create_connection(server.address) as sock:
                sock.sendall(hello[:cut * 5])
        self.assertEqual(server.ask().status, 200)

    def test_garbage(self):
        server = self.serve_https(HANDLERS, "--log-level", "debug")
        client = self.connect_raw(server)
        client.send(b"\x16\x03\x01\x00\x05" + b"\xff" * 100)
        client.rest()
        server.await_log("TLS handshake with 127.0.0.1: ")

    def test_plain_request(self):
        with tempfile.NamedTemporaryFile("r") as log:
            server = self.serve_https(HANDLERS, "--access-logfile", log.name)
            client = self.connect_raw(server)
            client.send(cress.request())
            answer = client.response()
            self.assertEqual(answer.status, 400)
            self.assertIn(b"plain HTTP request", answer.body)
            line = cress.eventually(lambda: pathlib.Path(log.name).read_text(), "a line")
            self.assertRegex(line, r'^127\.0\.0\.1 - - \[.*\] "-?" 400 ')

    def test_shutdown_does_not_wait_for_them(self):
        server = self.serve_https(HANDLERS, "--handshake-timeout", "60")
        client = self.connect_raw(server)
        client.send(self.hello()[:20])
        server.settle()
        server.signal(15)
        self.assertTrue(client.is_closed())
        self.assertEqual(server.wait(), 0)


class Peers(HttpsTest):
    def client(self, server, *options, text=b""):
        """openssl s_client: (status, what it says)."""
        done = subprocess.run(
            ["openssl", "s_client", "-connect", "127.0.0.1:%d" % server.address[1], "-CAfile",
             authority.file, "-servername", "localhost", "-verify_return_error", *options],
            input=text, capture_output=True, timeout=cress.DEADLINE, check=False)
        return done.returncode, (done.stdout + done.stderr).decode(errors="replace")

    def test_versions(self):
        server = self.serve_https()
        for option, name in ("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3"):
            with self.subTest(option=option):
                status, text = self.client(server, option)
                self.assertEqual(status, 0, text)
                self.assertIn("Verification: OK", text)
                self.assertRegex(text, f"New, {re.escape(name)}, Cipher is ")

    def test_old_versions_are_refused(self):
        server = self.serve_https()
        for option in "-tls1", "-tls1_1":
            with self.subTest(option=option):
                status, text = self.client(server, option, "-cipher", "ALL@SECLEVEL=0")
                self.assertEqual(status, 1, text)
                self.assertIn("alert protocol version", text)

    def test_alpn(self):
        server = self.serve_https()
        _, text = self.client(server, "-alpn", "h2,http/1.1")
        self.assertIn("ALPN protocol: http/1.1", text)
        status, text = self.client(server, "-alpn", "h2")
        self.assertEqual(status, 1, text)
        self.assertIn("no application protocol", text)

    def test_resumption(self):
        server = self.serve_https(HANDLERS, "--keep-alive", "0.5")
        request = cress.request().decode().replace("\r\n", "\n").encode()
        for option in "-tls1_2", "-tls1_3":
            with self.subTest(option=option):
                session = str(authority.folder / "session")
                options = option, "-quiet", "-no_ign_eof", "-crlf", "-ign_eof"
                self.client(server, *options, "-sess_out", session, text=request)
                _, text = self.client(server, option, "-ign_eof", "-crlf", "-sess_in", session,
                                      text=request)
                self.assertRegex(text, r"Reused, TLSv1\.")
                self.assertIn("hello, world", text)

    def test_reconnect(self):
        server = self.serve_https()
        _, text = self.client(server, "-tls1_2", "-reconnect")
        self.assertEqual(text.count("Reused, TLSv1.2"), 5, text)

    def test_renegotiation_is_refused(self):
        server = self.serve_https()
        _, text = self.client(server, "-tls1_2", text=b"R\n")
        self.assertIn("no renegotiation", text)
        self.assertEqual(server.ask().status, 200)

    def test_key_updates_without_end(self):
        server = self.serve_https(HANDLERS, "--keep-alive", "600", "--header-timeout", "600")
        with subprocess.Popen(
                ["openssl", "s_client", "-connect", "127.0.0.1:%d" % server.address[1], "-tls1_3"],
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as peer:
            self.addCleanup(peer.kill)
            for _ in range(34):
                peer.stdin.write(b"k\n")
                peer.stdin.flush()
                while peer.stderr.readline() not in (b"KEYUPDATE\n", b""):
                    continue
            peer.wait(cress.DEADLINE)  # its standard input is still open
        self.assertEqual(server.ask().status, 200)

    def curl(self, *args):
        done = subprocess.run(["curl", "-sS", "--cacert", authority.file, *args],
                              stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=cress.DEADLINE, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_curl(self):
        self.serve_https()
        out = self.curl("-w", "%{num_connects} %{http_version}\n", self.url, self.url)
        self.assertEqual(out, b"hello, world\n1 1.1\nhello, world\n0 1.1\n")

    def test_curl_at_the_address(self):
        server = self.serve_https()
        self.assertEqual(self.curl("https://127.0.0.1:%d/" % server.address[1]),
                         b"hello, world\n")

    def test_curl_uploads(self):
        self.serve_https()
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"x" * 3_000_000)
            file.flush()
            for option in "Content-Type: text/plain", "Transfer-Encoding: chunked":
                out = self.curl("-H", option, "--data-binary", f"@{file.name}",
                                self.url + "/count-body")
                self.assertEqual(out, b"3000000 bytes\n")

    def test_wrk(self):
        self.serve_https(HANDLERS, "--worker-connections", "200")
        done = subprocess.run(["wrk", "-t1", "-c100", "-d1", self.url + "/"],
                              capture_output=True, timeout=cress.DEADLINE, check=True, text=True)
        self.assertNotIn("Socket errors", done.stdout)
        self.assertNotIn("Non-2xx", done.stdout)
        self.assertGreater(int(re.search(r"(\d+) requests in", done.stdout).group(1)), 100)


if __name__ == "__main__":
    unittest.main()
