"""Each tutorial program prints what gevent printed, under the virtual clock: times
are exact and no time passes.
"""

import re
import unittest

import tutorial_programs as tutorial


class Output(unittest.TestCase):
    maxDiff = None

    def run_program(self, name, *args):
        process = tutorial.start(name, *args, virtual_clock=True)
        stdout, stderr = process.communicate(timeout=50)
        self.assertEqual(process.returncode, 0, stderr)
        return stdout, stderr

    def test_programs(self):
        for name in tutorial.PROGRAMS:
            with self.subTest(program=name):
                expected = tutorial.expected(name)
                stdout, stderr = self.run_program(name)
                self.assertEqual((tutorial.name_ids(stdout, expected[0]), stderr), expected)

    def test_tasks(self):
        for seed in range(1, 8):
            with self.subTest(seed=seed):
                stdout, stderr = self.run_program("tasks", str(seed))
                lines = stdout.splitlines()
                all_tasks = [f"Task {i} done" for i in range(10)]
                self.assertEqual(lines[:11], ["Synchronous:", *all_tasks])
                self.assertEqual(lines[11], "Asynchronous:")
                self.assertEqual(sorted(lines[12:]), all_tasks)
                in_turn, together, at_once, longest = map(int, re.findall(r"(\d+) ms", stderr))
                self.assertEqual(in_turn, together)
                self.assertEqual(at_once, longest)
                self.assertLess(at_once, in_turn)

    def test_tasks_at_once_end_by_length(self):
        orders = {self.run_program("tasks", str(seed))[0] for seed in range(1, 8)}
        self.assertGreater(len(orders), 1)

    def test_subprocess(self):
        """A child lives in real time, under either clock: how many ticks it leaves room for, the
        machine has a say in. On one that has time for it there are five or six."""
        for virtual_clock in (True, False):
            with self.subTest(virtual_clock=virtual_clock):
                self.assertTrue(any(self.ticks(virtual_clock) in (5, 6) for _ in range(8)))

    def ticks(self, virtual_clock):
        process = tutorial.start("subprocess", virtual_clock=virtual_clock)
        stdout, stderr = process.communicate(timeout=50)
        self.assertEqual((process.returncode, stderr), (0, ""))
        self.assertRegex(stdout, r"\A(cron\n)+Linux\n\Z")
        return stdout.count("cron")


if __name__ == "__main__":
    unittest.main()
