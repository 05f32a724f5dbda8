"""What the program says and which status it ends with when it does not come to serve."""

import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import unittest

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "support"))
import cress_server as cress  # noqa: E402

HELLO = cress.app("hello")
USAGE, MODULE, SYMBOL, FACTORY, BIND, DESCRIPTORS, LOG = 2, 3, 4, 5, 6, 7, 8


class Options(unittest.TestCase):
    def fails(self, status, message, *args, **kwargs):
        got = cress.run(*args, **kwargs)
        self.assertEqual(got, (status, "", message + "\n"))

    def test_wrong_option(self):
        self.fails(USAGE, "cress: --frobnicate: no such option (see --help)",
                   HELLO, "--frobnicate")

    def test_wrong_value(self):
        self.fails(USAGE, 'cress: --keep-alive: "abc" is not a number of seconds',
                   HELLO, "--keep-alive", "abc")

    def test_value_out_of_range(self):
        self.fails(USAGE, "cress: --backlog: 0 is less than the least possible, 1",
                   HELLO, "--backlog=0")

    def test_no_module(self):
        self.fails(USAGE, "cress: no module given, as in: cress hello.so (see --help)")

    def test_version(self):
        status, out, err = cress.run("--version")
        self.assertEqual((status, err), (0, ""))
        self.assertRegex(out, r"^cress \d+\.\d+\.\d+\n$")

    def test_help_lists_what_print_config_prints(self):
        status, out, err = cress.run("--help")
        self.assertEqual((status, err), (0, ""))
        options = set(re.findall(r"--([a-z-]+)", out))
        status, settings, err = cress.run(HELLO, "--print-config")
        self.assertEqual((status, err), (0, ""))
        names = {line.split(" =")[0] for line in settings.splitlines()}
        self.assertEqual(options - names, {"check-config", "print-config", "version", "help"})
        self.assertEqual(names - options, set())

    def test_documents_name_every_option(self):
        options = set(re.findall(r"--([a-z-]+)", cress.run("--help")[1]))
        manual = (cress.SOURCE / "server/man/cress.1").read_text().replace("\\-", "-")
        readme = (cress.SOURCE / "server/README.md").read_text()
        for option in options:
            with self.subTest(option=option):
                self.assertRegex(manual, rf"--{option}\b")
                self.assertRegex(readme, rf"`--{option}\b")

    def test_check_config(self):
        self.assertEqual(cress.run(HELLO, "--check-config", "-b", "127.0.0.1:0"),
                         (0, "configuration ok\n", ""))

    def test_check_config_does_not_listen(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            status, _, err = cress.run(HELLO, "--check-config", "-b", f"127.0.0.1:{port}")
        self.assertEqual((status, err), (0, ""))

    def test_print_config(self):
        status, out, _ = cress.run(HELLO, "--print-config", "-b", "[::1]:80", "--keep-alive=0",
                                   "--limit-request-body", "2m")
        self.assertEqual(status, 0)
        self.assertIn("bind = [::1]:80\n", out)
        self.assertIn("keep-alive = 0\n", out)
        self.assertIn("limit-request-body = 2097152\n", out)
        self.assertIn("request-timeout = 60\n", out)


class Failures(unittest.TestCase):
    """One line, and a status that tells why."""

    def fails(self, status, pattern, *args, **kwargs):
        got, _, err = cress.run(*args, **kwargs)
        self.assertEqual(got, status, err)
        self.assertEqual(err.count("\n"), 1, err)
        self.assertRegex(err, pattern)

    def test_address_that_is_none(self):
        self.fails(BIND, "127.0.0.1:http", HELLO, "-b", "127.0.0.1:http")
        self.fails(BIND, "127.0.0.1:http", HELLO, "-b", "127.0.0.1:http", "--check-config")

    def test_address_that_is_not_ours(self):
        self.fails(BIND, "192.0.2.1:8000.*Cannot assign requested address", HELLO,
                   "-b", "192.0.2.1:8000")

    def test_port_that_is_taken(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            self.fails(BIND, f"127.0.0.1:{port}.*Address already in use", HELLO,
                       "-b", f"127.0.0.1:{port}")

    def test_second_address_that_is_taken(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            self.fails(BIND, f"127.0.0.1:{port}.*Address already in use", HELLO,
                       "-b", "127.0.0.1:0", "-b", f"127.0.0.1:{port}")

    def test_too_few_descriptors(self):
        self.fails(DESCRIPTORS, r"1000 .*connections need 10\d\d .*descriptors.*limit is 100\b",
                   HELLO, "-b", "127.0.0.1:0", descriptors=100)
        self.fails(DESCRIPTORS, r"1000 .*connections need 10\d\d .*descriptors.*limit is 100\b",
                   HELLO, "-b", "127.0.0.1:0", "--check-config", descriptors=100)

    def test_logs_that_cannot_be_written(self):
        for option in "--error-logfile", "--access-logfile", "--pid":
            with self.subTest(option=option):
                self.fails(LOG, "/nowhere/x: No such file or directory", HELLO,
                           "-b", "127.0.0.1:0", "--log-level=error", option, "/nowhere/x")

    def test_factory_that_fails(self):
        self.fails(FACTORY, r"factories.so:make_failing\(\).*No such file or directory",
                   cress.module("factories") + ":make_failing()", "-b", "127.0.0.1:0",
                   "--log-level=error")


class Modules(unittest.TestCase):
    def fails(self, status, message, name, cwd=None):
        self.assertEqual(cress.run(name, "--check-config", cwd=cwd), (status, "", message + "\n"))

    def loads(self, name, cwd=None):
        self.assertEqual(cress.run(name, "--check-config", cwd=cwd), (0, "configuration ok\n", ""))

    def test_not_there(self):
        self.fails(MODULE, 'cress: cannot load "nowhere.so": cannot open shared object file: '
                   "No such file or directory", "nowhere.so")
        self.fails(MODULE, 'cress: cannot load "./no where.so": cannot open shared object file: '
                   "No such file or directory", "./no where.so:app")

    def test_not_a_shared_object(self):
        source = str(cress.SOURCE / "apps" / "hello.c")
        status, _, err = cress.run(source)
        self.assertEqual(status, MODULE)
        self.assertRegex(err, r'^cress: cannot load ".*hello\.c": .*(ELF header|too short)\n$')

    def test_undefined_function(self):
        name = cress.module("undefined")
        self.fails(MODULE, f'cress: cannot load "{name}": '
                   "undefined symbol: function_that_is_nowhere", name)

    def test_missing_symbol(self):
        name = cress.module("factories")
        self.fails(SYMBOL, f'cress: "{name}" has no symbol "application" or "app"', name)
        self.fails(SYMBOL, f'cress: "{name}" has no symbol "chat"', name + ":chat")
        self.fails(SYMBOL, f'cress: "{name}" has no symbol "chat"', name + ":chat()")

    def test_symbol_that_is_no_function(self):
        name = cress.module("factories")
        self.fails(SYMBOL, f'cress: "number" in "{name}" is not a function', name + ":number")

    def test_loads(self):
        self.loads(cress.module("only_app"))
        self.loads(cress.module("only_app") + ":app")
        self.loads(cress.module("factories") + ":make()")

    def test_without_a_slash_it_is_in_the_current_folder(self):
        self.loads("hello.so", cwd=os.path.dirname(HELLO))
        with tempfile.TemporaryDirectory() as elsewhere:
            self.assertEqual(cress.run("hello.so", cwd=elsewhere)[0], MODULE)

    def test_colon_in_a_folder_is_none_of_ours(self):
        with tempfile.TemporaryDirectory() as folder:
            odd = pathlib.Path(folder) / "a:b"
            odd.mkdir()
            (odd / "hello.so").symlink_to(HELLO)
            self.loads(str(odd / "hello.so"))


class Embedded(unittest.TestCase):
    """A program of its own that calls cress_main has the same options, without a module."""

    def test_options(self):
        program = str(cress.BUILD / "apps" / "tutorial" / "wsgi")
        self.assertEqual(cress.run("--check-config", program=program),
                         (0, "configuration ok\n", ""))
        status, out, _ = cress.run("-h", program=program)
        self.assertEqual(status, 0)
        self.assertTrue(out.startswith("Usage: wsgi [options]\n"), out)
        self.assertEqual(cress.run("hello.so", program=program),
                         (USAGE, "", 'wsgi: "hello.so": unexpected, only options are taken '
                          "(see --help)\n"))

    def test_closed_stdout(self):
        done = subprocess.run(f"{cress.CRESS} --help | true", shell=True, timeout=cress.DEADLINE,
                              check=False)
        self.assertEqual(done.returncode, 0)


if __name__ == "__main__":
    unittest.main()
