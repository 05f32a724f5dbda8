"""The same answers as nginx to requests for files: status, fields and body, byte for byte.

Set aside are what each server says of itself and of the connection (Server, Date,
Connection), the order of fields, the digits of a multipart boundary, and the bodies of
redirects and errors, of which each has its own (so Content-Type and Content-Length there).
"""

import gzip
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "support"))
import cress_server as cress  # noqa: E402

NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
MTIME = 784111777
MODIFIED = "Sun, 06 Nov 1994 08:49:37 GMT"
TEXT = bytes(range(32, 127)) * 400 + b"end\n"  # 38,004 bytes
ETAG = f'"{MTIME:x}-{len(TEXT):x}"'

CONFIG = """
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
    access_log off;
    absolute_redirect off;
    if_modified_since before;
    gzip_static on;
    gzip_vary on;
    default_type application/octet-stream;
    types {{
        text/html html;
        text/plain txt;
        image/png png;
    }}
    client_body_temp_path {folder}/t1;
    proxy_temp_path {folder}/t2;
    fastcgi_temp_path {folder}/t3;
    uwsgi_temp_path {folder}/t4;
    scgi_temp_path {folder}/t5;
    server {{
        listen unix:{folder}/socket;
        root {folder}/www;
    }}
}}
"""

# (method, path, fields)
GET = "GET"
REQUESTS = [
    # what there is
    (GET, "/a.txt", ""),
    (GET, "/a.txt?query", ""),
    (GET, "/%61.txt", ""),
    (GET, "//a.txt", ""),
    (GET, "/empty.txt", ""),
    (GET, "/picture.png", ""),
    (GET, "/unknown.thing", ""),
    (GET, "/noending", ""),
    (GET, "/with%20blank.txt", ""),
    ("HEAD", "/a.txt", ""),
    ("HEAD", "/empty.txt", ""),
    # folders
    (GET, "/", ""),
    (GET, "/sub/", ""),
    (GET, "/sub", ""),
    (GET, "/sub?a=b&c", ""),
    (GET, "/sub%20dir%3f", ""),
    (GET, "/sub//deep", ""),
    ("HEAD", "/sub", ""),
    (GET, "/noindex/", ""),
    # what there is not
    (GET, "/nowhere", ""),
    (GET, "/nowhere/", ""),
    (GET, "/a.txt/", ""),
    (GET, "/a.txt/b", ""),
    (GET, "/fifo", ""),
    ("HEAD", "/nowhere", ""),
    # single ranges
    (GET, "/a.txt", "Range: bytes=0-0"),
    (GET, "/a.txt", "Range: bytes=0-499"),
    (GET, "/a.txt", "Range: bytes=500-"),
    (GET, "/a.txt", "Range: bytes=-1"),
    (GET, "/a.txt", "Range: bytes=-500"),
    (GET, "/a.txt", "Range: bytes=-100000"),
    (GET, "/a.txt", "Range: bytes=0-"),
    (GET, "/a.txt", "Range: bytes=38003-38003"),
    (GET, "/a.txt", "Range: bytes=38000-99999"),
    (GET, "/a.txt", "range: BYTES=1-2"),
    (GET, "/picture.png", "Range: bytes=1-2"),
    # several
    (GET, "/a.txt", "Range: bytes=0-0,-1"),
    (GET, "/a.txt", "Range: bytes=10-19, 0-4, 30000-35000"),
    (GET, "/a.txt", "Range: bytes=0-4,2-8"),
    (GET, "/a.txt", "Range: bytes=0-0,50000-"),
    (GET, "/a.txt", "Range: bytes=0-30000,1-30000"),
    (GET, "/a.txt", "Range: bytes=0-,0-"),
    (GET, "/a.txt", "Range: bytes=" + ",".join(f"{i}-{i}" for i in range(50))),
    (GET, "/unknown.thing", "Range: bytes=0-0,2-2"),
    # none
    (GET, "/a.txt", "Range: bytes=38004-"),
    (GET, "/a.txt", "Range: bytes=99999-100000"),
    (GET, "/a.txt", "Range: bytes=-0"),
    (GET, "/a.txt", "Range: bytes=5-4"),
    (GET, "/a.txt", "Range: bytes=a-b"),
    (GET, "/a.txt", "Range: bytes=1-2x"),
    (GET, "/a.txt", "Range: lines=1-2"),
    (GET, "/empty.txt", "Range: bytes=0-"),
    (GET, "/empty.txt", "Range: bytes=-5"),
    (GET, "/nowhere", "Range: bytes=0-1"),
    # If-None-Match, If-Modified-Since
    (GET, "/a.txt", f"If-None-Match: {ETAG}"),
    (GET, "/a.txt", f"If-None-Match: W/{ETAG}"),
    (GET, "/a.txt", f'If-None-Match: "x", {ETAG}'),
    (GET, "/a.txt", "If-None-Match: *"),
    (GET, "/a.txt", 'If-None-Match: "x"'),
    (GET, "/a.txt", f"If-Modified-Since: {MODIFIED}"),
    (GET, "/a.txt", "If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT"),
    (GET, "/a.txt", "If-Modified-Since: Sun, 06 Nov 1994 08:49:38 GMT"),
    (GET, "/a.txt", "If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT"),
    (GET, "/a.txt", "If-Modified-Since: Sun Nov  6 08:49:37 1994"),
    (GET, "/a.txt", f'If-None-Match: "x"\r\nIf-Modified-Since: {MODIFIED}'),
    (GET, "/a.txt", f"If-None-Match: {ETAG}\r\nIf-Modified-Since: {MODIFIED}"),
    (GET, "/a.txt", f"If-None-Match: {ETAG}\r\nRange: bytes=0-1"),
    ("HEAD", "/a.txt", f"If-None-Match: {ETAG}"),
    # If-Match, If-Unmodified-Since
    (GET, "/a.txt", f"If-Match: {ETAG}"),
    (GET, "/a.txt", "If-Match: *"),
    (GET, "/a.txt", 'If-Match: "x"'),
    (GET, "/a.txt", f"If-Match: W/{ETAG}"),
    (GET, "/a.txt", f"If-Unmodified-Since: {MODIFIED}"),
    (GET, "/a.txt", "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT"),
    # If-Range
    (GET, "/a.txt", f"Range: bytes=0-1\r\nIf-Range: {ETAG}"),
    (GET, "/a.txt", 'Range: bytes=0-1\r\nIf-Range: "x"'),
    (GET, "/a.txt", f"Range: bytes=0-1\r\nIf-Range: {MODIFIED}"),
    (GET, "/a.txt", "Range: bytes=0-1\r\nIf-Range: Sun, 06 Nov 1994 08:49:38 GMT"),
    (GET, "/a.txt", 'Range: bytes=99999-\r\nIf-Range: "x"'),
    # compressed siblings
    (GET, "/page.html", ""),
    (GET, "/page.html", "Accept-Encoding: gzip"),
    (GET, "/page.html", "Accept-Encoding: deflate, gzip;q=0.5"),
    (GET, "/page.html", "Accept-Encoding: gzip;q=0"),
    (GET, "/page.html", "Accept-Encoding: identity"),
    (GET, "/page.html", "Accept-Encoding: gzip\r\nRange: bytes=0-9"),
    (GET, "/page.html", "Accept-Encoding: gzip\r\nIf-None-Match: *"),
    ("HEAD", "/page.html", "Accept-Encoding: gzip"),
    (GET, "/", "Accept-Encoding: gzip"),
    (GET, "/a.txt", "Accept-Encoding: gzip"),
    # other methods
    ("POST", "/a.txt", "Content-Length: 0"),
    ("DELETE", "/a.txt", ""),
]


def write(path, data):
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    os.utime(path, (MTIME, MTIME))


def make_files(www):
    page = b"<!doctype html>\n" + b"<p>hello\n" * 300
    write(www / "a.txt", TEXT)
    write(www / "empty.txt", b"")
    write(www / "picture.png", b"\x89PNG" * 10)
    write(www / "unknown.thing", b"thing")
    write(www / "noending", b"none")
    write(www / "with blank.txt", b"blank")
    write(www / "page.html", page)
    write(www / "page.html.gz", gzip.compress(page, mtime=0))
    write(www / "index.html", b"<p>index")
    write(www / "index.html.gz", gzip.compress(b"<p>index", mtime=0))
    write(www / "sub" / "index.html", b"<p>sub")
    write(www / "sub dir?" / "index.html", b"<p>odd")
    (www / "sub" / "deep").mkdir()
    (www / "noindex").mkdir()
    os.mkfifo(www / "fifo")


def normal(response):
    """What is to be the same."""
    fields = {name: value for name, value in response.headers.items()
              if name not in ("server", "date", "connection")}
    body = response.body
    if response.status == 206 and fields["content-type"].startswith("multipart/"):
        boundary = re.fullmatch(r"multipart/byteranges; boundary=(\d{20})",
                                fields["content-type"])[1]
        fields["content-type"] = "multipart"
        body = body.replace(b"--" + boundary.encode(), b"--boundary")
    if response.status >= 400 or response.status == 301:
        fields.pop("content-type", None)
        fields.pop("content-length", None)
        fields.pop("allow", None)  # nginx leaves it out of a 405, where RFC 9110 wants it
        body = None
    return response.status, fields, body


class SameAsNginx(cress.ServerTest):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        (cls.folder / "www").mkdir()
        make_files(cls.folder / "www")
        config = cls.folder / "nginx.conf"
        config.write_text(CONFIG.format(folder=cls.folder))
        cls.nginx = subprocess.Popen([NGINX, "-p", str(cls.folder), "-c", str(config)],
                                     stderr=subprocess.DEVNULL)
        cls.addClassCleanup(cls.end_nginx)
        cress.eventually(cls.is_listening, "nginx listens")

    @classmethod
    def end_nginx(cls):
        cls.nginx.terminate()
        cls.nginx.wait(cress.DEADLINE)

    @classmethod
    def is_listening(cls):
        try:
            cls.connect_nginx().close()
            return True
        except OSError:
            assert cls.nginx.poll() is None, (cls.folder / "error.log").read_text()
            return False

    @classmethod
    def connect_nginx(cls):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(cress.DEADLINE)
        try:
            sock.connect(str(cls.folder / "socket"))
        except OSError:
            sock.close()
            raise
        return cress.Client(sock)

    def ask(self, connect, method, path, fields):
        with connect() as client:
            return client.get(path, method=method, headers=fields + "\r\n" if fields else "")

    def test_same_answers(self):
        server = self.serve(None, "--static", f"/={self.folder / 'www'}")
        for method, path, fields in REQUESTS:
            with self.subTest(method=method, path=path, fields=fields):
                ours = self.ask(server.connect, method, path, fields)
                theirs = self.ask(self.connect_nginx, method, path, fields)
                self.assertEqual(normal(ours), normal(theirs))


if __name__ == "__main__":
    if not os.access(NGINX, os.X_OK):
        print("no nginx")
        sys.exit(77)
    unittest.main()
