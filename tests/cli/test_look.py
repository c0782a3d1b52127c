"""The commands that only look: inspect, methods, help."""

import json
from pathlib import Path

import pytest

COMMANDS = ("demo", "methods", "inspect", "prune", "evaluate", "export", "report")


def test_help_lists_every_command_and_every_command_has_help(cli):
    top = cli("--help")
    assert top.status == 0
    for command in COMMANDS:
        assert command in top.out
        page = cli(command, "--help")
        assert page.status == 0
        assert f"secateurs {command}" in page.out


def test_version_is_that_of_the_package(cli):
    import secateurs

    assert cli("--version").out.strip() == f"secateurs {secateurs.__version__}"


def test_methods_are_listed_with_paper_and_needs(cli):
    from secateurs.methods import METHODS

    rows = json.loads(cli("methods", "--json").out)
    assert [row["name"] for row in rows] == [method.name for method in METHODS]
    assert all({"paper", "year", "needs", "certain", "differs", "summary"} <= set(row) for row in rows)
    table = cli("methods")
    assert table.status == 0
    for row in rows:
        line = next(line for line in table.out.splitlines() if line.split()[:1] == [row["name"]])
        assert row["year"] is None or f" {row['year']} " in line
    _, _, differences = table.out.partition("Differences from the published code")
    assert all(row["differs"] in differences for row in rows)


@pytest.mark.parametrize("width", [80, 120])
def test_methods_fit_the_terminal(cli, monkeypatch, width):
    from secateurs.cli import methods as command
    from secateurs.cli.listing import lines
    from secateurs.methods import METHODS

    made = []
    monkeypatch.setattr(
        command, "say", lambda *parts: made.extend(part for part in parts if not isinstance(part, str))
    )
    cli("methods")
    assert len(made) == 3
    shown = [text for listing in made for text, _ in lines(listing, width)]
    assert max(map(len, shown)) <= width
    words = " ".join(" ".join(shown).split())
    for method in METHODS:
        assert any(line.split(" ")[0] == method.name for line in shown)
        assert method.name in words


def test_inspect_says_who_is_coupled_and_what_is_locked_and_why(cli):
    outcome = cli("inspect", "digits_cnn")
    assert outcome.status == 0, outcome
    for words in ("stem", "add at digits.py", "conv2", "is an output of the model", "Not counted"):
        assert words in outcome.out


def test_inspect_as_json_accounts_for_every_parameter_and_mac(cli, work: Path):
    outcome = cli("inspect", "own:net", "--input", "1,2,8,8", "--json", "-")
    found = json.loads(outcome.out)
    # conv 2->12 and 12->16 of 3x3 taps on 8x8 places, linear 16->3
    assert found["macs"] == 64 * 9 * (2 * 12 + 12 * 16) + 16 * 3
    assert found["params"] == 2 * 12 * 9 + 12 + 2 * 12 + 12 * 16 * 9 + 16 + 16 * 3 + 3
    assert sum(group["params"] for group in found["groups"]) == found["params"]
    assert sum(group["macs"] for group in found["groups"]) == found["macs"]
    assert {group["name"]: group["size"] for group in found["groups"]} == {
        "first": 12,
        "second": 16,
        "head": 3,
    }
    assert cli("inspect", "own:net", "--input", "1,2,8,8", "--json", "found.json").status == 0
    assert json.loads((work / "found.json").read_text()) == found


@pytest.mark.parametrize("model", ["resnet20", "vgg16_bn"])
def test_square_brackets_and_long_names_are_printed_as_they_are(cli, model):
    outcome = cli("inspect", model)
    assert outcome.status == 0
    assert "[/" not in outcome.out
