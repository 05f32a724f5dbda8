"""The sample applications, loaded by the program cress and asked over real sockets."""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import socket
import subprocess
import tempfile
import threading
import unittest

from serving import DEADLINE, SANITIZED, eventually, read_all, serve_module


class Sample(unittest.TestCase):
    name = None
    options = []

    @classmethod
    def setUpClass(cls):
        cls.server = serve_module(cls.name, *cls.options)
        cls.addClassCleanup(cls.server.stop)

    def get(self, path, method="GET", **more):
        response, body = self.server.request(method, path, **more)
        return response.status, body

    def assert_allows(self, allowed, *methods):
        for method in methods:
            response, _ = self.server.request(method, "/")
            self.assertEqual((response.status, response.getheader("Allow")), (405, allowed))

    def curl(self, *args):
        return subprocess.run(["curl", "-sS", "--max-time", str(DEADLINE), *args],
                              stdout=subprocess.PIPE, check=True).stdout


class Hello(Sample):
    name = "hello"

    def test_thirteen_bytes(self):
        response, body = self.server.request("GET", "/")
        self.assertEqual((response.status, body), (200, b"hello, world\n"))
        self.assertEqual(response.getheader("Content-Length"), "13")
        self.assertEqual(response.getheader("Content-Type"), "text/plain")

    def test_head(self):
        response, body = self.server.request("HEAD", "/")
        self.assertEqual((response.status, body), (200, b""))
        self.assertEqual(response.getheader("Content-Length"), "13")

    def test_curl(self):
        self.assertEqual(self.curl(self.server.url), b"hello, world\n")


class Environ(Sample):
    name = "environ"

    def environ(self, path, method="GET", **more):
        response, body = self.server.request(method, path, **more)
        self.assertEqual(response.status, 200)
        self.assertEqual(response.getheader("Content-Type"), "application/json")
        return json.loads(body.decode("utf-8", errors="strict"))

    def test_keys(self):
        env = self.environ("/some/path?name=value", "POST", body=b"abc",
                           headers={"Content-Type": "text/x", "X-Colour": "green"})
        for key, value in {
            "REQUEST_METHOD": "POST", "PATH_INFO": "/some/path", "QUERY_STRING": "name=value",
            "CONTENT_TYPE": "text/x", "CONTENT_LENGTH": "3", "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1", "SERVER_PORT": str(self.server.port),
            "GATEWAY_INTERFACE": "CGI/1.1", "wsgi.url_scheme": "http", "HTTP_X_COLOUR": "green",
        }.items():
            with self.subTest(key=key):
                self.assertEqual(env.get(key), value)

    def test_escapes(self):
        env = self.environ("/a%22b%5Cc%0A%09%01%7F/%C3%A9%F0%9F%99%82",
                           headers={"X-Quoted": 'say "no\\yes"\t!'})
        self.assertEqual(env["PATH_INFO"], '/a"b\\c\n\t\x01\x7f/\u00e9\U0001f642')
        self.assertEqual(env["HTTP_X_QUOTED"], 'say "no\\yes"\t!')

    def test_what_is_not_utf8_is_replaced(self):
        bad = "\ufffd"
        for sent, seen in [
            ("%FF", bad), ("%80x", bad + "x"), ("%C3", bad), ("%C3(", bad + "("),
            ("%C0%AF", bad * 2), ("%E0%80%AF", bad * 3), ("%ED%A0%80", bad * 3),
            ("%F0%80%80%AF", bad * 4), ("%F4%90%80%80", bad * 4), ("%F5%80%80%80", bad * 4),
            ("%E2%82", bad * 2), ("%F0%9F%99", bad * 3), ("%F4%8F%BF%BF", "\U0010ffff"),
        ]:
            with self.subTest(path=sent):
                self.assertEqual(self.environ("/" + sent)["PATH_INFO"], "/" + seen)

    def test_curl(self):
        env = json.loads(self.curl(self.server.url + "/x", "-A", "me/1"))
        self.assertEqual((env["PATH_INFO"], env["HTTP_USER_AGENT"]), ("/x", "me/1"))


class Echo(Sample):
    name = "echo"

    def test_same_body_length_and_type(self):
        response, body = self.server.request("POST", "/", body=b"\0\xff binary",
                                             headers={"Content-Type": "image/x"})
        self.assertEqual((response.status, body), (200, b"\0\xff binary"))
        self.assertEqual(response.getheader("Content-Type"), "image/x")
        self.assertEqual(response.getheader("Content-Length"), "9")

    def test_empty(self):
        response, body = self.server.request("PUT", "/", body=b"")
        self.assertEqual((response.status, body), (200, b""))
        self.assertEqual(response.getheader("Content-Type"), "application/octet-stream")

    def test_other_methods(self):
        self.assert_allows("POST, PUT", "GET", "DELETE")

    def test_as_it_comes(self):
        with self.server.connect() as client, client.makefile("rb") as reader:
            client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                           b"3\r\nabc\r\n")
            head = []
            while (line := reader.readline()) != b"\r\n":
                head.append(line)
            self.assertEqual(head[0], b"HTTP/1.1 200 OK\r\n")
            self.assertIn(b"Transfer-Encoding: chunked\r\n", head)
            self.assertEqual(reader.read(8), b"3\r\nabc\r\n")
            client.sendall(b"5\r\ndefgh\r\n")
            self.assertEqual(reader.read(10), b"5\r\ndefgh\r\n")
            client.sendall(b"0\r\n\r\n")
            self.assertEqual(reader.read(5), b"0\r\n\r\n")

    def test_large(self):
        body = os.urandom(1 << 20) * 8
        head = f"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        with self.server.connect() as client:
            sender = threading.Thread(target=client.sendall, args=(head.encode() + body,))
            sender.start()
            received = read_all(client)
            sender.join()
        self.assertEqual(received.partition(b"\r\n\r\n")[2], body)

    def test_curl(self):
        self.assertEqual(self.curl(self.server.url, "-d", "a=b"), b"a=b")
        self.assertEqual(self.curl(self.server.url, "-H", "Transfer-Encoding: chunked",
                                   "-d", "a=b"), b"a=b")


class Stream(Sample):
    name = "stream"

    def test_chunks(self):
        with self.server.connect() as client:
            client.sendall(b"GET /?n=2&ms=10 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            body = read_all(client).partition(b"\r\n\r\n")[2]
        self.assertEqual(body, b"c\r\nline 1 of 2\n\r\nc\r\nline 2 of 2\n\r\n0\r\n\r\n")

    def test_counts(self):
        self.assertEqual(self.get("/?n=0"), (200, b""))
        self.assertEqual(self.get("/?n=3&ms=0"),
                         (200, b"line 1 of 3\nline 2 of 3\nline 3 of 3\n"))
        status, body = self.get("/?n=20000&ms=0")
        self.assertEqual((status, body.count(b"\n")), (200, 20000))

    def test_nothing_is_held_back(self):
        with self.server.connect() as client, client.makefile("rb") as reader:
            client.sendall(b"GET /?n=2&ms=60000 HTTP/1.0\r\n\r\n")
            while reader.readline() != b"\r\n":
                pass
            self.assertEqual(reader.readline(), b"line 1 of 2\n")

    def test_nonsense(self):
        for query in ("n=", "n=x", "n=-1", "n=%2B1", "n=1.5", "n=1000001", "n=99999999999999999999",
                      "n=1%00", "ms=60001", "ms=soon"):
            with self.subTest(query=query):
                self.assertEqual(self.get("/?" + query)[0], 400)

    def test_head_does_not_take_its_time(self):
        response, body = self.server.request("HEAD", "/?n=1000&ms=60000")
        self.assertEqual((response.status, body), (200, b""))
        self.assertNotEqual(response.getheader("Content-Length"), "0")

    def test_other_methods(self):
        self.assert_allows("GET, HEAD", "POST", "DELETE")

    def test_curl(self):
        self.assertEqual(self.curl("-N", self.server.url + "/?n=1"), b"line 1 of 1\n")


class LongPoll(Sample):
    name = "longpoll"

    def setUp(self):
        self.server = serve_module(self.name)
        self.addCleanup(self.server.stop)

    @classmethod
    def setUpClass(cls):
        pass  # each test begins with an empty board

    def poll(self, query):
        response, body = self.server.request("GET", "/?" + query)
        return response.status, response.getheader("Board-Version"), body

    def post(self, text):
        response, _ = self.server.request("POST", "/", body=text)
        return response.status, response.getheader("Board-Version")

    def test_what_is_there_comes_at_once(self):
        self.assertEqual(self.post(b"first"), (204, "1"))
        self.assertEqual(self.post(b"\0second\xff"), (204, "2"))
        for query in ("", "seen=0", "seen=1", "seen=77"):
            with self.subTest(query=query):
                self.assertEqual(self.poll(query), (200, "2", b"\0second\xff"))

    def test_an_empty_text_is_one(self):
        self.assertEqual(self.post(b""), (204, "1"))
        self.assertEqual(self.poll("seen=0"), (200, "1", b""))

    def test_nothing_new_in_time(self):
        self.assertEqual(self.poll("seen=0&wait=0"), (204, "0", b""))
        self.post(b"text")
        self.assertEqual(self.poll("seen=1&wait=1"), (204, "1", b""))

    def test_one_text_wakes_all(self):
        clients = [self.server.connect() for _ in range(30)]
        for client in clients:
            client.sendall(b"GET /?seen=0 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        # A request that came later is answered: those before it are parked.
        self.assertEqual(self.poll("seen=0&wait=0"), (204, "0", b""))
        for client in clients:
            client.setblocking(False)
            with self.assertRaises(BlockingIOError):
                client.recv(1)
            client.settimeout(DEADLINE)
        self.assertEqual(self.post(b"news"), (204, "1"))
        for client in clients:
            with client:
                head, _, body = read_all(client).partition(b"\r\n\r\n")
            self.assertTrue(head.startswith(b"HTTP/1.1 200 "), head)
            self.assertIn(b"\r\nBoard-Version: 1", head)
            self.assertEqual(body, b"news")

    def test_limits_and_nonsense(self):
        self.assertEqual(self.post(b"x" * 4096), (204, "1"))
        self.assertEqual(self.post(b"y" * 4097)[0], 413)
        self.assertEqual(self.poll("seen=0"), (200, "1", b"x" * 4096))
        for query in ("seen=", "seen=one", "seen=-1", "wait=x", "wait="):
            self.assertEqual(self.get("/?" + query)[0], 400)
        self.assertEqual(self.get("/elsewhere")[0], 404)
        self.assert_allows("GET, HEAD, POST", "PUT", "DELETE")

    def test_curl(self):
        self.curl(self.server.url, "--data-binary", "Hello!")
        self.assertEqual(self.curl(self.server.url), b"Hello!")


class Slow(Sample):
    name = "slow"
    options = ["--request-timeout", "15"]

    def test_sleeps(self):
        self.assertEqual(self.get("/?ms=20"), (200, b"slept 20 ms\n"))
        self.assertEqual(self.get("/?ms=0"), (200, b"slept 0 ms\n"))
        self.assertEqual(self.get("/?ms=0", "HEAD"), (200, b""))

    def test_many_at_once(self):
        """60 times 5 s would be 300 s in turn, and the test's own limit is 60."""
        clients = [self.server.connect() for _ in range(60)]
        for client in clients:
            client.sendall(b"GET /?ms=5000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        for client in clients:
            with client:
                self.assertTrue(read_all(client).endswith(b"\r\n\r\nslept 5000 ms\n"))

    def test_nonsense(self):
        for query in ("", "?ms=", "?ms=x", "?ms=-1", "?ms=1e3", "?ms=600001", "?ms=" + "9" * 30):
            with self.subTest(query=query):
                self.assertEqual(self.get("/" + query)[0], 400)
        self.assert_allows("GET, HEAD", "POST", "PUT")

    def test_curl(self):
        self.assertEqual(self.curl(self.server.url + "/?ms=1"), b"slept 1 ms\n")


class Impatient(Sample):
    name = "slow"
    options = ["--request-timeout", "0.2"]

    def test_the_servers_limit(self):
        self.assertEqual(self.get("/?ms=60000")[0], 503)
        self.assertEqual(self.get("/?ms=1"), (200, b"slept 1 ms\n"))


class Leaving(unittest.TestCase):
    def test_a_sleeper_ends_with_its_client(self):
        with tempfile.TemporaryDirectory() as folder:
            log = pathlib.Path(folder) / "access.log"
            server = serve_module("slow", "--request-timeout", "0", "--access-logfile", str(log))
            self.addCleanup(server.stop)
            with server.connect() as client:
                client.sendall(b"GET /?ms=600000 HTTP/1.1\r\nHost: x\r\n\r\n")
                self.assertEqual(server.request("GET", "/?ms=0")[0].status, 200)
                self.assertNotIn("ms=600000", log.read_text())
            eventually(lambda: "GET /?ms=600000 " in log.read_text(), "the request's end")


class Upload(Sample):
    name = "upload"

    def assert_summary(self, answer, body):
        status, text = answer
        self.assertEqual(status, 200)
        self.assertEqual(json.loads(text), {"bytes": len(body),
                                            "sha256": hashlib.sha256(body).hexdigest()})

    def test_sizes(self):
        for size in (0, 1, 16384, 100000, 3 << 20):
            with self.subTest(size=size):
                body = os.urandom(size)
                self.assert_summary(self.get("/", "PUT", body=body), body)

    def test_chunked(self):
        pieces = [os.urandom(size) for size in (1, 5000, 70000, 3)]
        answer = self.get("/", "POST", body=iter(pieces), encode_chunked=True,
                          headers={"Transfer-Encoding": "chunked"})
        self.assert_summary(answer, b"".join(pieces))

    def test_several_at_once(self):
        bodies = [os.urandom(300000) for _ in range(12)]
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            for body, answer in zip(bodies, pool.map(lambda b: self.get("/", "PUT", body=b), bodies)):
                self.assert_summary(answer, body)

    def test_a_client_that_leaves_in_the_middle(self):
        with self.server.connect() as client:
            client.sendall(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nabc")
            client.shutdown(socket.SHUT_WR)
            self.assertNotIn(b" 200 ", read_all(client))
        self.assert_summary(self.get("/", "PUT", body=b"next"), b"next")

    def peak_memory(self):
        with open(f"/proc/{self.server.process.pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

    @unittest.skipIf(SANITIZED, "a sanitizer has memory of its own")
    def test_constant_memory(self):
        self.assert_summary(self.get("/", "PUT", body=b"warm"), b"warm")
        before = self.peak_memory()
        body = bytes(64 << 20)
        self.assert_summary(self.get("/", "PUT", body=body), body)
        self.assertLess(self.peak_memory() - before, 4096)

    def test_other_methods(self):
        self.assert_allows("PUT, POST", "GET", "DELETE")

    def test_curl(self):
        answer = self.curl(self.server.url, "-T", __file__)
        with open(__file__, "rb") as file:
            self.assert_summary((200, answer), file.read())


del Sample

if __name__ == "__main__":
    unittest.main()
