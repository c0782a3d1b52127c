"""`secateurs compare`: its table, its files, its mistakes, and what an interruption leaves."""

import csv
import json
import re
import signal
import time

import pytest
from cli_support import mistake

OWN = ("compare", "own:net", "--input", "1,2,8,8", "--data", "own:data", "--to", "out")
RUN = (*OWN, "--method", "l2-norm", "--macs", "0.7", "--macs", "0.5", "--draws", "2")
SCORE = "def score(filters):\n    return filters[:, 0]\n"


def test_a_comparison_prints_and_writes_its_tables(cli, work):
    (work / "mine.py").write_text(SCORE)
    ways = ("--method", "mine.py:score", "--method", "similarity-nystrom:columns=4")
    done = cli(*RUN, *ways, "--compensate", "none", "--repair", "bias", "--test", "20")
    assert done.status == 0, done
    methods = ["l2-norm", "mine.py:score", "similarity-nystrom:columns=4", "random", "l1-norm"]
    record = json.loads((work / "out" / "result.json").read_text())
    assert len(record["rows"]) == (4 + 2) * 2 * 2
    assert {row["reason"] for row in record["rows"]} == {None}
    assert record["original"]["samples"] == 20
    assert record["machine"]["cores"] >= 1
    with (work / "out" / "comparison.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [line["method"] for line in lines] == [name for name in methods for _ in range(4)]
    for line in lines:
        assert f"{100 * float(line['accuracy']):.2f}" in done.out
    assert "difference to random" in done.out
    assert "proof: all 24 networks equal" in done.out
    assert (work / "out" / "comparison.tex").read_text().count(r"\toprule") == 3
    again = cli(*RUN, *ways, "--compensate", "none", "--repair", "bias", "--test", "20", "--json")
    assert [row["seconds"] for row in json.loads(again.out)["rows"]] == [
        row["seconds"] for row in record["rows"]
    ]


def test_a_row_that_fails_does_not_end_the_run(cli, work):
    (work / "mine.py").write_text("def score(filters):\n    raise ValueError('no idea')\n")
    done = cli(*RUN, "--method", "mine.py:score", "--against", "none")
    assert done.status == 0, done
    assert "no idea" in done.out
    assert re.search(r"mine.py:score +none +failed +failed", done.out)
    assert "difference" not in done.out


def test_amounts_are_budgets_and_name_their_columns(cli, work):
    ways = ("--method", "l2-norm", "--macs", "60k", "--macs", "0.5", "--against", "none")
    done = cli(*OWN, *ways)
    assert done.status == 0, done
    assert "60k MACs" in done.out
    assert "50 % MACs" in done.out
    assert "l2-norm, macs 60k, none, seed 0" in done.err
    rows = json.loads((work / "out" / "result.json").read_text())["rows"]
    assert [row["share"] for row in rows] == [60_000, 0.5]
    assert rows[0]["macs"] <= 60_000


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((*OWN, "--macs", "0.5"), ("--method is missing",)),
        ((*OWN, "--method", "l2-norm"), ("--macs, --params or --keep",)),
        ((*OWN, "--method", "l2norm", "--macs", "0.5"), ("l2norm", "l2-norm")),
        ((*OWN, "--method", "l2-norm", "--macs", "5"), ("macs is 5", "(0, 1]")),
        ((*OWN, "--method", "l2-norm", "--macs", "30X"), ("macs is '30X'", "30M")),
        ((*RUN, "--compensate", "merg"), ("merg", "merge")),
        ((*RUN, "--seeds", "0"), ("--seeds",)),
        ((*RUN, "--ray", "--slurm", "gpu"), ("--ray and --slurm",)),
        ((*RUN, "--calibrate", "0"), ("--calibrate 0",)),
        ((*RUN, "--latency", "0.5"), ("--latency",)),
        ((*RUN, "--method", "mine.py:score"), ("mine.py:score", "not there")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_mistakes_are_named_and_nothing_is_computed(cli, work, arguments, words):
    mistake(cli(*arguments), 2, *words)
    assert not (work / "out" / "cells").exists() or not any((work / "out" / "cells").iterdir())


def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(process, work):
    slow = "import time\ndef score(filters):\n    time.sleep(600)\n    return filters[:, 0]\n"
    (work / "slow.py").write_text(slow)
    first = process(*RUN, "--against", "none")
    _, err = first.communicate(timeout=300)
    assert first.returncode == 0, err
    stopped = process(*RUN, "--against", "none", "--method", "slow.py:score")
    seen = []
    for line in stopped.stderr:  # the finished cells are told at once, then the slow one begins
        seen.append(line)
        if "macs 0.5" in line:
            break
    time.sleep(0.5)
    stopped.send_signal(signal.SIGINT)
    _, err = stopped.communicate(timeout=60)
    assert stopped.returncode == 130
    assert "Traceback" not in err
    told = [line for line in err.splitlines() if line.startswith("secateurs: ")]
    assert "2 cells are finished in out; the same command goes on from there" in told[-2]
    assert told[-1].startswith("secateurs: interrupted")
    assert len(list((work / "out" / "cells").glob("*.json"))) == 3
