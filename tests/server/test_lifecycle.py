"""Starting, listening, logging, draining and stopping."""

import contextlib
import os
import pathlib
import re
import signal
import socket
import sys
import tempfile
import threading
import unittest

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "support"))
import cress_server as cress  # noqa: E402

HELLO = cress.app("hello")
HANDLERS = cress.module("handlers")
FACTORIES = cress.module("factories")
# The handler waits for the one byte.
BODY_TO_COME = b"POST /name-server HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\n\r\n"
TERMINATES = "Handling signal: term"


def unix_client(path):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(cress.DEADLINE)
    sock.connect(path)
    return cress.Client(sock)


class Starting(cress.ServerTest):
    def test_it_says_where_it_listens(self):
        server = self.serve(HELLO)
        version = cress.run("--version")[1].split()[1]
        port = server.address[1]
        first, second = server.log().splitlines()[:2]
        stamp = rf"\[\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{{4}}\] \[{server.pid}\] \[INFO\] "
        self.assertRegex(first, rf"^{stamp}Starting cress {re.escape(version)}$")
        self.assertRegex(second, rf"^{stamp}Listening at: http://127\.0\.0\.1:{port} "
                                 rf"\({server.pid}\)$")

    def test_hello(self):
        answer = self.serve(HELLO).ask()
        self.assertEqual((answer.status, answer.body), (200, b"hello, world\n"))
        self.assertEqual(answer.headers["content-length"], "13")

    def test_application_before_app(self):
        self.assertEqual(self.serve(cress.module("both_names")).ask().body, b"application\n")

    def test_app(self):
        self.assertEqual(self.serve(cress.module("only_app")).ask().body, b"app\n")

    def test_named_symbol(self):
        self.assertEqual(self.serve(cress.module("both_names") + ":app").ask().body, b"app\n")

    def test_factory_is_called_in_the_hub_and_its_application_finished(self):
        server = self.serve(FACTORIES + ":make()")
        self.assertEqual(server.ask().body, b"made\n")
        server.signal(signal.SIGTERM)
        self.assertEqual(server.wait(), 0)
        self.assertEqual(server.log().count("finished made"), 1)

    def stop_factory(self, signum):
        server = cress.subprocess.Popen(
            [cress.CRESS, "-b", "127.0.0.1:0", FACTORIES + ":make_waiting()"],
            stderr=cress.subprocess.PIPE, text=True)
        self.addCleanup(server.kill)
        self.assertTrue(any("the factory waits" in line for line in server.stderr))
        server.send_signal(signum)
        log = server.communicate(timeout=cress.DEADLINE)[1]
        self.assertEqual(server.returncode, 0, log)
        self.assertNotIn("finished", log)

    def test_term_stops_a_factory_that_waits(self):
        self.stop_factory(signal.SIGTERM)

    def test_int_stops_a_factory_that_waits(self):
        self.stop_factory(signal.SIGINT)

    def test_pid_file(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "pid"
            server = self.serve(HELLO, "--pid", str(path))
            self.assertEqual(path.read_text(), f"{server.pid}\n")
            self.assertEqual(server.stop(), 0)
            self.assertFalse(path.exists())


class Addresses(cress.ServerTest):
    def test_several_at_once(self):
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/socket"
            server = self.serve(HANDLERS, "-b", "127.0.0.1:0", "-b", "[::1]:0",
                                f"--bind=unix:{path}", bind=None)
            server.await_log("Listening at", 3)
            urls = re.findall(r"Listening at: (\S+) ", server.log())
            self.assertRegex(urls[0], r"^http://127\.0\.0\.1:[1-9]\d*$")
            self.assertRegex(urls[1], r"^http://\[::1\]:[1-9]\d*$")
            self.assertEqual(urls[2], f"unix:{path}")
            for host, url in (("127.0.0.1", urls[0]), ("::1", urls[1])):
                sock = socket.create_connection((host, int(url.rsplit(":", 1)[1])),
                                                timeout=cress.DEADLINE)
                with cress.Client(sock) as client:
                    self.assertEqual(client.get().body, b"hello, world\n")
            with unix_client(path) as client:
                self.assertEqual(client.get().body, b"hello, world\n")
            self.assertEqual(server.stop(), 0)
            self.assertFalse(pathlib.Path(path).exists())

    def test_commas(self):
        server = self.serve(HANDLERS, bind="127.0.0.1:0,127.0.0.1:0")
        server.await_log("Listening at", 2)

    def test_stale_unix_socket_is_replaced(self):
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/socket"
            killed = cress.Server(HELLO, bind=f"unix:{path}")
            killed.process.kill()
            killed.wait()
            self.assertTrue(pathlib.Path(path).exists())
            self.serve(HELLO, bind=f"unix:{path}")
            with unix_client(path) as client:
                self.assertEqual(client.get().status, 200)
            self.assertEqual(cress.run(HELLO, "-b", f"unix:{path}")[0], 6)

    def test_environ_over_unix_and_ipv6(self):
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/socket"
            server = self.serve(cress.app("environ"), "-b", f"unix:{path}", "-b", "[::1]:0",
                                bind=None)
            server.await_log("Listening at", 2)
            with unix_client(path) as client:
                self.assertEqual(client.get().status, 200)
            port = int(re.search(r"\[::1\]:(\d+)", server.log()).group(1))
            sock = socket.create_connection(("::1", port), timeout=cress.DEADLINE)
            with cress.Client(sock) as client:
                body = client.get().body
            self.assertRegex(body, rb'"REMOTE_ADDR": ?"::1"')
            self.assertRegex(body, rb'"SERVER_PORT": ?"%d"' % port)


class Succession(cress.ServerTest):
    """A server that drains has a successor at the same unix socket."""

    def start(self):
        return self.serve(HANDLERS, "--pid", self.pidfile, "--graceful-timeout=600",
                          bind=f"unix:{self.path}")

    def is_free(self):
        try:
            unix_client(self.path).close()
        except (FileNotFoundError, ConnectionRefusedError):
            return True
        return False

    def test_it_keeps_what_is_its_own(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path, self.pidfile = f"{folder.name}/socket", f"{folder.name}/pid"
        first = self.start()
        with unix_client(self.path) as busy:
            busy.send(BODY_TO_COME)
            with unix_client(self.path) as other:
                other.get()
            first.signal(signal.SIGTERM)
            cress.eventually(self.is_free, "the first listens no more")
            second = self.start()
            busy.send(b"!")
            self.assertEqual(busy.response().status, 200)
            self.assertEqual(first.wait(), 0)
        with unix_client(self.path) as client:
            self.assertEqual(client.get().status, 200)
        self.assertEqual(pathlib.Path(self.pidfile).read_text(), f"{second.pid}\n")
        self.assertEqual(second.stop(), 0)
        self.assertEqual(os.listdir(folder.name), [])


class AccessLog(cress.ServerTest):
    LINE = (r'^127\.0\.0\.1 - - \[\d\d/[A-Z][a-z][a-z]/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] '
            r'"GET /\?a=%22 HTTP/1\.1" 200 13 "http://there/" "a \\"test\\""$')

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name) / "access.log"

    def lines(self, count):
        def whole():
            text = self.path.read_text() if self.path.exists() else ""
            return text if text.count("\n") >= count else None
        return cress.eventually(whole, f"{count} lines in the access log").splitlines()

    def ask(self, server):
        headers = 'Referer: http://there/\r\nUser-Agent: a "test"\r\n'
        self.assertEqual(server.ask("/?a=%22", headers=headers).status, 200)

    def test_combined_and_common(self):
        server = self.serve(HANDLERS, "--access-logfile", str(self.path))
        self.ask(server)
        self.assertRegex(self.lines(1)[0], self.LINE)
        self.path.unlink()
        server = self.serve(HANDLERS, "--access-logfile", str(self.path),
                            "--access-logformat=common")
        self.ask(server)
        self.assertRegex(self.lines(1)[0], self.LINE.split(' "http:')[0] + "$")

    def test_each_request_of_a_connection(self):
        server = self.serve(HANDLERS, "--access-logfile", str(self.path))
        with server.connect() as client:
            client.send(cress.request("/") + cress.request("/nowhere") + cress.request("/wake"))
            for status in 200, 404, 204:
                self.assertEqual(client.response().status, status)
        found = [re.search(r'"GET (\S+) HTTP/1.1" (\d+) (\S+)', line).groups()
                 for line in self.lines(3)]
        self.assertEqual(found, [("/", "200", "13"), ("/nowhere", "404", "-"),
                                 ("/wake", "204", "-")])

    def test_refused_requests(self):
        server = self.serve(HANDLERS, "--access-logfile", str(self.path), "--header-timeout=0.3")
        for data, status in ((b"GET /x HTTP/1.1\r\n\r\n", 400), (b"\0\r\n\r\n", 400),
                             (b"GET / HTTP/1.1\r\nHost:", 408)):
            with server.connect() as client:
                client.send(data)
                self.assertEqual(client.response().status, status)
        self.assertEqual([re.search(r'" (\d+) ', line).group(1) for line in self.lines(3)],
                         ["400", "400", "408"])

    def test_standard_output_that_is_gone(self):
        reading, writing = os.pipe()
        server = self.serve(HANDLERS, "--access-logfile=-", stdout=writing)
        os.close(writing)
        os.close(reading)
        for _ in range(3):
            self.assertEqual(server.ask().status, 200)
        server.await_log(r"\[ERROR\] access log: Broken pipe")

    def test_reopened_by_sigusr1(self):
        server = self.serve(HANDLERS, "--access-logfile", str(self.path))
        self.ask(server)
        self.lines(1)
        moved = self.path.with_suffix(".1")
        self.path.rename(moved)
        server.signal(signal.SIGUSR1)

        def reopened():
            self.ask(server)
            return self.path.exists() and self.path.read_text()
        cress.eventually(reopened, "a line in the new file")
        self.assertGreaterEqual(len(moved.read_text().splitlines()), 1)

    def test_standard_output(self):
        with open(self.path, "w", encoding="utf-8") as out:
            server = self.serve(HANDLERS, "--access-logfile", "-", stdout=out)
            self.ask(server)
            self.assertRegex(self.lines(1)[0], self.LINE)

    def test_nothing_is_lost_when_it_stops(self):
        server = self.serve(HANDLERS, "--access-logfile", str(self.path))
        with server.connect() as client:
            for _ in range(50):
                client.get()
        server.signal(signal.SIGTERM)
        self.assertEqual(server.wait(), 0)
        self.assertEqual(len(self.path.read_text().splitlines()), 50)


class ErrorLog(cress.ServerTest):
    def test_file(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "error.log"
            server = cress.subprocess.Popen(
                [cress.CRESS, "-b", "127.0.0.1:0", "--error-logfile", str(path), HELLO],
                stderr=cress.subprocess.PIPE)
            cress.eventually(lambda: path.exists() and "Listening at" in path.read_text())
            server.send_signal(signal.SIGTERM)
            self.assertEqual(server.communicate(timeout=cress.DEADLINE)[1], b"")
            self.assertEqual(server.returncode, 0)

    def test_request_is_named(self):
        server = self.serve(HANDLERS)
        client = self.connect(server)
        client.send(cress.request("/wait?x=1"))
        server.await_state(waiting=1)
        client.close()
        server.await_log(r"\[INFO\] \[GET /wait\S*\] cleaned up after ECANCELED\n")


class Stopping(cress.ServerTest):
    def test_term_lets_requests_in_flight_finish(self):
        server = self.serve(HANDLERS)
        busy = self.connect(server)
        idle = self.connect(server)
        self.assertEqual(idle.get().status, 200)
        busy.send(cress.request("/nap?ms=1000"))
        waiting = self.connect(server)
        waiting.send(cress.request("/wait"))
        server.await_state(waiting=1)
        server.ask("/wake")
        self.assertEqual(waiting.response().status, 200)
        server.signal(signal.SIGTERM)
        self.assertTrue(idle.is_closed())
        cress.eventually(lambda: self.refuses(server), "new connections are refused")
        answer = busy.response()
        self.assertEqual((answer.status, answer.body), (200, b"slept 1000\n"))
        self.assertTrue(busy.is_closed())
        self.assertEqual(server.wait(), 0)

    def refuses(self, server):
        try:
            socket.create_connection(server.address, timeout=cress.DEADLINE).close()
        except (ConnectionRefusedError, ConnectionResetError):
            return True
        return False

    def test_term_in_the_middle_of_a_request(self):
        server = self.serve(HANDLERS)
        client = self.connect(server)
        client.send(BODY_TO_COME)
        server.await_state(waiting=1)
        server.signal(signal.SIGTERM)
        cress.eventually(lambda: self.refuses(server), "the listeners are closed")
        client.send(b"!")
        answer = client.response()
        self.assertEqual((answer.status, answer.body), (200, b"127.0.0.1"))
        self.assertEqual(answer.headers["connection"], "close")
        self.assertEqual(server.wait(), 0)

    def test_term_lets_a_stream_finish(self):
        server = self.serve(HANDLERS)
        client = self.connect(server)
        client.send(cress.request("/drip?count=5&ms=100"))
        self.assertEqual(client.head()[0], 200)
        self.assertEqual(client.chunk(), b"drop 0\n")
        server.signal(signal.SIGTERM)
        for i in range(1, 5):
            self.assertEqual(client.chunk(), b"drop %d\n" % i)
        self.assertEqual(client.chunk(), b"")
        self.assertEqual(server.wait(), 0)

    def test_after_the_graceful_timeout_handlers_clean_up(self):
        server = self.serve(HANDLERS, "--graceful-timeout", "0.3")
        client, slow = self.connect(server), self.connect(server)
        client.send(cress.request("/wait"))
        slow.send(cress.request("/clean-up-slowly"))
        server.await_state(waiting=2)
        server.signal(signal.SIGTERM)
        self.assertEqual(server.wait(), 0)
        self.assertIn("cleaned up after ECANCELED", server.log())
        self.assertIn("slow clean-up has ended", server.log())

    def test_clean_up_that_takes_too_long(self):
        server = self.serve(HANDLERS, "--access-logfile=/dev/null", "--header-timeout=0",
                            "--request-timeout=0", environment={"CRESS_CLOCK": "virtual"})
        client = self.connect(server)
        client.send(cress.request("/clean-up-slowly?ms=20000"))
        server.await_state(waiting=1)
        server.signal(signal.SIGINT)
        self.assertEqual(server.wait(), 0)
        self.assertIn("1 connections did not end in time", server.log())
        self.assertIn("slow clean-up has ended", server.log())

    def test_one_that_ignores_its_kill_is_told_and_left(self):
        server = self.serve(HANDLERS, "--graceful-timeout=0.2")
        client = self.connect(server)
        client.send(cress.request("/ignore-kill"))
        server.settle()
        server.signal(signal.SIGTERM)
        self.assertEqual(server.wait(), 0)
        self.assertIn("greenlet GET /ignore-kill goes on", server.log())
        self.assertIn("gave in", server.log())

    def test_term_while_accepting_is_paused(self):
        server = self.serve(HANDLERS, "--worker-connections=1", "--keep-alive=60")
        first, second = self.connect(server), self.connect(server)
        self.assertEqual(first.get().status, 200)
        second.send(cress.request())
        server.signal(signal.SIGTERM)
        self.assertEqual(server.wait(), 0)
        self.assertTrue(first.is_closed())

    def test_term_with_half_a_head(self):
        server = self.serve(HANDLERS, "--header-timeout", "0.5")
        client = self.connect(server)
        client.send(b"GET / HTTP/1.1\r\nHo")
        server.settle()
        server.signal(signal.SIGTERM)
        self.assertEqual(server.wait(), 0)

    def test_term_with_a_client_that_does_not_read(self):
        server = self.serve(HANDLERS, "--graceful-timeout=0.3")
        client = self.connect(server)
        client.send(cress.request("/flood"))
        self.assertEqual(client.head()[0], 200)
        server.signal(signal.SIGTERM)
        self.assertEqual(server.wait(), 0)
        self.assertIn("flood ended by ECANCELED", server.log())

    def test_term_lets_queued_requests_finish(self):
        server = self.serve(HANDLERS, "--concurrency", "1")
        first, *queued = [self.connect(server) for _ in range(4)]
        first.send(BODY_TO_COME)
        server.settle()
        for client in queued:
            client.send(cress.request("/nap?ms=20"))
        server.settle()
        server.signal(signal.SIGTERM)
        server.await_log(TERMINATES)
        first.send(b"x")
        self.assertEqual(first.response().status, 200)
        for client in queued:
            self.assertEqual(client.response().body, b"slept 20\n")
        self.assertEqual(server.wait(), 0)

    def test_term_closes_after_pipelined_requests(self):
        server = self.serve(HANDLERS)
        client = self.connect(server)
        client.send(cress.request("/wait") + cress.request("/"))
        server.await_state(waiting=1)
        waking, wake = self.connect(server), cress.request("/wake")
        waking.send(wake[:-1])
        server.settle()
        server.signal(signal.SIGTERM)
        server.await_log(TERMINATES)
        waking.send(wake[-1:])
        self.assertEqual(client.response().body, b"woken\n")
        rest = client.rest()
        self.assertIn(rest.split(b" ")[0], (b"", b"HTTP/1.1"))
        self.assertEqual(server.wait(), 0)

    def test_two_terms(self):
        server = self.serve(HANDLERS)
        client = self.connect(server)
        client.send(BODY_TO_COME)
        server.await_state(waiting=1)
        for count in 1, 2:
            server.signal(signal.SIGTERM)
            server.await_log(TERMINATES, count)
        client.send(b"x")
        self.assertEqual(client.response().status, 200)
        self.assertEqual(server.wait(), 0)

    def quick(self, signum):
        server = self.serve(HANDLERS)
        waiting, idle = self.connect(server), self.connect(server)
        self.assertEqual(idle.get().status, 200)
        waiting.send(cress.request("/wait"))
        server.await_state(waiting=1)
        server.signal(signum)
        self.assertEqual(server.wait(), 0)
        self.assertTrue(idle.is_closed())
        self.assertIn("cleaned up after ECANCELED", server.log())

    def test_int_stops_quickly(self):
        self.quick(signal.SIGINT)

    def test_quit_stops_quickly(self):
        self.quick(signal.SIGQUIT)

    def test_int_does_not_wait_for_the_rest_of_a_body(self):
        server = self.serve(HANDLERS, "--write-timeout=600", "--body-timeout=600")
        client = self.connect(server)
        client.send(BODY_TO_COME.replace(b"Length: 1", b"Length: 300"))
        server.await_state(waiting=1)
        server.signal(signal.SIGINT)
        self.assertEqual(server.wait(), 0)
        self.assertNotIn("did not end in time", server.log())

    def test_int_while_connections_arrive(self):
        for _ in range(3):
            server = self.serve(HANDLERS)
            clients = threading.Thread(target=self.arrive, args=(server,))
            clients.start()
            server.await_state(finished=0)
            server.signal(signal.SIGINT)
            self.assertEqual(server.wait(), 0)
            clients.join()
            self.assertNotIn("did not end in time", server.log())

    def arrive(self, server):
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for _ in range(300):
                stack.enter_context(server.connect()).send(cress.request("/wait"))

    def test_int_ends_a_drain(self):
        server = self.serve(HANDLERS, "--graceful-timeout=600")
        client = self.connect(server)
        client.send(cress.request("/wait"))
        server.await_state(waiting=1)
        server.signal(signal.SIGTERM)
        cress.eventually(lambda: self.refuses(server), "it drains")
        server.signal(signal.SIGINT)
        self.assertEqual(server.wait(), 0)
        self.assertIn("cleaned up after ECANCELED", server.log())


if __name__ == "__main__":
    unittest.main()
