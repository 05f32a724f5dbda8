"""The tutorial programs that serve: over real sockets, as their users would see them."""

import concurrent.futures
import http.client
import re
import signal
import socket
import subprocess
import unittest

import tutorial_programs as tutorial
from serving import DEADLINE, Server, read_all


class StreamServer(unittest.TestCase):
    def setUp(self):
        self.process = tutorial.start("stream_server", "0")
        line = self.process.stdout.readline()
        self.port = int(re.fullmatch(r"Listening on port (\d+)\n", line)[1])

    def tearDown(self):
        self.process.send_signal(signal.SIGTERM)
        _, stderr = self.process.communicate(timeout=DEADLINE)
        self.assertEqual((self.process.returncode, stderr), (0, ""))

    def test_six_lines_and_the_end(self):
        clients = [socket.create_connection(("127.0.0.1", self.port), DEADLINE) for _ in range(8)]
        for client in clients:
            with client:
                self.assertEqual(read_all(client), b"Hello from a telnet!\n0\n1\n2\n3\n4\n")

    def test_clients_that_leave_at_once(self):
        for _ in range(150):
            socket.create_connection(("127.0.0.1", self.port), DEADLINE).close()
        self.test_six_lines_and_the_end()


class TutorialServer(unittest.TestCase):
    name = None

    def setUp(self):
        self.server = Server([tutorial.program(self.name), "--bind", "127.0.0.1:0"])
        self.addCleanup(self.server.stop)


class Wsgi(TutorialServer):
    name = "wsgi"

    def test_page(self):
        response, body = self.server.request("GET", "/")
        self.assertEqual(response.status, 200)
        self.assertEqual(response.getheader("Content-Type"), "text/html")
        self.assertEqual(response.getheader("Content-Length"), "18")
        self.assertEqual(body, b"<p>Hello World</p>")

    def test_curl(self):
        output = subprocess.run(["curl", "-sS", "--max-time", str(DEADLINE), self.server.url],
                                stdout=subprocess.PIPE, check=True).stdout
        self.assertEqual(output, b"<p>Hello World</p>")


class WsgiStream(TutorialServer):
    name = "wsgi_stream"

    def exchange(self, request):
        with self.server.connect() as client:
            client.sendall(request)
            head, _, body = read_all(client).partition(b"\r\n\r\n")
        return head.decode().split("\r\n"), body

    def test_chunked(self):
        head, body = self.exchange(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        self.assertEqual(head[0], "HTTP/1.1 200 OK")
        self.assertIn("Transfer-Encoding: chunked", head)
        self.assertIn("Content-Type: text/html", head)
        self.assertEqual(body, b"8\r\n<p>Hello\r\n9\r\nWorld</p>\r\n0\r\n\r\n")

    def test_until_close_for_http_1_0(self):
        head, body = self.exchange(b"GET / HTTP/1.0\r\n\r\n")
        self.assertRegex(head[0], r"HTTP/1\.[01] 200 OK")
        names = {line.partition(":")[0].lower() for line in head[1:]}
        self.assertFalse(names & {"transfer-encoding", "content-length"})
        self.assertEqual(body, b"<p>HelloWorld</p>")


class LongPoll(TutorialServer):
    name = "longpoll"
    chunk = b'e\r\n"Hello World"\n\r\n'

    def subscribe(self):
        client = self.server.connect()
        self.addCleanup(client.close)
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        reader = client.makefile("rb")
        self.addCleanup(reader.close)
        return client, reader

    def read_head(self, reader):
        head = http.client.parse_headers(reader) if reader.readline() else None
        self.assertEqual(head["Transfer-Encoding"], "chunked")
        self.assertEqual(head["Content-Type"], "application/json")

    def test_one_line_a_chunk(self):
        _, reader = self.subscribe()
        self.read_head(reader)
        for _ in range(2):
            self.assertEqual(reader.read(len(self.chunk)), self.chunk)

    def test_clients_compete_until_one_leaves(self):
        (first, first_reader), (_, second_reader) = self.subscribe(), self.subscribe()
        for reader in (first_reader, second_reader):
            self.read_head(reader)
            self.assertEqual(reader.read(len(self.chunk)), self.chunk)
        first.shutdown(socket.SHUT_RDWR)
        self.server.wait_for_log("a client left, 1 here")
        for _ in range(2):
            self.assertEqual(second_reader.read(len(self.chunk)), self.chunk)


class RequestLocal(TutorialServer):
    name = "request_local"

    def greeting(self, number):
        path = f"/?name=user{number}&ms={number * 37 % 200}"
        response, body = self.server.request("GET", path)
        return response.status, body.decode()

    def test_no_request_sees_another(self):
        with concurrent.futures.ThreadPoolExecutor(40) as pool:
            results = list(pool.map(self.greeting, range(200)))
        for number, result in enumerate(results):
            text = f"Hello user{number}, still user{number}, from 127.0.0.1\n"
            self.assertEqual(result, (200, text))

    def test_without_a_name(self):
        response, body = self.server.request("GET", "/")
        self.assertEqual((response.status, body), (200, b"Hello you, still you, from 127.0.0.1\n"))


del TutorialServer

if __name__ == "__main__":
    unittest.main()
