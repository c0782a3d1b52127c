"""What is said of a long stage, and when."""

import pytest

from secateurs.cli import progress
from secateurs.cli.progress import Bars


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
