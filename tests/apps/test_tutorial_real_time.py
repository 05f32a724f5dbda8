"""The tutorial programs on the real clock, all at the same time: the same lines, and
no time earlier than it should be. Then the one that only a signal ends.
"""

import re
import signal
import unittest

import tutorial_programs as tutorial


class RealTime(unittest.TestCase):
    maxDiff = None

    def test_programs(self):
        running = {name: tutorial.start(name) for name in tutorial.PROGRAMS}
        results = {name: process.communicate(timeout=50) for name, process in running.items()}
        for name, process in running.items():
            with self.subTest(program=name):
                self.assertEqual(process.returncode, 0, results[name])
                expected_stdout, expected_stderr = tutorial.expected(name)
                stdout, stderr = results[name]
                self.compare(tutorial.name_ids(stdout, expected_stdout), expected_stdout)
                self.compare(stderr, expected_stderr)

    def compare(self, got, expected):
        got, got_times = tutorial.split_times(got)
        expected, expected_times = tutorial.split_times(expected)
        self.assertEqual(got, expected)
        for got, expected in zip(got_times, expected_times):
            self.assertGreaterEqual(got, expected)

    def test_tasks(self):
        process = tutorial.start("tasks")
        stdout, _ = process.communicate(timeout=50)
        self.assertEqual(process.returncode, 0)
        self.assertEqual(sorted(set(re.findall(r"Task \d done", stdout))),
                         [f"Task {i} done" for i in range(10)])

    def test_shutdown(self):
        process = tutorial.start("shutdown")
        first = process.stdout.readline()
        self.assertEqual(first, f"Asleep. To wake it: kill -QUIT {process.pid}\n")
        process.send_signal(signal.SIGQUIT)
        stdout, stderr = process.communicate(timeout=50)
        self.assertEqual((stdout, stderr), ("Woken early: Operation canceled\n", ""))
        self.assertEqual(process.returncode, 0)


if __name__ == "__main__":
    unittest.main()
