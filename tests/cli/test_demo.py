"""The demo, with two of its methods."""

import json

import pytest

from secateurs.runs import demo as demonstration

WAYS = ("random", "l1-norm")


@pytest.fixture
def kept(monkeypatch):
    """What the demo found, for a comparison of two methods."""
    kept = {}
    original = demonstration.demo

    def remember(**settings):
        kept["found"] = original(methods=WAYS, **settings)
        return kept["found"]

    monkeypatch.setattr(demonstration, "demo", remember)
    return kept


def test_the_demo_compares_and_writes_the_best_by_held_out_accuracy(cli, work, kept):
    done = cli("demo", "--out", "out")
    assert done.status == 0, done
    found = kept["found"]
    assert found.best.held_out == max(row.held_out for row in found.rows)
    assert [row.method for row in found.rows] == [*WAYS, "moments"]
    assert [row.chosen for row in found.rows].count(True) == 1
    result = json.loads((work / "out" / "result.json").read_text())
    page = (work / "out" / "report.html").read_text()
    assert [row["method"] for row in result["comparison"]] == [*WAYS, "moments"]
    for row in found.rows:
        for value in (row.plain, row.repaired, row.held_out):
            assert value is None or (f"{100 * value:.2f} %" in done.out and f"{100 * value:.2f} %" in page)
    assert result["method"] == found.best.method
    # The run of the best is the row of the best.
    assert result["after"]["accuracy"] == pytest.approx(found.best.repaired)
    assert result["before"]["accuracy"] == pytest.approx(found.accuracy)
    assert 0.48 <= result["after"]["macs"] / result["before"]["macs"] <= 0.5
    assert "held-out" in done.out
    again = cli("evaluate", "out", "--data", "digits", "--json")
    assert json.loads(again.out)["accuracy"] == result["after"]["accuracy"]
    assert cli("report", "out").status == 0
    assert (work / "out" / "report.html").read_text() == page


def test_the_demo_replaces_its_own_folder_and_no_other(cli, work, kept):
    assert cli("demo").status == 0
    first = (work / "secateurs-demo" / "plan.json").read_bytes()
    again = cli("demo", "--seed", "3")
    assert again.status == 0, again
    assert "in place of that of an earlier demo" in again.out
    assert json.loads((work / "secateurs-demo" / "result.json").read_text())["seed"] == 3
    assert first
    assert [path.name for path in work.iterdir() if path.name.startswith((".", "secateurs"))] == [
        "secateurs-demo"
    ]
    (work / "secateurs-demo" / "mine").write_text("1")
    refused = cli("demo")
    assert refused.status == 2
    assert "not empty" in refused.err
    assert (work / "secateurs-demo" / "mine").read_text() == "1"


def test_the_demo_never_overwrites_a_folder_that_was_named(cli, work):
    (work / "out").mkdir()
    (work / "out" / "mine").write_text("1")
    assert cli("demo", "--out", "out").status == 2


def test_the_trained_network_has_not_seen_what_is_held_out():
    from secateurs.data import resolve_data
    from secateurs.meters import evaluate
    from secateurs.zoo.digits import trained_digits_cnn

    data, model = resolve_data("digits"), trained_digits_cnn()
    assert evaluate(model, data.test).value > 0.98
    assert evaluate(model, data.calibration(10_000)).value > 0.99
