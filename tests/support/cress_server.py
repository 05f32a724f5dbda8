"""A cress server of a test's own, and a client that sends bytes.

Each server listens on a port that the kernel chose, which its "Listening at" line
tells. It is stopped by its process id, and must end with status 0: under the
sanitizers a leak or an overrun is a status of its own. Nothing here measures time;
what should happen is waited for, up to DEADLINE seconds.
"""

import contextlib
import os
import pathlib
import re
import resource
import select
import signal
import socket
import subprocess
import threading
import time
import unittest

SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("CRESS_BUILD_DIR", SOURCE / "build" / "release"))
CRESS = str(BUILD / "cress")
SANITIZED = bool(os.environ.get("CRESS_SANITIZE"))
DEADLINE = 20.0


def app(name):
    return str(BUILD / "apps" / f"{name}.so")


def module(name):
    return str(BUILD / "tests" / "server" / "modules" / f"{name}.so")


def eventually(condition, what="the condition", deadline=DEADLINE):
    """What condition() returns as soon as that is true."""
    end = time.monotonic() + deadline
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline} s: {what}")
        time.sleep(0.01)


def _limit_descriptors(count):
    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))
    return limit if count else None


def run(*args, descriptors=None, cwd=None, program=CRESS):
    """A cress that does not come to serve: (status, stdout, stderr)."""
    done = subprocess.run([program, *args], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=DEADLINE, cwd=cwd,
                          preexec_fn=_limit_descriptors(descriptors))
    return done.returncode, done.stdout, done.stderr


class Server:
    """cress MODULE OPTIONS..., or a program of its own (module_path None) with the same
    options, started and listening."""

    def __init__(self, module_path, *options, bind="127.0.0.1:0", descriptors=None, cwd=None,
                 stdout=subprocess.DEVNULL, program=CRESS, environment=None):
        bind_options = ["--bind", bind] if bind else []
        modules = [module_path] if module_path else []
        self.process = subprocess.Popen(
            [program, *bind_options, *options, *modules], stdin=subprocess.DEVNULL,
            stdout=stdout, stderr=subprocess.PIPE, cwd=cwd, text=True, errors="replace",
            env={**os.environ, **(environment or {})},
            preexec_fn=_limit_descriptors(descriptors))
        self.lines = []
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        self.urls = []
        try:
            eventually(self._has_started, "the server listens")
        except AssertionError:
            self.process.kill()
            raise
        self.family = socket.AF_INET
        self.address = None
        if bind == "127.0.0.1:0":
            self.address = ("127.0.0.1", int(self.urls[0].rsplit(":", 1)[1]))

    def _read_log(self):
        for line in self.process.stderr:
            self.lines.append(line)

    def _has_started(self):
        if self.process.poll() is not None:
            self._reader.join(DEADLINE)
            raise AssertionError(f"ended with {self.process.returncode}: {self.log()}")
        self.urls = re.findall(r"Listening at: (\S+) \(\d+\)", self.log())
        return bool(self.urls)

    def log(self):
        return "".join(self.lines)

    def await_log(self, pattern, count=1):
        """Waits until the log has that many matches of a regular expression."""
        return eventually(lambda: len(re.findall(pattern, self.log())) >= count,
                          f"{count} of {pattern!r} in the log, which is:\n{self.log()}")

    # ---- the process --------------------------------------------------------------

    @property
    def pid(self):
        return self.process.pid

    def signal(self, signum):
        self.process.send_signal(signum)

    def wait(self):
        """Its exit status."""
        status = self.process.wait(DEADLINE)
        self._reader.join(DEADLINE)
        self.process.stderr.close()
        return status

    def stop(self):
        """Asks it to stop, unless it has; its exit status."""
        if self.process.returncode is not None:
            return self.process.returncode
        self.process.send_signal(signal.SIGINT)
        try:
            return self.wait()
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.wait()
            raise

    def await_rest(self):
        """Waits until it sleeps: a server that finds something to do at each look never does."""
        stat = pathlib.Path(f"/proc/{self.pid}/stat")
        eventually(lambda: stat.read_text().rsplit(")", 1)[1].split()[0] == "S", "it rests")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    # ---- the client ----------------------------------------------------------------

    def connect(self):
        sock = socket.create_connection(self.address, timeout=DEADLINE)
        return Client(sock)

    def ask(self, path="/", method="GET", headers="", body=b"", version="1.1"):
        """One request on a connection of its own: the Response."""
        with self.connect() as client:
            client.send(request(path, method, headers + "Connection: close\r\n", body, version))
            return client.response(method)

    def _be_refused(self):
        sock = socket.create_connection(self.address, timeout=DEADLINE)
        with Client(sock) as client:
            client.send(b"GET / HTTP/1.1\r\n\r\n")
            if client.response().status != 400:
                raise AssertionError("a request without Host is not refused")

    def settle(self, ask=None):
        """Returns when the server has seen all that clients had sent, ended or closed before.

        On the loopback that stands in the server's socket when the client's call returns,
        and the server finds it when it looks at its descriptors the next time. An answer to what is
        asked later shows that it has looked. It may handle what it found in any order,
        and what that wakes runs last, so it is asked three times. The question is one that is
        refused before limits and applications are, over TLS as well: plain HTTP gets
        400 there. A server that accepts nobody must be asked in another way.
        """
        for _ in range(3):
            (ask or self._be_refused)()

    def state(self):
        """The counters of tests/server/modules/handlers.c."""
        text = self.ask("/state").body.decode()
        return {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", text)}

    def await_state(self, **expected):
        def reached():
            state = self.state()
            return all(state[name] == value for name, value in expected.items())
        eventually(reached, f"{expected}, the log is:\n{self.log()}")


def request(path="/", method="GET", headers="", body=b"", version="1.1"):
    length = f"Content-Length: {len(body)}\r\n" if body or method in ("POST", "PUT") else ""
    head = f"{method} {path} HTTP/{version}\r\nHost: test\r\n{length}{headers}\r\n"
    return head.encode("latin-1") + body


class Response:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body[:200]!r}>"


class Closed(Exception):
    """The server closed the connection before a whole response."""


class Client:
    """A connection to the server, byte by byte."""

    def __init__(self, sock):
        self.sock = sock
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def reset(self):
        """Closes with a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    def get(self, path="/", **kwargs):
        self.send(request(path, **kwargs))
        return self.response(kwargs.get("method", "GET"))

    def _more(self):
        data = self.sock.recv(65536)
        if not data:
            raise Closed(self.buffer)
        self.buffer += data

    def until(self, mark):
        while mark not in self.buffer:
            self._more()
        taken, self.buffer = self.buffer.split(mark, 1)
        return taken

    def exactly(self, count):
        while len(self.buffer) < count:
            self._more()
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def rest(self):
        """All until the server closes."""
        with contextlib.suppress(Closed):
            while True:
                self._more()
        taken, self.buffer = self.buffer, b""
        return taken

    def head(self):
        """(status, headers by lower-case name)."""
        lines = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        status = int(re.fullmatch(r"HTTP/1\.1 (\d{3}) .*", lines[0]).group(1))
        headers = {}
        for line in lines[1:]:
            name, value = line.split(":", 1)
            headers[name.lower()] = value.strip()
        return status, headers

    def chunk(self):
        """The next chunk; b"" is the last."""
        size = int(self.until(b"\r\n").split(b";")[0], 16)
        data = self.exactly(size)
        if self.exactly(2) != b"\r\n":
            raise AssertionError("a chunk does not end with CRLF")
        return data

    def next_chunk(self):
        """One that has not been there yet, of an answer that comes little by little."""
        while self.buffer or self.is_readable():
            self.chunk()
        return self.chunk()

    def is_readable(self):
        return bool(select.select([self.sock], [], [], 0)[0])

    def response(self, method="GET"):
        status, headers = self.head()
        if method == "HEAD" or status in (204, 304) or status < 200:
            body = b""
        elif "content-length" in headers:
            body = self.exactly(int(headers["content-length"]))
        elif headers.get("transfer-encoding") == "chunked":
            body = b"".join(iter(self.chunk, b""))
        else:
            body = self.rest()
        return Response(status, headers, body)

    def is_closed(self):
        """Waits: True at the server's end of the stream, False for bytes."""
        try:
            return not self.buffer and self.sock.recv(1) == b""
        except ConnectionResetError:
            return True


class ServerTest(unittest.TestCase):
    """Servers that a test starts here must end well."""

    maxDiff = None

    def serve(self, module_path, *options, expect_status=0, **kwargs):
        server = Server(module_path, *options, **kwargs)

        def end():
            status = server.stop()
            self.assertEqual(status, expect_status, server.log())
            self.assertNotIn("Sanitizer", server.log())
            self.assertNotIn("runtime error", server.log())

        self.addCleanup(end)
        return server

    def connect(self, server):
        client = server.connect()
        self.addCleanup(client.close)
        return client
