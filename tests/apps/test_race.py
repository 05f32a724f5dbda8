"""The race that is planted in a tutorial program: hidden in every real run, found by
simulation, and replayed from its seed."""

import os
import re
import subprocess
import unittest

import tutorial_programs as tutorial


def race(*args, **env):
    process = subprocess.run([tutorial.program("race"), *args], env={**os.environ, **env},
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=50)
    return process.returncode, process.stdout, process.stderr


class Race(unittest.TestCase):
    well = (0, "no seat was sold twice\n", "")

    def test_an_ordinary_run_does_not_show_it(self):
        for _ in range(5):
            self.assertEqual(race(CRESS_CLOCK="virtual"), self.well)

    def test_simulation_finds_it(self):
        status, out, err = race("--seeds", "100")
        self.assertEqual(status, 1)
        self.assertRegex(out, r"\A5 seats, [6-8] sold\n\Z")
        found = re.search(r"^cress: failed with seed (\d+) \(Value too large for defined data type\): "
                          r"run again with CRESS_SEED=\1$", err, re.M)
        self.assertTrue(found, err)
        self.assertIn(int(found.group(1)), range(1, 101))

    def test_the_seed_replays_it(self):
        seed = re.search(r"CRESS_SEED=(\d+)", race("--seeds", "100")[2]).group(1)
        first = race("--seeds", "100")[1]
        for args in [], ["--seeds", "100"]:
            for _ in range(3):
                status, out, _ = race(*args, CRESS_SEED=seed)
                self.assertEqual((status, out), (1, first))

    def test_the_corrected_one_passes(self):
        self.assertEqual(race("--careful", "--seeds", "500"), self.well)
        self.assertEqual(race("--careful", CRESS_CLOCK="virtual"), self.well)


if __name__ == "__main__":
    unittest.main()
