"""The tutorial programs that pass messages: actors, which has no end of its own, and
zeromq, which is built only where libzmq is. On either clock.
"""

import os
import unittest

import tutorial_programs as tutorial

FIRST_LINES = ["start"] + ["ping", "pong"] * 3


class Messages(unittest.TestCase):
    def run_program(self, name, *args, virtual_clock):
        process = tutorial.start(name, *args, virtual_clock=virtual_clock)
        stdout, stderr = process.communicate(timeout=50)
        self.assertEqual((process.returncode, stderr), (0, ""))
        return stdout

    def test_actors_take_turns(self):
        for virtual_clock in (True, False):
            stdout = self.run_program("actors", "7", virtual_clock=virtual_clock)
            self.assertEqual(stdout.splitlines(), FIRST_LINES)

    def test_actors_take_turns_for_ever(self):
        process = tutorial.start("actors")
        lines = [process.stdout.readline() for _ in range(10001)]
        process.kill()
        process.communicate()
        self.assertEqual(lines, ["start\n"] + ["ping\n", "pong\n"] * 5000)

    def test_zeromq(self):
        if not os.path.exists(tutorial.program("zeromq")):
            self.skipTest("built without libzmq")
        expected = (tutorial.HERE / "expected" / "zeromq.out").read_text()
        for virtual_clock in (True, False):
            self.assertEqual(self.run_program("zeromq", virtual_clock=virtual_clock), expected)


if __name__ == "__main__":
    unittest.main()
