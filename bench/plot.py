"""Bars in SVG, one picture for each scenario, by gnuplot: the median of the rounds, and a line from
the least to the greatest."""

import os
import subprocess

from rounds import median
from scenarios import SCENARIOS

TALLEST = 5  # times the shortest bar; what is taller is cut, and its figure says how tall

SCRIPT = """
set terminal svg size 900,420 font "sans,13" background "white" noenhanced
set output "{path}"
set title "{title}"
set ylabel "{label}"
set yrange [0:{top}]
set boxwidth 0.6
set style fill solid 0.7 noborder
set grid ytics lc rgb "#dddddd"
unset key
$data << EOD
{data}
EOD
plot $data using 0:2:xtic(1) with boxes lc rgb "#4477aa", \\
     $data using 0:3:(0):($4-$3) with vectors heads size 0.06,90 fixed lw 2 lc rgb "#222222", \\
     $data using 0:4:5 with labels offset 0,0.8
"""


def _rows(scenario, results):
    """(name, median, least, greatest) of the ranking figure."""
    key = scenario.rank.key
    return [(name, median(rounds, key), min(r[key] for r in rounds), max(r[key] for r in rounds))
            for name, rounds in results.items()]


def _script(letter, results, path):
    scenario = SCENARIOS[letter]
    rows = _rows(scenario, results)
    cut = TALLEST * min(row[1] for row in rows)
    if scenario.rank.key == "mb_per_cpu_second":
        cut = max(row[3] for row in rows)  # more is better: nothing to cut
    data = "\n".join(f'"{name}" {min(mid, cut)} {min(least, cut)} {min(most, cut)} '
                     f'"{scenario.rank.form.format(mid)}"' for name, mid, least, most in rows)
    top = 1.15 * min(cut, max(row[3] for row in rows))
    return SCRIPT.format(path=path, title=f"{letter}: {scenario.title}", top=top, data=data,
                         label=scenario.rank.heading)


def prepare(bench, folder):
    """gnuplot's path; the folder is there."""
    os.makedirs(folder, exist_ok=True)
    return bench.tool("gnuplot", "gnuplot-nox")


def draw(bench, results, folder):
    gnuplot = prepare(bench, folder)
    for letter, by_server in results.items():
        if any(by_server.values()):
            path = os.path.join(folder, f"{letter}.svg")
            subprocess.run([gnuplot], input=_script(letter, by_server, path), text=True, check=True)
            print(f"drawn: {path}")
