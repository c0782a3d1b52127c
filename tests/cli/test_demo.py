"""The demo, as small as it can be and still the same."""

import json

import pytest

from secateurs.cli.demo import free_name
from secateurs.report import demo as demonstration


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(demonstration, "EPOCHS", 2)


def test_the_demo_compares_and_writes_the_best_by_held_out_accuracy(cli, work, monkeypatch):
    kept = {}
    original = demonstration.demo

    def remember(**settings):
        kept["found"] = original(methods=("random", "l1-norm"), **settings)
        return kept["found"]

    monkeypatch.setattr(demonstration, "demo", remember)
    done = cli("demo", "--out", "out")
    assert done.status == 0, done
    found = kept["found"]
    assert found.best.held_out == max(row.held_out for row in found.rows)
    assert [row.method for row in found.rows] == ["random", "l1-norm", "moments"]
    for row in found.rows:
        assert row.plain is None or f"{100 * row.plain:.2f} %" in done.out
        assert f"{100 * row.repaired:.2f} %" in done.out
        assert f"{100 * row.held_out:.2f} %" in done.out
    result = json.loads((work / "out" / "result.json").read_text())
    assert result["method"] == found.best.method
    # The run of the best is the row of the best: same plan, same statistics.
    assert result["after"]["accuracy"] == pytest.approx(found.best.repaired)
    assert result["before"]["accuracy"] == pytest.approx(found.accuracy)
    assert 0.48 <= result["after"]["macs"] / result["before"]["macs"] <= 0.5
    assert "held-out" in done.out
    assert cli("evaluate", "out", "--data", "digits").status == 0


def test_the_demo_never_overwrites_a_folder(cli, work):
    (work / "out").mkdir()
    (work / "out" / "mine").write_text("1")
    assert cli("demo", "--out", "out").status == 2
    (work / "secateurs-demo").mkdir()
    (work / "secateurs-demo-2").mkdir()
    assert free_name("secateurs-demo").name == "secateurs-demo-3"
