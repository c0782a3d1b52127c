"""Means, deviations and paired differences against plain loops; and the tables that show them."""

import csv
import io
import math
import re
import statistics

import numpy as np
import pytest

from secateurs.comparing.comparison import Comparison
from secateurs.comparing.marks import Marks
from secateurs.comparing.records import Ranked, Scored
from secateurs.comparing.summary import summaries
from secateurs.contracts import Order


def row(method, marks, seed=0, repair="none", share=0.5):
    scores = np.array(marks, dtype=float)
    mean = float(scores.mean())
    error = math.sqrt(mean * (1 - mean) / len(scores))
    asked = (f"{method}{seed}{repair}{share}", method, "uniform", "macs", share, repair, seed)
    return Scored(*asked, None, mean, error, len(scores), params=40, macs=50, right=Marks.of(scores))


ORIGINAL = row("unpruned", [1] * 8)
ONE = [1, 1, 1, 0, 0, 1, 0, 1]
OTHER = [1, 0, 0, 0, 1, 1, 0, 0]
DRAWS = [[1, 0, 0, 0, 0, 1, 0, 0], [0, 0, 1, 0, 0, 1, 1, 1], [1, 1, 1, 1, 1, 1, 1, 0]]


def test_one_seed_each_is_mcnemars():
    one, _ = summaries([row("a", ONE), row("b", OTHER)], ORIGINAL, ["b"])
    broken = sum(x > y for x, y in zip(ONE, OTHER, strict=True))  # right here and wrong there
    mended = sum(x < y for x, y in zip(ONE, OTHER, strict=True))
    n = len(ONE)
    found = one.against["b"]
    assert found.value == pytest.approx((broken - mended) / n)
    # The variance of a paired difference of shares, with n - 1 for n.
    variance = (broken + mended - (broken - mended) ** 2 / n) / (n - 1) / n
    assert found.images == pytest.approx(math.sqrt(variance))
    assert found.seeds == 0
    assert (found.above, found.draws) == (1, 1)
    assert one.deviation is None


def test_against_the_mean_of_random_draws():
    rows = [row("a", ONE), *(row("random", marks, seed) for seed, marks in enumerate(DRAWS))]
    one, drawn = summaries(rows, ORIGINAL, ["random"])
    shares = [statistics.mean(marks) for marks in DRAWS]
    assert drawn.mean == pytest.approx(statistics.mean(shares))
    assert drawn.deviation == pytest.approx(statistics.stdev(shares))
    gaps = [x - statistics.mean(column) for x, column in zip(ONE, zip(*DRAWS, strict=True), strict=True)]
    found = one.against["random"]
    assert found.value == pytest.approx(statistics.mean(gaps))
    assert found.images == pytest.approx(statistics.stdev(gaps) / math.sqrt(len(gaps)))
    assert found.seeds == pytest.approx(statistics.stdev(shares) / math.sqrt(3))
    assert found.error == pytest.approx(math.hypot(found.images, found.seeds))
    assert dict(found.by_seed) == pytest.approx({0: statistics.mean(ONE) - statistics.mean(shares)})
    assert (found.above, found.draws) == (2, 3)
    assert (one.macs, one.params) == (1.0, 1.0)


def test_the_same_seeds_are_paired():
    rows = [row("a", marks, seed) for seed, marks in enumerate(DRAWS)]
    rows += [row("b", marks, seed) for seed, marks in enumerate([ONE, OTHER, ONE])]
    found = summaries(rows, ORIGINAL, ["b"])[0].against["b"]
    each = [statistics.mean(x) - statistics.mean(y) for x, y in zip(DRAWS, [ONE, OTHER, ONE], strict=True)]
    assert list(found.by_seed.values()) == pytest.approx(each)
    assert found.seeds == pytest.approx(statistics.stdev(each) / math.sqrt(3))


def test_one_draw_says_nothing_about_draws():
    found = summaries([row("a", ONE), row("random", OTHER)], ORIGINAL, ["random"], drawing=["random"])
    assert found[0].against["random"].seeds is None


def test_a_failure_is_left_out_of_the_mean_and_named():
    bad = Scored("k", "a", "uniform", "macs", 0.5, "none", 1, "of no use & 5 %")
    rows = [row("a", ONE), bad, Scored("l", "b_c", "uniform", "macs", 0.5, "none", 0, "of no use & 5 %")]
    made = summaries(rows, ORIGINAL, ["b_c"])
    assert made[0].mean == statistics.mean(ONE)
    assert (made[0].seeds, dict(made[0].failed)) == ((0,), {1: "of no use & 5 %"})
    assert made[1].mean is None
    assert made[0].against == {}
    text = Comparison(ORIGINAL, tuple(rows), made, ("b_c",)).table()
    assert "62.50*" in text
    assert text.count("of no use") == 1


@pytest.fixture
def comparison():
    rows = [row("a_b", ONE, share=share) for share in (0.7, 0.5)]
    rows += [row("random", marks, seed, share=s) for s in (0.7, 0.5) for seed, marks in enumerate(DRAWS)]
    return Comparison(ORIGINAL, tuple(rows), summaries(rows, ORIGINAL, ["random"]), ("random",))


def test_the_csv_can_be_read(comparison):
    lines = list(csv.DictReader(io.StringIO(comparison.to_csv())))
    assert [(line["method"], float(line["share"]), int(line["seeds"])) for line in lines] == [
        ("a_b", 0.7, 1),
        ("a_b", 0.5, 1),
        ("random", 0.7, 3),
        ("random", 0.5, 3),
    ]
    assert float(lines[0]["accuracy"]) == statistics.mean(ONE)
    found = comparison.summaries[0].against["random"]
    assert float(lines[0]["difference to random"]) == found.value
    assert lines[0]["draws below, of random"] == "2/3"


def test_the_latex_can_be_set(comparison):
    text = comparison.to_latex()
    tables = re.findall(r"\\begin\{tabular\}\{(l+r+)\}\n(.*?)\\end\{tabular\}", text, re.DOTALL)
    assert len(tables) == 2
    for places, body in tables:
        assert [body.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")] == [1, 1, 1]
        rows = [line for line in body.splitlines() if line.endswith(r"\\")]
        assert len(rows) >= 2
        assert all(len(re.split(r"(?<!\\)&", line)) == len(places) for line in rows)
        assert body.count("$") % 2 == 0
        assert not re.search(r"(?<!\\)[_%#]", body)
    assert r"a\_b & none & $62.50$ & $62.50$ \\" in text


@pytest.mark.parametrize("marks", [ONE, [0.0, 0.25, 1.0], [1]], ids=["bits", "shares", "one"])
def test_marks_come_back(marks):
    assert Marks.of(np.array(marks, dtype=float)).values().tolist() == [float(x) for x in marks]


def test_records_come_back_from_their_files():
    order = Order((2, 0, 1), (0.1, float("inf"), 1 / 3), 1, {"columns": [3]}, (1, -1, -1))
    ranked = Ranked("k", "a", None, {"conv1": order}, {"conv1": ((1, 0.25),)}, 1.5)
    again = Ranked.from_json(ranked.to_json(), "here")
    assert again == ranked
    assert again.orders["conv1"].damage == order.damage
    scored = row("a", ONE)
    assert Scored.from_json(scored.to_json(), "here") == scored
