#!/usr/bin/env python3
"""What large files cost in memory: an upload that goes to disk, and a file that many slow
clients download at once. The server's resident memory must hardly grow.

    bench/large.py                          4 GiB both ways, 100 readers; 5 GiB of disk
    bench/large.py --size 256 --seconds 5   256 MiB

Not a part of ./dev test: it writes gigabytes. Ends with status 1 when memory grew by more
than --upload-growth or --download-growth MiB.
"""

import argparse
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time

SOURCE = pathlib.Path(__file__).resolve().parent.parent
MIB = 1 << 20


class Server:
    def __init__(self, build, *options, **environment):
        self.process = subprocess.Popen(
            [str(build / "cress"), "--bind=127.0.0.1:0", *map(str, options)],
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            env={**os.environ, **environment})
        for line in self.process.stderr:
            found = re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", line)
            if found:
                self.port = int(found[1])
                break
        else:
            sys.exit("cress did not start")
        threading.Thread(target=self.process.stderr.read, daemon=True).start()

    def connect(self, receive_buffer=None):
        sock = socket.socket()
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.connect(("127.0.0.1", self.port))
        return sock

    def resident(self):
        """MiB."""
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", text)[1]) / 1024

    def stop(self):
        self.process.terminate()
        self.process.wait(60)


class Watch(threading.Thread):
    """The most that a server's memory grows meanwhile."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server = server
        self.before = self.most = server.resident()
        self.ended = threading.Event()

    def run(self):
        while not self.ended.wait(0.02):
            self.most = max(self.most, self.server.resident())

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.join()
        self.most = max(self.most, self.server.resident())

    def growth(self):
        return self.most - self.before


def read_head(sock):
    head = b""
    while b"\r\n\r\n" not in head:
        data = sock.recv(65536)
        if not data:
            sys.exit(f"the server closed after {head!r}")
        head += data
    head, body = head.split(b"\r\n\r\n", 1)
    return head.decode("latin-1"), body


def post_file(server, size):
    """A form with one file of that many zeros; the answer's text."""
    first = (b'--large\r\nContent-Disposition: form-data; name="file"; filename="zeros"\r\n'
             b"Content-Type: application/octet-stream\r\n\r\n")
    last = b"\r\n--large--\r\n"
    piece = bytes(MIB)
    with server.connect() as sock:
        sock.sendall(b"POST / HTTP/1.0\r\n"
                     b"Content-Type: multipart/form-data; boundary=large\r\n"
                     b"Content-Length: %d\r\n\r\n" % (len(first) + size + len(last)) + first)
        for _ in range(size // MIB):
            sock.sendall(piece)
        sock.sendall(last)
        head, body = read_head(sock)
        while data := sock.recv(65536):
            body += data
    return head.split("\r\n")[0], body.decode()


def bench_upload(args, folder):
    server = Server(args.build, args.build / "apps" / "form.so", "--limit-request-body=0",
                    TMPDIR=folder)
    size = args.size * MIB
    post_file(server, MIB)  # what is needed once
    start = time.monotonic()
    with Watch(server) as watch:
        status, text = post_file(server, size)
    span = time.monotonic() - start
    server.stop()
    expected = f"file: file zeros, {size} bytes\n"
    if not status.endswith("200 OK") or text != expected:
        sys.exit(f"upload: {status}: {text}")
    print(f"upload    {args.size} MiB to disk in {span:.1f} s ({args.size / span:.0f} MiB/s), "
          f"memory grew by {watch.growth():.2f} MiB from {watch.before:.1f}")
    return watch.growth() <= args.upload_growth


def get_file(server, receive_buffer=None):
    sock = server.connect(receive_buffer)
    sock.sendall(b"GET /large HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
    return sock


def read_slowly(sock, ended, counts, index):
    """16 KiB ten times a second."""
    while not ended.wait(0.1):
        counts[index] += len(sock.recv(16384))
    sock.close()


def read_all(server):
    total = 0
    with get_file(server) as sock:
        head, body = read_head(sock)
        total += len(body)
        buffer = bytearray(MIB)
        while got := sock.recv_into(buffer):
            total += got
    return head, total


def bench_download(args, folder):
    path = pathlib.Path(folder) / "large"
    with open(path, "wb") as file:
        file.truncate(args.size * MIB)
    server = Server(args.build, f"--static=/={folder}")
    get_file(server, 8192).close()
    time.sleep(0.5)
    ended, counts = threading.Event(), [0] * args.readers
    with Watch(server) as watch:
        threads = [threading.Thread(target=read_slowly,
                                    args=(get_file(server, 8192), ended, counts, i))
                   for i in range(args.readers)]
        for thread in threads:
            thread.start()
        start = time.monotonic()
        head, total = read_all(server)
        span = time.monotonic() - start
        time.sleep(max(0, args.seconds - span))
        ended.set()
        for thread in threads:
            thread.join()
    server.stop()
    if total != args.size * MIB or min(counts) == 0:
        sys.exit(f"download: {total} bytes, the slowest reader {min(counts)}: {head}")
    print(f"download  {args.readers} readers took {min(counts) // 1024} to {max(counts) // 1024} KiB "
          f"of {args.size} MiB each, one took all in {span:.1f} s, "
          f"memory grew by {watch.growth():.2f} MiB from {watch.before:.1f}")
    return watch.growth() <= args.download_growth


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=SOURCE / "build" / "release")
    parser.add_argument("--size", type=int, default=4096, help="MiB")
    parser.add_argument("--readers", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=20, help="for the slow readers")
    parser.add_argument("--folder", default="/var/tmp", help="where there is room on disk")
    parser.add_argument("--upload-growth", type=float, default=4, help="MiB")
    parser.add_argument("--download-growth", type=float, default=32, help="MiB")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        results = [bench_upload(args, folder), bench_download(args, folder)]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
