"""Other people's clients: curl, ab and wrk, as Debian packages them."""

import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "support"))
import cress_server as cress  # noqa: E402

REQUESTS = 2000 if cress.SANITIZED else 10000


def tool(*args, **kwargs):
    done = subprocess.run(args, stdin=subprocess.DEVNULL, capture_output=True, timeout=55,
                          check=False, **kwargs)
    if done.returncode != 0:
        raise AssertionError(f"{args}: status {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


class Curl(cress.ServerTest):
    def setUp(self):
        self.server = self.serve(cress.module("handlers"))
        self.url = "http://127.0.0.1:%d" % self.server.address[1]

    def curl(self, *args):
        return tool("curl", "-sS", *args)

    def test_get(self):
        self.assertEqual(self.curl(self.url), b"hello, world\n")

    def test_head(self):
        head = self.curl("-I", self.url).decode().split("\r\n")
        self.assertEqual(head[0], "HTTP/1.1 200 OK")
        self.assertIn("content-length: 13", [line.lower() for line in head])

    def test_two_over_one_connection(self):
        out = self.curl("-w", "%{num_connects}\n", self.url, self.url)
        self.assertEqual(out, b"hello, world\n1\nhello, world\n0\n")

    def test_10(self):
        self.assertEqual(self.curl("-0", self.url), b"hello, world\n")

    def test_chunked_answer(self):
        self.assertEqual(self.curl("-N", self.url + "/drip?count=3&ms=10"),
                         b"drop 0\ndrop 1\ndrop 2\n")

    def test_uploads(self):
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"x" * 3_000_000)
            file.flush()
            plain = self.curl("--data-binary", f"@{file.name}", self.url + "/count-body")
            chunked = self.curl("-H", "Transfer-Encoding: chunked", "--data-binary",
                                f"@{file.name}", self.url + "/count-body")
        self.assertEqual((plain, chunked), (b"3000000 bytes\n",) * 2)

    def test_unread_upload(self):
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"x" * 3_000_000)
            file.flush()
            out = subprocess.run(["curl", "-sS", "--data-binary", f"@{file.name}",
                                  self.url + "/ignore-body"], capture_output=True, timeout=55,
                                 check=False)
        self.assertEqual(out.stdout, b"ignored\n", out)

    def test_too_large_upload(self):
        server = self.serve(cress.module("handlers"), "--limit-request-body=1k")
        url = "http://127.0.0.1:%d/count-body" % server.address[1]
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"x" * 100_000)
            file.flush()
            out = self.curl("-o", "/dev/null", "-w", "%{http_code}", "--data-binary",
                            f"@{file.name}", url)
        self.assertEqual(out, b"413")

    def test_unix_socket(self):
        with tempfile.TemporaryDirectory() as folder:
            self.serve(cress.module("handlers"), bind=f"unix:{folder}/s")
            self.assertEqual(self.curl("--unix-socket", f"{folder}/s", "http://x/"),
                             b"hello, world\n")

    def test_ipv6(self):
        server = self.serve(cress.module("handlers"), bind="[::1]:0")
        self.assertEqual(self.curl("-g", server.urls[0]), b"hello, world\n")


class Ab(cress.ServerTest):
    def run_ab(self, *options):
        server = self.serve(cress.app("hello"))
        url = "http://127.0.0.1:%d/" % server.address[1]
        out = tool("ab", "-q", "-n", str(REQUESTS), "-c", "100", *options, url).decode()

        def number(name):
            return int(re.search(rf"^{name}:\s+(\d+)", out, re.M).group(1))
        self.assertEqual(number("Complete requests"), REQUESTS)
        self.assertEqual(number("Failed requests"), 0, out)
        self.assertNotIn("Non-2xx", out)
        self.assertEqual(number("HTML transferred"), 13 * REQUESTS)
        return number

    def test_connection_per_request(self):
        self.run_ab()

    def test_keep_alive(self):
        number = self.run_ab("-k")
        self.assertEqual(number("Keep-Alive requests"), REQUESTS)


class Wrk(cress.ServerTest):
    def run_wrk(self, *options, app="hello", path="/"):
        server = self.serve(cress.app(app))
        url = "http://127.0.0.1:%d%s" % (server.address[1], path)
        out = tool("wrk", "-t1", "-d1s", *options, url).decode()
        self.assertNotIn("Socket errors", out)
        self.assertNotIn("Non-2xx", out)
        self.assertGreater(int(re.search(r"(\d+) requests in", out).group(1)), 100, out)

    def test_keep_alive(self):
        self.run_wrk("-c64")

    def test_many_connections(self):
        self.run_wrk("-c500")

    def test_pipelined(self):
        with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
            script.write("""
                init = function(args)
                    local requests = {}
                    for i = 1, 16 do requests[i] = wrk.format() end
                    batch = table.concat(requests)
                end
                request = function() return batch end
            """)
            script.flush()
            self.run_wrk("-c16", "-s", script.name)

    def test_handlers_that_sleep(self):
        self.run_wrk("-c200", app="slow", path="/?ms=10")


if __name__ == "__main__":
    unittest.main()
