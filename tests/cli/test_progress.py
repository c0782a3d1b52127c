"""What is said of a long stage, and when."""

import pytest

from secateurs import forecast
from secateurs.cli import progress
from secateurs.cli.progress import Bars
from secateurs.errors import InputError
from secateurs.forecast import Forecast


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_stage_of_minutes_says_so_as_soon_as_it_knows_and_once(clock, capsys):
    with Bars() as bars:
        bars("look at feature maps", 0, 2048)
        clock[0] = 1.0
        bars("look at feature maps", 4, 2048)  # 511 seconds are left
        clock[0] = 20.0
        bars("look at feature maps", 64, 2048)
    said = capsys.readouterr().err
    assert said == (
        "secateurs: look at feature maps: will take about 9 min; --calibrate N looks at fewer samples\n"
    )


def test_a_short_stage_says_nothing_before_it_is_over(clock, capsys):
    with Bars() as bars:
        bars("survey", 0, 10)
        clock[0] = 6.0
        bars("survey", 1, 10)  # 54 seconds are left
        clock[0] = 12.0
        bars("survey", 10, 10)
    assert capsys.readouterr().err == "secateurs: survey: 12.0 s\n"


OWN = (
    "own:net",
    "--data",
    "own:data",
    "--input",
    "1,2,8,8",
    "--macs",
    "0.5",
    "--calibrate",
    "32",
    "--out",
    "out",
)


def test_a_run_of_minutes_is_foretold_with_what_it_was_asked(cli, monkeypatch):
    asked = {}

    def slow(model, example, **settings):
        asked.update(settings)
        return Forecast(survey=40.0, repair=100.0, evaluation=0.0)

    monkeypatch.setattr(forecast, "forecast", slow)
    done = cli("prune", *OWN, "--effort", "fast")
    assert done.status == 0
    assert "secateurs: this will take about 2.3 min (survey 40 s, repair 1.7 min)" in done.err.splitlines()
    assert asked == {
        "samples": 32,
        "scored": 32,
        "stays": 0.5,
        "effort": "fast",
        "survey": True,
        "damage": True,
        "repair": True,
    }


def test_what_tries_many_networks_or_repairs_otherwise_is_not_foretold(cli, monkeypatch):
    asked = []

    def known(*_, **more):
        asked.append(more)
        return Forecast(0.0, 0.0, 0.0)

    monkeypatch.setattr(forecast, "forecast", known)

    def stop(*_, **__):
        raise InputError("far enough")

    monkeypatch.setattr("secateurs.runs.run.run", stop)
    cases = ([], 1), (["--compensate", "reconstruct"], 0), (["--method", "fp-omp-search"], 0)
    for more, times in cases:
        asked.clear()
        assert cli("prune", *OWN, *more).err.splitlines()[-1] == "secateurs: far enough"
        assert len(asked) == times


def test_a_short_run_and_one_that_cannot_be_foretold_go_on_without_a_word(cli, monkeypatch):
    assert "will take" not in cli("prune", *OWN, "--method", "l1-norm").err

    def broken(*_, **__):
        raise ValueError("no such layer")

    monkeypatch.setattr(forecast, "forecast", broken)
    done = cli("prune", *OWN[:-1], "again")
    assert done.status == 0
    assert "no such layer" not in done.err
