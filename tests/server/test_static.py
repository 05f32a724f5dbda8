"""cress --static: folders in front of an application, or without one; what is wrong with the
option; large files to clients of several kinds."""

import hashlib
import os
import pathlib
import shutil
import ssl
import subprocess
import sys
import tempfile
import unittest

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "support"))
import certificates  # noqa: E402
import cress_server as cress  # noqa: E402

HELLO = cress.app("hello")
USAGE = 2


class Folder(cress.ServerTest):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        for name in "www", "img":
            (self.folder / name).mkdir()
            (self.folder / name / "index.html").write_text(f"<p>{name}")
        self.www = self.folder / "www"

    def get(self, server, path, **more):
        with server.connect() as client:
            response = client.get(path, **more)
        return response.status, response.body


class Mounts(Folder):
    def test_in_front_of_an_application(self):
        server = self.serve(HELLO, f"--static=/assets={self.www}")
        self.assertEqual(self.get(server, "/assets/"), (200, b"<p>www"))
        self.assertEqual(self.get(server, "/assets/nowhere"), (404, b"404 Not Found\n"))
        self.assertEqual(self.get(server, "/assetsx"), (200, b"hello, world\n"))
        self.assertEqual(self.get(server, "/"), (200, b"hello, world\n"))

    def test_in_front_of_what_a_factory_makes(self):
        server = self.serve(cress.module("factories") + ":make()", f"--static=/assets={self.www}")
        self.assertEqual(self.get(server, "/assets/"), (200, b"<p>www"))
        self.assertEqual(self.get(server, "/")[0], 200)

    def test_without_an_application(self):
        server = self.serve(None, f"--static=/assets/={self.www}")
        self.assertEqual(self.get(server, "/assets/"), (200, b"<p>www"))
        self.assertEqual(self.get(server, "/"), (404, b"404 Not Found\n"))

    def test_the_longest_prefix_counts(self):
        for options in ((f"--static=/={self.www}", f"--static=/img={self.folder / 'img'}"),
                        (f"--static=/img={self.folder / 'img'},/={self.www}",)):
            server = self.serve(HELLO, *options)
            self.assertEqual(self.get(server, "/img/"), (200, b"<p>img"))
            self.assertEqual(self.get(server, "/"), (200, b"<p>www"))
            self.assertEqual(self.get(server, "/images"), (404, b"404 Not Found\n"))

    def test_with_several_lists(self):
        server = self.serve(None, f"--static=/a={self.www}", f"--static=/b={self.www}",
                            f"--static=/c={self.www}", "--bind=127.0.0.1:0")
        for path in "/a/", "/b/", "/c/":
            self.assertEqual(self.get(server, path), (200, b"<p>www"))

    def test_settings(self):
        self.assertIn(f"static = /={self.www}\n",
                      cress.run("--print-config", f"--static=/={self.www}")[1])
        self.assertEqual(cress.run("--check-config", f"--static=/={self.www}"),
                         (0, "configuration ok\n", ""))

    def test_what_is_wrong(self):
        for option, message in (
                ("public", '"public" is not PREFIX=DIR, as in /assets=public'),
                ("x=public", '"x=public" is not PREFIX=DIR, as in /assets=public'),
                ("/x=", '"/x=" is not PREFIX=DIR, as in /assets=public'),
                (f"/={self.www},", '"" is not PREFIX=DIR, as in /assets=public'),
                ("/=/nowhere/x", "/nowhere/x: No such file or directory"),
                (f"/x={self.www},/x/={self.www}", '"/x/" is there twice')):
            with self.subTest(option=option):
                expected = (USAGE, "", f"cress: --static: {message}\n")
                self.assertEqual(cress.run("--check-config", "--static", option), expected)
                status, _, err = cress.run("--static", option, "--bind=127.0.0.1:0",
                                           "--log-level=error")
                self.assertEqual((status, err), (expected[0], expected[2]))


class Files(Folder):
    SIZE = 3_000_001

    def setUp(self):
        super().setUp()
        data = os.urandom(self.SIZE)
        (self.www / "large").write_bytes(data)
        self.digest = hashlib.sha256(data).hexdigest()
        self.data = data

    def curl(self, *args):
        return subprocess.run(["curl", "-sS", "--max-time", str(cress.DEADLINE), *args],
                              stdout=subprocess.PIPE, check=True).stdout

    def test_curl(self):
        server = self.serve(None, f"--static=/={self.www}")
        url = f"http://127.0.0.1:{server.address[1]}/large"
        self.assertEqual(hashlib.sha256(self.curl(url)).hexdigest(), self.digest)
        self.assertEqual(self.curl("-r", "1000-200000", url), self.data[1000:200001])
        part = self.folder / "part"
        part.write_bytes(self.data[:1_000_000])
        self.curl("-C", "-", "-o", str(part), url)
        self.assertEqual(part.read_bytes(), self.data)
        self.assertEqual(self.curl("-z", str(part), "-w", "%{http_code}", url), b"304")

    def test_tls(self):
        authority = certificates.Authority()
        self.addCleanup(authority.close)
        certificate, key = authority.issue("localhost")
        server = self.serve(None, f"--static=/={self.www}", f"--certfile={certificate}",
                            f"--keyfile={key}")
        context = ssl.create_default_context(cafile=authority.file)
        with context.wrap_socket(server.connect().sock, server_hostname="localhost") as sock:
            response = cress.Client(sock).get("/large")
        self.assertEqual(hashlib.sha256(response.body).hexdigest(), self.digest)

    def test_a_file_that_is_replaced(self):
        server = self.serve(None, f"--static=/={self.www}")
        with server.connect() as client:
            etag = client.get("/index.html").headers["etag"]
            (self.www / "new").write_text("<p>longer than before")
            (self.www / "new").rename(self.www / "index.html")
            response = client.get("/index.html", headers=f"If-None-Match: {etag}\r\n")
            self.assertEqual((response.status, response.body), (200, b"<p>longer than before"))

    def test_a_client_that_leaves_in_the_middle(self):
        server = self.serve(None, f"--static=/={self.www}")
        before = len(os.listdir(f"/proc/{server.pid}/fd"))
        for _ in range(5):
            client = server.connect()
            client.send(cress.request("/large"))
            client.head()
            client.reset()
        self.assertEqual(self.get(server, "/index.html"), (200, b"<p>www"))
        cress.eventually(lambda: len(os.listdir(f"/proc/{server.pid}/fd")) <= before)


if __name__ == "__main__":
    unittest.main()
