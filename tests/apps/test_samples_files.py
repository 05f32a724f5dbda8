"""The samples that have to do with files: a folder served, forms with files."""

import os
import pathlib
import subprocess
import tempfile
import unittest

from serving import BUILD, DEADLINE, Server


def curl(*args):
    return subprocess.run(["curl", "-sS", "--max-time", str(DEADLINE), *args],
                          stdout=subprocess.PIPE, check=True).stdout


class Sample(unittest.TestCase):
    spec = None
    variable = None

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        before = os.environ.get(self.variable)
        os.environ[self.variable] = folder.name
        try:
            self.server = Server([BUILD / "cress", "--bind", "127.0.0.1:0",
                                  BUILD / "apps" / self.spec])
        finally:
            if before is None:
                del os.environ[self.variable]
            else:
                os.environ[self.variable] = before
        self.addCleanup(self.server.stop)


class Static(Sample):
    spec = "static.so:make()"
    variable = "FOLDER"

    def test_a_file(self):
        (self.folder / "a.txt").write_text("0123456789")
        url = self.server.url + "/a.txt"
        self.assertEqual(curl(url), b"0123456789")
        self.assertEqual(curl("-r", "0-4", url), b"01234")
        self.assertEqual(curl("-z", str(self.folder / "a.txt"), "-w", "%{http_code}", url), b"304")
        response, _ = self.server.request("GET", "/a.txt")
        self.assertEqual(response.getheader("Cache-Control"), "no-cache")


class Form(Sample):
    spec = "form.so"
    variable = "TMPDIR"

    def test_the_page(self):
        response, body = self.server.request("GET", "/")
        self.assertEqual(response.status, 200)
        self.assertIn(b"multipart/form-data", body)

    def test_fields_and_files(self):
        (self.folder / 'odd "name".bin').write_bytes(b"x" * 1_000_000)
        (self.folder / "small.txt").write_text("small")
        out = curl(self.server.url, "-F", "title=Holidays",
                   "-F", f'photo=@"{self.folder}/odd \\"name\\".bin"',
                   "-F", f"photo=@{self.folder}/small.txt")
        self.assertEqual(out, b'title: Holidays\nphoto: file odd "name".bin, 1000000 bytes\n'
                              b"photo: file small.txt, 5 bytes\n")
        self.assertEqual(sorted(os.listdir(self.folder)), ['odd "name".bin', "small.txt"])

    def test_what_is_no_form(self):
        for body, headers, status in (
                (b"a=1", {"Content-Type": "application/x-www-form-urlencoded"}, 400),
                (b"--x\r\n", {"Content-Type": "multipart/form-data; boundary=x"}, 400),
                (b"--x--", {"Content-Type": "multipart/form-data; boundary=x"}, 200)):
            response, _ = self.server.request("POST", "/", body, headers)
            self.assertEqual(response.status, status)
        response, _ = self.server.request("DELETE", "/")
        self.assertEqual((response.status, response.getheader("Allow")),
                         (405, "GET, HEAD, POST"))


if __name__ == "__main__":
    unittest.main()
