"""The sample todo, asked by curl as its first lines say, and by Python: routes, middleware,
JSON, cookies, compression.
"""

import json
import os
import pathlib
import subprocess
import tempfile
import unittest

from serving import BUILD, DEADLINE, serve_module

CURL_FEATURES = subprocess.run(["curl", "--version"], stdout=subprocess.PIPE, check=True,
                               text=True).stdout


@unittest.skipUnless((BUILD / "apps" / "todo.so").exists(), "built without Jansson")
class Todo(unittest.TestCase):
    def setUp(self):
        self.server = serve_module("todo")
        self.addCleanup(self.server.stop)

    def curl(self, path, *args):
        """Status, fields (names in lower case, the last of each), body."""
        with tempfile.TemporaryDirectory() as folder:
            head, body = pathlib.Path(folder, "head"), pathlib.Path(folder, "body")
            subprocess.run(["curl", "-sS", "--max-time", str(DEADLINE), "-D", head, "-o", body,
                            self.server.url + path, *args], check=True)
            lines = head.read_text().strip().split("\n")
            fields = dict(line.strip().split(": ", 1) for line in lines[1:] if ": " in line)
            return (int(lines[0].split()[1]), {k.lower(): v for k, v in fields.items()},
                    body.read_bytes() if body.exists() else b"")

    def add(self, title, **more):
        status, fields, _ = self.curl("/todos", "-d", json.dumps({"title": title, **more}))
        self.assertEqual(status, 201)
        return fields["location"]

    def todos(self):
        return json.loads(self.curl("/todos")[2])

    def test_the_life_of_a_todo(self):
        self.assertEqual(self.todos(), [])
        place = self.add("water \"the\" plants \u00e9")
        self.assertEqual(place, "/todos/1")
        expected = {"id": 1, "title": "water \"the\" plants \u00e9", "done": False}
        self.assertEqual(json.loads(self.curl(place)[2]), expected)
        status, _, body = self.curl(place, "-X", "PATCH", "-d", '{"done": true}')
        self.assertEqual((status, json.loads(body)), (200, {**expected, "done": True}))
        self.assertEqual(self.todos(), [{**expected, "done": True}])
        self.assertEqual(self.curl(place, "-X", "DELETE")[0], 204)
        self.assertEqual(self.curl(place)[0], 404)
        self.assertEqual(self.todos(), [])

    def test_representations(self):
        self.add("one")
        self.add("two", done=True)
        status, fields, body = self.curl("/todos", "-H", "Accept: text/plain")
        self.assertEqual((status, body), (200, b"[ ] one\n[x] two\n"))
        self.assertEqual(fields["content-type"], "text/plain; charset=utf-8")
        self.assertEqual(self.curl("/todos", "-H", "Accept: image/png")[0], 406)

    def test_what_is_no_todo(self):
        for body, status in [("{", 400), ("[" * 100 + "]" * 100, 400), ("[]", 422), ("{}", 422),
                             ('{"title": 1}', 422), ('{"title": ""}', 422), ('{"x": "y"}', 422),
                             ('{"title": "a", "title": "b"}', 400),
                             (json.dumps({"title": "x" * 201}), 422), ("x" * 5000, 413)]:
            with self.subTest(body=body[:20]):
                got, fields, page = self.curl("/todos", "-d", body)
                self.assertEqual(got, status)
                self.assertEqual(fields["content-type"], "application/json")
                self.assertEqual(json.loads(page)["request"], fields["x-request-id"])
        self.assertEqual(self.todos(), [])

    def test_methods(self):
        status, fields, page = self.curl("/todos/1", "-X", "PUT")
        self.assertEqual((status, fields["allow"]), (405, "GET, HEAD, PATCH, DELETE, OPTIONS"))
        self.assertEqual(json.loads(page)["error"], "Method Not Allowed")
        status, fields, _ = self.curl("/todos", "-X", "OPTIONS")
        self.assertEqual((status, fields["allow"]), (204, "GET, HEAD, POST, OPTIONS"))
        self.assertEqual(self.curl("/todos", "-I")[0], 200)
        self.assertEqual(self.curl("/todo")[0], 404)
        status, fields, _ = self.curl("/")
        self.assertEqual((status, fields["location"]), (302, "/todos"))

    def test_fields_on_everything(self):
        for path in ("/todos", "/nothing", "/"):
            _, fields, _ = self.curl(path, "-H", "X-Request-ID: mine", "-H", "Origin: http://a.example")
            self.assertEqual(fields["x-request-id"], "mine")
            self.assertEqual(fields["x-content-type-options"], "nosniff")
            self.assertEqual(fields["access-control-allow-origin"], "*")
        status, fields, _ = self.curl("/todos/1", "-X", "OPTIONS", "-H", "Origin: http://a.example",
                                      "-H", "Access-Control-Request-Method: PATCH")
        self.assertEqual(status, 204)
        self.assertIn("PATCH", fields["access-control-allow-methods"])

    def test_compression(self):
        for i in range(100):
            self.add(f"a rather long title, to make it worth while, number {i}")
        plain = self.curl("/todos")[2]
        self.assertEqual(len(json.loads(plain)), 100)
        for coding in ("gzip", "br", "zstd"):
            status, fields, raw = self.curl("/todos", "-H", f"Accept-Encoding: {coding}")
            if coding != "gzip" and "content-encoding" not in fields:
                continue  # built without
            with self.subTest(coding=coding):
                self.assertEqual((status, fields["content-encoding"]), (200, coding))
                self.assertLess(len(raw), len(plain) / 4)
                if coding == "gzip" or {"br": "brotli"}.get(coding, coding) in CURL_FEATURES:
                    _, _, decoded = self.curl("/todos", "--compressed", "-H", f"Accept-Encoding: {coding}")
                    self.assertEqual(decoded, plain)
        _, fields, _ = self.curl("/todos", "-I", "-H", "Accept-Encoding: gzip")
        self.assertEqual(fields["content-encoding"], "gzip")
        self.assertNotIn("content-length", fields)

    def test_events_leave_at_once(self):
        for coding in ("identity", "gzip", "br", "zstd"):
            if coding == "br" and "brotli" not in CURL_FEATURES or \
               coding == "zstd" and "zstd" not in CURL_FEATURES:
                continue
            with self.subTest(coding=coding), \
                 subprocess.Popen(["curl", "-sSN", "--max-time", str(DEADLINE), "--compressed", "-H",
                                   f"Accept-Encoding: {coding}", self.server.url + "/events"],
                                  stdout=subprocess.PIPE) as curl:
                count = len(self.todos())
                self.assertEqual(self.read_event(curl), {"count": count})
                self.add("something")
                self.assertEqual(self.read_event(curl), {"count": count + 1})
                self.add("something else")
                self.assertEqual(self.read_event(curl), {"count": count + 2})
                curl.terminate()

    def read_event(self, curl):
        lines = [curl.stdout.readline() for _ in range(3)]
        self.assertEqual(lines[2], b"\n")
        return json.loads(lines[1].removeprefix(b"data: "))

    def test_sessions(self):
        with tempfile.TemporaryDirectory() as folder:
            jar = os.path.join(folder, "jar")
            self.assertEqual(self.curl("/session")[0], 401)
            status, fields, _ = self.curl("/session", "-d", "name=jane+d%C3%B6", "-c", jar)
            self.assertEqual((status, fields["location"]), (303, "/session"))
            self.assertRegex(fields["set-cookie"],
                             r"^session=[\w.-]+; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax$")
            status, _, body = self.curl("/session", "-b", jar)
            self.assertEqual((status, json.loads(body)), (200, {"name": "jane d\u00f6"}))
        forged = fields["set-cookie"].split(";")[0].replace("=", "=A", 1)
        self.assertEqual(self.curl("/session", "-b", forged)[0], 401)

    def test_the_admin(self):
        self.add("one")
        status, fields, _ = self.curl("/admin/todos", "-X", "DELETE")
        self.assertEqual(status, 401)
        self.assertEqual(fields["www-authenticate"], 'Basic realm="todo admin", charset="UTF-8"')
        self.assertEqual(self.curl("/admin/todos", "-X", "DELETE", "-u", "admin:wrong")[0], 401)
        self.assertEqual(len(self.todos()), 1)
        self.assertEqual(self.curl("/admin/todos", "-X", "DELETE", "-u", "admin:secret")[0], 204)
        self.assertEqual(self.todos(), [])
        self.assertEqual(self.curl("/admin/other", "-u", "admin:secret")[0], 404)


if __name__ == "__main__":
    unittest.main()
