"""The chat as programs see it: the addresses of gevent's tutorial, and what its page uses."""

import html
import json
import os
import re
import unittest
import unittest.mock
import urllib.parse

from serving import cress_server, serve_module

EXPECTED_ROOMS = ["topic1", "topic2"]


def path_of(*segments):
    return "/" + "/".join(urllib.parse.quote(segment, safe="") for segment in segments)


class Chat(unittest.TestCase):
    """Names and rooms are a test's own: all tests talk to one server."""

    @classmethod
    def setUpClass(cls):
        cls.server = serve_module("chat")
        cls.addClassCleanup(cls.server.stop)

    def setUp(self):
        self.room = self._testMethodName.removeprefix("test_").replace("_", " ")[:24].strip()

    # ---- asking ---------------------------------------------------------------------

    def ask(self, method, *segments, headers={}, **form):
        body = None
        if method == "POST":
            body = urllib.parse.urlencode(form)
            headers = {"Content-Type": "application/x-www-form-urlencoded", **headers}
        response, body = self.server.request(method, path_of(*segments), body, headers)
        return response, body.decode()

    def get(self, *segments, **more):
        response, body = self.ask("GET", *segments, **more)
        self.assertEqual(response.status, 200, body)
        return body

    def post(self, *segments, key=None, **form):
        headers = {"X-Chat-Key": key} if key else {}
        response, body = self.ask("POST", *segments, headers=headers, **form)
        self.assertEqual(response.status, 200, body)
        return json.loads(body) if body else None

    def status(self, *args, **more):
        return self.ask(*args, **more)[0].status

    def enter(self, user, room=None, **more):
        return self.post(room or self.room, user, create="yes", **more)

    def news(self, user, events, rooms, **more):
        return self.post("poll", user, events=events, rooms=rooms, **more)

    def start_poll(self, user):
        """A poll that is on its way: its answer is read later."""
        client = cress_server.Client(self.server.connect())
        self.addCleanup(client.close)
        client.send(cress_server.request(path_of("poll", user), "POST"))
        return client

    # ---- the tutorial's addresses -----------------------------------------------------

    def test_choose_name(self):
        self.assertIn("<form", self.get())
        response, _ = self.server.request("GET", "/?name=Jos%C3%A9+%26+co")
        self.assertEqual((response.status, response.getheader("Location")), (303, "/Jos%C3%A9%20%26%20co"))
        response, _ = self.server.request("GET", "/?name=a%2Fb")
        self.assertEqual(response.status, 400)

    def test_rooms_of_a_user(self):
        page = self.get("Ann & Bo")
        for room in EXPECTED_ROOMS:
            self.assertIn(f'<a href="/{room}/Ann%20%26%20Bo">{room}</a>', page)

    def test_say_and_poll(self):
        self.get("topic1", "tina")
        self.get("topic1", "tom")
        for text in "hello", "how are you?":
            self.assertIsNone(self.post("put", "topic1", "tina", message=text))
        for user in "tina", "tom":
            self.assertEqual(self.post("poll", user), "tina:hello")
            self.assertEqual(self.post("poll", user), "tina:how are you?")

    def test_poll_waits_for_a_message(self):
        self.get("topic2", "wanda")
        polls = [self.start_poll("wanda") for _ in range(2)]
        self.enter("walter", "topic2")  # is told to pages, not to tutorial's clients
        for text, poll in zip(("first", "second"), polls):
            self.post("put", "topic2", "walter", message=text)
            response = poll.response()
            self.assertEqual((response.status, response.headers["content-type"]), (200, "application/json"))
            self.assertEqual(json.loads(response.body), f"walter:{text}")

    def test_backlog(self):
        self.enter("bert")
        for i in range(30):
            self.post("put", self.room, "bert", message=f"line {i:02}")
        shown = re.findall(r"<li><b>bert:</b> (line \d\d)</li>", self.get(self.room, "late"))
        self.assertEqual(shown, [f"line {i:02}" for i in range(5, 30)])

    def test_a_form_without_javascript(self):
        self.get("topic1", "Jo Ann")
        response, _ = self.ask("POST", "put", "topic1", "Jo Ann", message="hi",
                               headers={"Accept": "text/html,application/xhtml+xml"})
        self.assertEqual((response.status, response.getheader("Location")), (303, "/topic1/Jo%20Ann"))

    def test_who_speaks_is_there(self):
        self.enter("ina")
        self.get("topic2", "otto")
        self.post("put", self.room, "otto", message="knock")
        self.assertEqual(self.post("poll", "ina"), "otto:knock")
        self.assertEqual(sorted(self.enter("ina")["people"]), ["ina", "otto"])

    def test_queues_are_bounded(self):
        self.enter("quentin")
        for i in range(70):
            self.post("put", self.room, "quentin", message=str(i))
        got = [self.post("poll", "quentin") for _ in range(64)]
        self.assertEqual(got, [f"quentin:{i}" for i in range(6, 70)])

    # ---- what is refused --------------------------------------------------------------

    def test_unknown(self):
        self.get("topic1", "known")
        for method, *segments in [
                ("GET", "nowhere", "known"), ("GET", "favicon.ico"), ("GET", "a", "b", "c", "d"),
                ("GET", "x" * 25), ("GET", "topic1", " known"), ("GET", "topic1", "a\u202eb"),
                ("POST", "poll", "nobody"), ("POST", "put", "topic1", "nobody"),
                ("POST", "put", "nowhere", "known"), ("POST", "leave", "nobody"),
                ("POST", "nowhere", "known")]:
            with self.subTest(method=method, segments=segments):
                self.assertEqual(self.status(method, *segments), 404)
        self.assertEqual(self.status("POST", "leave", "known", room="nowhere"), 404)

    def test_bad_names(self):
        for name in " x", "x ", "a\nb", "a\u200bb", "put", "x" * 25, "\u3164":
            with self.subTest(name=name):
                self.assertEqual(self.status("POST", "topic1", name), 400)
                self.assertEqual(self.status("POST", name, "someone", create="yes"), 404)
        for raw in "%ff", "%c0%af", "%ed%a0%80", "%f4%90%80%80", "%e2%82":
            with self.subTest(raw=raw):
                response, _ = self.server.request("POST", f"/topic1/{raw}", "")
                self.assertEqual(response.status, 400)
        for name in "x" * 24, "\u4e16\u754c", "\U0001f33f", "O'Neil <b>":
            with self.subTest(name=name):
                self.assertIn(name, self.post("topic1", name)["people"])

    def test_bad_messages(self):
        self.get("topic1", "max")
        put = "/put/topic1/max"
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        for body, expected in [
                ("", 400), ("text=hello", 400), ("message=", 400), ("message=+%0a", 400),
                ("message=%00", 400), ("message=%1b[31m", 400), ("message=%ff", 400),
                ("message=%e2%80%8b", 400), ("message=" + "x" * 2049, 413),
                ("message=" + "x" * 9000, 413), ("message=" + "x" * 2048, 200),
                ("message=" + "%E2%82%AC" * 682, 200)]:
            with self.subTest(body=body[:40]):
                response, _ = self.server.request("POST", put, body, form)
                self.assertEqual(response.status, expected)
        response, _ = self.server.request("POST", put, "{}", {"Content-Type": "application/json"})
        self.assertEqual(response.status, 415)

    def test_methods(self):
        for method, path, allowed in [
                ("POST", "/", "GET, HEAD"), ("POST", "/ann", "GET, HEAD"), ("GET", "/poll/ann", "POST"),
                ("GET", "/put/topic1/ann", "POST"), ("GET", "/leave/ann", "POST"),
                ("DELETE", "/topic1/ann", "GET, HEAD, POST"), ("OPTIONS", "/put/topic1/ann", "POST")]:
            with self.subTest(method=method, path=path):
                response, _ = self.server.request(method, path)
                self.assertEqual((response.status, response.getheader("Allow")), (405, allowed))

    def test_looking_is_not_entering(self):
        self.assertEqual(self.status("HEAD", "topic1", "heather"), 200)
        self.assertEqual(self.status("POST", "poll", "heather"), 404)

    def test_other_sites(self):
        self.get("topic1", "carl")
        host = f"{self.server.host}:{self.server.port}"
        for headers, expected in [
                ({"Sec-Fetch-Site": "cross-site"}, 403), ({"Sec-Fetch-Site": "same-site"}, 403),
                ({"Origin": "http://evil.example"}, 403), ({"Origin": "null"}, 403),
                ({"Sec-Fetch-Site": "same-origin", "Origin": f"http://{host}"}, 200),
                ({"Origin": f"http://{host}"}, 200), ({"Sec-Fetch-Site": "none"}, 200)]:
            with self.subTest(headers=headers):
                self.assertEqual(self.status("POST", "put", "topic1", "carl", message="x", headers=headers), expected)
        image = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
        self.assertEqual(self.status("GET", "topic1", "ivan", headers=image), 403)
        self.assertEqual(self.status("POST", "poll", "ivan"), 404)

    def test_a_key_keeps_a_name(self):
        self.get("topic1", "kim")  # without a key: everybody's
        self.post("topic1", "kim", key="secret")
        for key in {}, {"X-Chat-Key": "another"}:
            for segments in ("put", "topic1", "kim"), ("poll", "kim"), ("leave", "kim"), ("topic1", "kim"):
                with self.subTest(key=key, segments=segments):
                    self.assertEqual(self.status("POST", *segments, message="x", headers=key), 403)
        self.assertIn("topic1", self.get("topic1", "kim"))
        self.post("put", "topic1", "kim", key="secret", message="it is me")
        self.assertEqual(self.status("POST", "topic1", "kim", headers={"X-Chat-Key": "x" * 65}), 400)
        self.assertEqual(self.status("GET", "topic1", "kim", headers={"X-Chat-Key": "x" * 65}), 400)

    # ---- what is written --------------------------------------------------------------

    def test_html_is_escaped(self):
        user, text = "O'<i>", "<script>alert(\"1\")</script> & '</noscript>"
        self.get("topic1", user)
        self.post("put", "topic1", user, message=text)
        page = self.get("topic1", "reader")
        self.assertIn(f"<li><b>{html.escape(user).replace('&#x27;', '&#39;')}:</b> "
                      f"{html.escape(text).replace('&#x27;', '&#39;')}</li>", page)
        self.assertNotIn("<script>alert", page)
        self.assertIn('action="/put/topic1/%3Cb%3E%22"', self.get("topic1", '<b>"'))

    def test_json_is_escaped(self):
        text = 'a "quoted" \\ line\nand\ta tab, \u20ac \U0001f33f </script>'
        self.enter("jan")
        self.post("put", self.room, "jan", message=text.replace("\n", "\r\n"))
        self.assertEqual(self.post("poll", "jan"), "jan:" + text)
        self.assertEqual(self.enter('q"\\')["messages"][-1]["text"], text)

    def test_security_headers(self):
        nonces = set()
        for _ in range(2):
            response, page = self.ask("GET")
            policy = response.getheader("Content-Security-Policy")
            nonce = re.search(r"script-src 'nonce-(\w{32})'", policy)[1]
            self.assertIn("default-src 'none'", policy)
            self.assertNotIn("unsafe", policy)
            self.assertEqual(page.count(f'nonce="{nonce}"'), 2)
            self.assertNotIn("{{", page)
            nonces.add(nonce)
        self.assertEqual(len(nonces), 2)
        for segments in (), ("nowhere", "nobody"):
            response, _ = self.ask("GET", *segments)
            self.assertEqual(response.getheader("X-Content-Type-Options"), "nosniff")
            self.assertEqual(response.getheader("Referrer-Policy"), "same-origin")
            self.assertEqual(response.getheader("Cache-Control"), "no-store")

    # ---- what the page uses -----------------------------------------------------------

    def test_enter(self):
        answer = self.enter("eva")
        self.assertEqual((answer["people"], answer["messages"]), (["eva"], []))
        self.assertIn({"name": self.room, "people": 1}, answer["rooms"])
        self.assertEqual([room["name"] for room in answer["rooms"]][:2], EXPECTED_ROOMS)
        self.post("put", self.room, "eva", message="hello")
        answer = self.enter("emil")
        self.assertEqual(answer["people"], ["eva", "emil"])
        message = answer["messages"][0]
        self.assertEqual((message["kind"], message["who"], message["room"], message["text"]),
                         ("message", "eva", self.room, "hello"))
        self.assertGreater(message["time"], 1.7e12)

    def test_news(self):
        start = self.enter("nina")
        self.enter("nick")
        answer, _ = self.ask("POST", "put", self.room, "nick", message="hi", headers={"Accept": "application/json"})
        self.assertEqual(answer.getheader("Content-Type"), "application/json")
        self.post("leave", "nick", room=self.room)
        news = self.news("nina", start["last"], start["changed"])
        self.assertFalse(news["missed"])
        self.assertEqual([(event["kind"], event["who"]) for event in news["events"]],
                         [("join", "nick"), ("message", "nick"), ("leave", "nick")])
        self.assertIn({"name": self.room, "people": 1}, news["rooms"])
        # What got lost on the way is given again; what was seen is not.
        self.assertEqual(self.news("nina", start["last"], start["changed"])["events"], news["events"])
        second = self.news("nina", news["events"][0]["id"], news["changed"])
        self.assertEqual(second["events"], news["events"][1:])
        self.assertNotIn("rooms", second)

    def test_news_that_were_missed(self):
        start = self.enter("mia")
        for i in range(70):
            self.post("put", self.room, "mia", message=str(i))
        news = self.news("mia", start["last"], start["changed"])
        self.assertTrue(news["missed"])
        self.assertEqual([event["text"] for event in news["events"]], [str(i) for i in range(6, 70)])
        self.assertTrue(self.news("mia", news["last"] + 10**9, news["changed"])["missed"])

    def test_leaving_is_told(self):
        start = self.enter("lea")
        self.enter("leo")
        self.post("leave", "leo")

        def events():
            news = self.news("lea", start["last"], start["changed"])
            return [(event["kind"], event["who"]) for event in news["events"]]

        cress_server.eventually(lambda: ("leave", "leo") in events(), "leo left")
        self.assertEqual(self.status("POST", "poll", "leo"), 404)

    def test_a_client_that_leaves_ends_its_poll(self):
        self.enter("paul")
        polls = [self.start_poll("paul") for _ in range(8)]
        cress_server.eventually(lambda: self.too_many("paul"), "eight polls wait")
        for poll in polls:
            poll.close()
        cress_server.eventually(lambda: not self.too_many("paul"), "they are gone")

    def too_many(self, user):
        """Whether a poll that would not wait is refused. (A page with wrong numbers is answered at once.)"""
        response, _ = self.ask("POST", "poll", user, events=0, rooms=0)
        if response.status == 429:
            self.assertEqual(response.getheader("Retry-After"), "10")
        return response.status == 429


class Full(Chat):
    """Alone with its server, which it fills."""

    def test_rooms_and_users(self):
        self.assertEqual(self.status("POST", "new", "first"), 404)
        for i in range(62):
            self.enter("first", f"room {i}")
        response, _ = self.ask("POST", "one too many", "first", create="yes")
        self.assertEqual((response.status, response.getheader("Retry-After")), (503, "60"))
        for i in range(499):
            self.get("topic1", f"user {i}")
        for method in "GET", "POST":
            response, _ = self.ask(method, "topic1", "one too many")
            self.assertEqual((response.status, response.getheader("Retry-After")), (503, "30"))
        self.post("put", "topic2", "first", message="those who are here go on")
        self.assertEqual(self.post("poll", "first"), "first:those who are here go on")


class Later(Chat):
    """Under the virtual clock, where time jumps ahead whenever the server has nothing to do."""

    @classmethod
    def setUpClass(cls):
        with unittest.mock.patch.dict(os.environ, CRESS_CLOCK="virtual"):
            cls.server = serve_module("chat", "--header-timeout", "0", "--request-timeout", "0")
        cls.addClassCleanup(cls.server.stop)

    def ask(self, method, *segments, **form):
        """In one piece: time passes while the server waits for the second."""
        body = urllib.parse.urlencode(form).encode() if method == "POST" else b""
        with cress_server.Client(self.server.connect()) as client:
            client.send(cress_server.request(path_of(*segments), method, "Connection: close\r\n", body))
            response = client.response(method)
        return response, response.body.decode()

    def test_poll_in_vain(self):
        with cress_server.Client(self.server.connect()) as client:
            client.send(cress_server.request("/topic1/vera", "POST") +
                        cress_server.request("/poll/vera", "POST"))
            self.assertEqual(client.response().status, 200)
            response = client.response()
            self.assertEqual((response.status, response.body), (200, b"[]"))

    def test_expiry(self):
        self.enter("erik")
        cress_server.eventually(lambda: self.status("POST", "poll", "erik") == 404, "erik is gone")
        cress_server.eventually(lambda: self.status("GET", self.room, "otto") == 404, "the room is gone")
        self.assertEqual(self.enter("otto", "topic1")["people"], ["otto"])


def load_tests(loader, _, __):
    """Full and Later borrow Chat's verbs, not its tests."""
    mine = {Full: ["test_rooms_and_users"], Later: ["test_expiry", "test_poll_in_vain"]}
    names = {Chat: loader.getTestCaseNames(Chat), **mine}
    return unittest.TestSuite(kind(name) for kind, tests in names.items() for name in tests)


if __name__ == "__main__":
    unittest.main()
