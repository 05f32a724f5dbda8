"""Servers in turn, round by round, and what the rounds say together: medians, and the
median of the ratios within a round with the least and the greatest."""

import statistics
import subprocess

import servers
import setting
import table
from broadcast import BroadcastError
from bulk import BulkError
from client import ClientError
from load import LoadError
from scenarios import SCENARIOS

OURS = ("cress", "limit")
FAILURES = (servers.ServerError, LoadError, BulkError, BroadcastError, ClientError, OSError,
            subprocess.TimeoutExpired)
BUSY = 0.95  # of a core: it could not do more


def _measure(bench, name, scenario, seconds):
    """One server in one scenario: started, warmed up, measured, stopped."""
    with servers.Server(bench, name, scenario) as server:
        return scenario.measure(bench, server, scenario, seconds)


def _bottleneck(rounds):
    """Who could not do more, and the shares of the cores; "" where nobody was kept busy."""
    if "server_core" not in rounds[0]:
        return ""
    server, client = median(rounds, "server_core"), median(rounds, "client_core")
    who = "server" if server >= BUSY else "client" if client >= BUSY else "neither"
    return f"{who} ({server:.0%}, {client:.0%})"


def _show(letter, name, result):
    columns = SCENARIOS[letter].columns
    figures = "  ".join(f"{column.form.format(result[column.key])} {column.heading}"
                        for column in columns if column.key in result)
    shares = "  ".join(f"{who} {result[f'{who}_core']:.0%}" for who in ("server", "client")
                       if f"{who}_core" in result)
    errors = "".join(f"  {what} errors: {count}" for what, count in result["errors"].items())
    print(f"  {letter} {name:10} {figures}  {shares}{errors}", flush=True)


class Rounds:
    """results[letter][name]: a result of each round. left_out[letter][name]: the reason."""

    def __init__(self, letters, names):
        self.results = {letter: {name: [] for name in names} for letter in letters}
        self.left_out = {letter: {} for letter in letters}
        self.names = names
        self.sound = True  # nothing of ours has failed

    def _leave_out(self, letter, name, reason):
        print(f"  {letter} {name:10} left out: {reason}", flush=True)
        self.left_out[letter][name] = reason
        del self.results[letter][name]

    def _try(self, bench, letter, name, seconds):
        try:
            result = _measure(bench, name, SCENARIOS[letter], seconds)
        except setting.Absent as absent:
            self._leave_out(letter, name, str(absent))
        except FAILURES as failure:
            self._leave_out(letter, name, f"it failed: {failure}")
            self.sound = self.sound and name not in OURS
        else:
            self.results[letter][name].append(result)
            self.sound = self.sound and not (name in OURS and result["errors"])
            _show(letter, name, result)

    def run(self, bench, rounds, seconds):
        for number in range(1, rounds + 1):
            print(f"round {number} of {rounds}", flush=True)
            for letter in bench.random.sample(list(self.results), len(self.results)):
                # All servers of one scenario stand side by side: what else the machine
                # does at that time, it does to all of them.
                names = list(self.results[letter])
                for name in bench.random.sample(names, len(names)):
                    self._try(bench, letter, name, seconds)

    def ratios(self, letter, of, to):
        """Of the ranking figure, in the same rounds; None without them."""
        results, key = self.results[letter], SCENARIOS[letter].rank.key
        if of == to or of not in results or to not in results:
            return None
        return [a[key] / b[key] for a, b in zip(results[of], results[to])]

    def summary(self):
        """For the JSON file."""
        return {letter: {
            "title": SCENARIOS[letter].title, "rank": SCENARIOS[letter].rank.key,
            "rounds": results, "left_out": self.left_out[letter],
            "ratios": {f"{of}/{to}": self.ratios(letter, of, to) for of in results
                       for to in results if of != to}}
            for letter, results in self.results.items()}

    def print_medians(self):
        for letter, results in self.results.items():
            if any(results.values()):
                self._print_table(letter, results)

    def _print_table(self, letter, results):
        scenario = SCENARIOS[letter]
        columns = [c for c in scenario.columns if all(c.key in r[0] for r in results.values())]
        rows = [["", *(column.heading for column in columns), "bottleneck (server, client)",
                 "of limit's", "cress's, of it"]]
        for name, rounds in results.items():
            rows.append([name, *(c.form.format(median(rounds, c.key)) for c in columns),
                         _bottleneck(rounds),
                         spread(self.ratios(letter, name, "limit")),
                         spread(self.ratios(letter, "cress", name))])
        print(f"\n{letter}: {scenario.title}; ratios of {scenario.rank.heading}")
        table.show(table.without_empty_columns(rows))
        for name in self.names:
            if name in self.left_out[letter]:
                print(f"left out: {name}: {self.left_out[letter][name]}")


def median(results, key):
    return statistics.median(result[key] for result in results)


def spread(ratios):
    if not ratios:
        return ""
    return f"{statistics.median(ratios):.3f} ({min(ratios):.3f}-{max(ratios):.3f})"
