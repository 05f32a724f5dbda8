"""The server of tests/support, asked through Python's own HTTP client: applications
are seen here as any client would see them.
"""

import http.client
import pathlib
import re
import socket
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))

import cress_server
from cress_server import BUILD, DEADLINE, SANITIZED, eventually

__all__ = ["BUILD", "DEADLINE", "SANITIZED", "Server", "eventually", "read_all", "serve_module"]


def read_all(sock):
    pieces = []
    while piece := sock.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


def serve_module(name, *options):
    return Server([BUILD / "cress", "--bind", "127.0.0.1:0", *options, BUILD / "apps" / f"{name}.so"])


class Server(cress_server.Server):
    def __init__(self, argv):
        program, *options = map(str, argv)
        super().__init__(None, *options, bind=None, program=program)
        self.url = self.urls[0]
        self.host, self.port = self.url.removeprefix("http://").rsplit(":", 1)
        self.port = int(self.port)

    def wait_for_log(self, text):
        self.await_log(re.escape(text))

    def connect(self):
        return socket.create_connection((self.host, self.port), DEADLINE)

    def request(self, method, path, body=None, headers={}, **options):
        """The response, and all of its body, over a connection of its own."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=DEADLINE)
        try:
            connection.request(method, path, body, headers, **options)
            response = connection.getresponse()
            return response, response.read()
        finally:
            connection.close()

    def stop(self):
        """It must end with status 0: under sanitizers that includes leaks."""
        status = super().stop()
        if status != 0:
            raise AssertionError(f"exit status {status}:\n{self.log()}")
