"""The chat's page in a real browser: two people, each in a Chromium of their own."""

import os
import signal
import sys
import unittest

import webdriver
from serving import BUILD, DEADLINE, SANITIZED, Server, serve_module
from webdriver import ENTER

PATIENCE = 3 * DEADLINE if SANITIZED else 2 * DEADLINE
SHOTS = os.environ.get("CRESS_SHOTS")  # a folder: screenshots are wanted

TEXTS = "[...document.querySelectorAll('#messages .text')].map(node => node.innerText)"
NAMES = "[...document.querySelectorAll('#people .name')].map(node => node.textContent)"
NOTICES = "[...document.querySelectorAll('#messages .notice')].map(node => node.textContent)"
STATE = "document.getElementById('state').dataset.state"


class Person:
    """Somebody at the page."""

    def __init__(self, driver, **window):
        self.browser = webdriver.Browser(driver)
        self.browser.resize(**window)

    def visit(self, server, address):
        """As somebody who was here before: with the secret, but without a name."""
        self.browser.go(server.url + "/robots.txt")  # nothing of ours runs there
        self.browser.run("sessionStorage.clear(); localStorage.removeItem('chat.name')")
        self.browser.go(server.url + address)

    def choose_name(self, name):
        self.name = name
        self.browser.run("document.getElementById('name-input').value = ''")
        self.browser.type("#name-input", name + ENTER)

    def enter(self, server, room, name):
        self.visit(server, f"/#{room}")
        self.choose_name(name)
        self.sees_state("online")

    def say(self, text):
        self.browser.type("#write-input", text + ENTER)

    def open_side(self):
        """On a phone the lists slide in."""
        self.browser.click("#menu")
        self.browser.wait("document.getElementById('side').getBoundingClientRect().left === 0")

    def open_room(self, room):
        self.browser.type("#open-input", room + ENTER)
        self.browser.wait("document.getElementById('room-title').textContent === '# ' + arguments[0]", room)

    def sees(self, *texts):
        for text in texts:
            self.browser.wait(f"{TEXTS}.includes(arguments[0])", text)

    def sees_people(self, *names):
        self.browser.wait(f"{NAMES}.sort().join() === arguments[0]", ",".join(sorted(names)))

    def sees_notice(self, text):
        self.browser.wait(f"{NOTICES}.includes(arguments[0])", text)

    def sees_state(self, state):
        self.browser.wait(f"{STATE} === arguments[0]", state)

    def texts(self):
        return self.browser.run(f"return {TEXTS}")


class Chat(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.driver = webdriver.Driver(PATIENCE)
        cls.addClassCleanup(cls.driver.stop)
        cls.server = serve_module("chat")
        cls.addClassCleanup(lambda: cls.server.stop())
        cls.alice = Person(cls.driver, width=1200, height=760)
        cls.bob = Person(cls.driver, width=390, height=844, scale=2, phone=True)

    def setUp(self):
        self.room = self._testMethodName.removeprefix("test_")[:24]

    def tearDown(self):
        for person in self.alice, self.bob:
            person.browser.go("about:blank")

    def both_enter(self):
        self.alice.enter(self.server, self.room, "Alice")
        self.bob.enter(self.server, self.room, "Bob")
        for person in self.alice, self.bob:
            person.sees_people("Alice", "Bob")

    def shoot(self, name):
        if SHOTS:
            self.alice.browser.screenshot(f"{SHOTS}/{name}-desktop.png")
            self.bob.browser.screenshot(f"{SHOTS}/{name}-phone.png")

    def test_two_people_talk(self):
        self.both_enter()
        self.alice.sees_notice("Bob joined")
        self.alice.say("Hello, is anybody here?")
        self.bob.sees("Hello, is anybody here?")
        self.bob.say("Yes, and I see you.")
        self.alice.sees("Yes, and I see you.")
        self.shoot("talk")
        expected = ["Hello, is anybody here?", "Yes, and I see you."]
        for person in self.alice, self.bob:
            self.assertEqual(person.texts(), expected)
        self.bob.browser.go("about:blank")
        self.alice.sees_notice("Bob left")
        self.alice.sees_people("Alice")

    def test_a_name_is_one_persons(self):
        self.alice.enter(self.server, self.room, "Alice")
        self.bob.visit(self.server, f"/#{self.room}")
        self.bob.choose_name("Alice")
        self.bob.browser.wait("document.getElementById('name-error').textContent.includes('Somebody else')")
        self.bob.choose_name("a/b")
        self.bob.browser.wait("document.getElementById('name-error').textContent.includes('slash')")
        self.shoot("name")
        self.bob.choose_name("Bob")
        self.bob.sees_people("Alice", "Bob")

    def test_markup_is_text(self):
        nasty = "<script>document.title = 'caught'</script> <img src=x onerror=\"document.title = 'caught'\"> &amp;"
        self.both_enter()
        self.alice.say(nasty)
        self.bob.sees(nasty)
        for person in self.alice, self.bob:
            made = person.browser.run("return document.querySelectorAll('#messages :is(script, img)').length")
            title = person.browser.run("return document.title")
            self.assertEqual((made, "caught" in title), (0, False))

    def test_addresses_are_links(self):
        self.both_enter()
        self.alice.say("see (https://example.org/a_(b)), http://example.org/?q=1. not javascript:alert(1)")
        self.bob.browser.wait("document.querySelectorAll('#messages a').length")
        links = self.bob.browser.run("""return [...document.querySelectorAll('#messages a')]
            .map(link => [link.getAttribute('href'), link.textContent, link.rel.includes('noopener')])""")
        self.assertEqual(links, [
            ["https://example.org/a_(b)", "https://example.org/a_(b)", True],
            ["http://example.org/?q=1", "http://example.org/?q=1", True],
        ])

    def test_rooms(self):
        self.both_enter()
        self.bob.open_side()
        self.bob.open_room("garden")
        self.alice.browser.wait("document.querySelector('#rooms [data-room=garden]')")
        self.alice.say("in the old room")
        self.bob.browser.wait("document.title.startsWith('(1) ')")
        self.bob.browser.wait("document.querySelector(arguments[0])", f"#rooms [data-room={self.room}] .badge")
        self.assertEqual(self.bob.texts(), [])
        self.alice.browser.click("#rooms [data-room=garden]")
        self.bob.sees_notice("Alice joined")
        self.alice.say("in the garden")
        self.bob.sees("in the garden")
        self.bob.open_side()
        self.shoot("rooms")
        self.bob.browser.click(f"#rooms [data-room={self.room}]")
        self.bob.sees("in the old room")
        self.bob.browser.wait("!document.title.startsWith('(')")
        self.bob.browser.click("#leave")
        self.bob.browser.wait("document.getElementById('room-title').textContent === '# garden'")
        self.alice.browser.click(f"#rooms [data-room={self.room}]")
        self.alice.sees_people("Alice")

    def test_lines_and_enter(self):
        self.both_enter()
        self.alice.browser.type("#write-input", "one\ue008" + ENTER + "\ue000two" + ENTER)
        self.bob.sees("one\ntwo")
        self.assertEqual(self.alice.browser.run("return document.getElementById('write-input').value"), "")

    def test_scrolls_only_for_who_reads_the_end(self):
        at_end = "scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 2"
        self.both_enter()
        for i in range(30):
            self.alice.say(f"line {i}")
        self.bob.sees("line 29")
        self.bob.browser.wait(at_end)
        self.bob.browser.run("scroll.scrollTop = 0")
        self.bob.browser.wait("!following")
        self.alice.say("one more")
        self.bob.browser.wait("!document.getElementById('newer').hidden")
        self.assertEqual(self.bob.browser.run("return scroll.scrollTop"), 0)
        self.shoot("scrolled")
        self.bob.browser.click("#newer")
        self.bob.browser.wait(f"{at_end} && document.getElementById('newer').hidden")

    def test_loading_again_is_not_leaving(self):
        self.both_enter()
        self.alice.say("before")
        self.bob.sees("before")
        self.alice.browser.reload()
        self.alice.sees_state("online")
        self.alice.sees("before")
        self.alice.say("after")
        self.bob.sees("after")
        # Longer than the server keeps a place for who left: somebody would have been told.
        self.alice.browser.wait("performance.now() > 5000")
        self.assertNotIn("Alice left", self.bob.browser.run(f"return {NOTICES}"))

    def test_goes_on_when_the_server_was_killed(self):
        self.both_enter()
        self.alice.say("before the crash")
        self.bob.sees("before the crash")
        cls = type(self)
        port = self.server.port
        self.server.signal(signal.SIGKILL)
        self.server.wait()
        for person in self.alice, self.bob:
            person.sees_state("offline")
        self.alice.say("written while it was away")
        self.shoot("offline")
        cls.server = Server([BUILD / "cress", "--bind", f"127.0.0.1:{port}", BUILD / "apps" / "chat.so"])
        for person in self.alice, self.bob:
            person.sees_state("online")
            person.sees_people("Alice", "Bob")
        self.bob.say("it is back")
        for person in self.alice, self.bob:
            person.sees("before the crash", "written while it was away", "it is back")
        for text in "before the crash", "written while it was away", "it is back":
            self.assertEqual(self.alice.texts().count(text), 1)

    def test_tutorial_addresses(self):
        self.alice.visit(self.server, "/topic2/Alice")
        self.alice.name = "Alice"
        self.alice.sees_state("online")
        self.alice.browser.wait("document.getElementById('room-title').textContent === '# topic2'")
        self.alice.sees_people("Alice")
        self.assertEqual(self.alice.browser.run("return location.pathname + location.hash"), "/#topic2")

    def test_without_javascript(self):
        self.alice.enter(self.server, "topic1", "Alice")
        browser = self.bob.browser
        browser.command("Emulation.setScriptExecutionDisabled", value=True)
        self.addCleanup(browser.command, "Emulation.setScriptExecutionDisabled", value=False)
        browser.go(self.server.url + "/")
        browser.type(".plain input", "Bob & <b>" + ENTER)
        browser.wait("document.querySelector('.plain a')")
        browser.click(".plain a")
        browser.wait("document.querySelector('.plain ol')")
        self.alice.sees_people("Alice", "Bob & <b>")
        browser.type(".plain input", "from <i>afar</i>" + ENTER)
        self.alice.sees("from <i>afar</i>")
        browser.wait("document.querySelector('.plain li:last-child').innerText === arguments[0]",
                     "Bob & <b>: from <i>afar</i>")

    def test_nothing_complains(self):
        self.both_enter()
        for person in self.alice, self.bob:
            person.browser.console()
            person.say("hello")
            person.sees("hello")
            self.assertEqual(person.browser.console(), [])


if __name__ == "__main__":
    if webdriver.MISSING:
        print("skipped:", webdriver.MISSING)
        sys.exit(77)
    unittest.main()
