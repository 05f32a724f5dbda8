"""Everything at once: requests of all kinds, some spoiled, sent in odd pieces by clients
that leave when they like. Afterwards the server answers, nothing waits any more, every
descriptor is closed, and it ends well. The seed is fixed; the order of events is not.
"""

import pathlib
import random
import signal
import socket
import sys
import threading
import unittest

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "support"))
import cress_server as cress  # noqa: E402

CLIENTS, CONNECTIONS = 8, 60
PATHS = ["/", "/nowhere", "/wait", "/wait-without-client", "/wait-for-gone", "/clean-up-slowly",
         "/wake", "/nap?ms=5", "/nap?ms=100", "/drip?count=5&ms=3", "/drip?count=100&ms=5",
         "/count-body", "/ignore-body", "/fail", "/fail-half-way", "/say-nothing",
         "/miscount?says=5&sends=10", "/miscount?says=10&sends=5", "/split?value=a%0d%0a"]
OPTIONS = ["--request-timeout=0.5", "--header-timeout=0.5", "--body-timeout=0.3",
           "--write-timeout=0.4", "--keep-alive=0.5", "--concurrency=10",
           "--concurrency-backlog=5", "--worker-connections=30"]


def chunked(rng):
    pieces = [b"y" * rng.randint(1, 500) for _ in range(rng.randint(0, 10))]
    body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    head = cress.request(rng.choice(PATHS), "PATCH", "Transfer-Encoding: chunked\r\n")
    return head + body + b"0\r\n" + rng.choice([b"", b"Trailer: x\r\n"]) + b"\r\n"


def one_request(rng):
    if rng.random() < 0.15:
        return chunked(rng)
    method = rng.choice(["GET", "GET", "HEAD", "POST", "POST"])
    body = b"x" * rng.choice([0, 1, 1000, 70000]) if method == "POST" else b""
    extra = rng.choice([""] * 8 + ["Connection: close\r\n", "Expect: 100-continue\r\n",
                                   "X: " + "a" * 5000 + "\r\n"])
    return cress.request(rng.choice(PATHS), method, extra, body, rng.choice(["1.1"] * 5 + ["1.0"]))


def spoil(rng, data):
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        kind = rng.random()
        if kind < 0.4:
            data[at:at + 1] = bytes([rng.randrange(256)])
        elif kind < 0.7:
            del data[at:at + rng.randint(1, 20)]
        else:
            data[at:at] = bytes(rng.randrange(256) for _ in range(rng.randint(1, 5)))
    return data


def one_connection(rng, address, begun):
    data = bytearray(b"".join(one_request(rng) for _ in range(rng.choice([1, 1, 2, 5, 20]))))
    if rng.random() < 0.3:
        data = spoil(rng, data)
    if rng.random() < 0.3:
        data = data[:rng.randrange(len(data) + 1)]
    with socket.create_connection(address, timeout=rng.choice([0.05, 0.3, 1])) as sock:
        begun.release()
        while data:
            size = rng.choice([1, 50, 1000, 100000])
            sock.send(data[:size])
            del data[:size]
        leaving = rng.random()
        if leaving < 0.3:
            sock.shutdown(socket.SHUT_WR)
        if leaving < 0.8:
            for _ in range(rng.choice([1, 5, 50])):
                if not sock.recv(rng.choice([10, 4096, 65536])):
                    return
        if leaving > 0.9:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def one_client(seed, address, count, begun):
    rng = random.Random(seed)
    for _ in range(count):
        try:
            one_connection(rng, address, begun)
        except OSError:
            pass  # the server's refusals, and time-outs of our own


class Chaos(cress.ServerTest):
    def start(self, count):
        server = self.serve(cress.module("handlers"), *OPTIONS)
        self.begun = threading.Semaphore(0)  # how many connections
        threads = [threading.Thread(target=one_client,
                                    args=(seed, server.address, count, self.begun))
                   for seed in range(CLIENTS)]
        for thread in threads:
            thread.start()
        return server, threads

    def test_afterwards_all_is_well(self):
        server, threads = self.start(CONNECTIONS)
        for thread in threads:
            thread.join()
        server.await_state(waiting=0)
        self.assertEqual(server.ask().body, b"hello, world\n")
        # what an idle server has: three, the loop's two or three, and the listener
        cress.eventually(lambda: server.descriptors() <= 7, "all connections are closed")

    def test_term_in_the_middle(self):
        server, threads = self.start(CONNECTIONS // 4)
        for _ in range(4 * CLIENTS):
            self.assertTrue(self.begun.acquire(timeout=cress.DEADLINE))
        server.signal(signal.SIGTERM)
        self.assertEqual(server.wait(), 0)
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    unittest.main()
