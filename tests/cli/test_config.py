"""`--config`: a run is repeated from its result.json, or takes its settings from a file."""

import json
from pathlib import Path

import pytest
from cli_support import mistake

OWN = ("prune", "own:net", "--input", "1,2,8,8")


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def test_a_result_repeats_its_run(cli, work: Path):
    settings = (
        "--method",
        "l1-norm",
        "--macs",
        "0.6",
        "--allocate",
        "global",
        "--seed",
        "4",
        "--layer",
        "first=0.75",
    )
    first = cli(*OWN, *settings, "--out", "one")
    assert first.status == 0, first.err
    again = cli("prune", "--config", "one/result.json", "--trust", "--out", "two")
    assert again.status == 0, again.err
    assert weights(work / "one") == weights(work / "two")
    told = [json.loads((work / name / "result.json").read_text()) for name in ("one", "two")]
    assert told[0]["asked"] == told[1]["asked"]
    assert told[0]["asked"]["config"]["layers"] == {"first": 0.75}
    folder = cli("prune", "--config", "one", "--trust", "--out", "three")
    assert folder.status == 0, folder.err
    assert weights(work / "three") == weights(work / "one")


def test_options_hold_against_the_file(cli, work: Path):
    assert cli(*OWN, "--method", "l1-norm", "--macs", "0.6", "--seed", "4", "--out", "one").status == 0
    done = cli("prune", "own:net", "--config", "one", "--keep", "0.5", "--out", "two")
    assert done.status == 0, done.err
    asked = json.loads((work / "two" / "result.json").read_text())["asked"]
    assert asked["config"] == {"method": "l1-norm", "keep": 0.5, "seed": 4}
    assert asked["inputs"] == ["1,2,8,8"]


def test_settings_alone_are_a_config_too(cli, work: Path):
    (work / "mine.json").write_text(json.dumps({"method": "l2-norm", "macs": 0.6}))
    done = cli(*OWN, "--config", "mine.json", "--out", "one")
    assert done.status == 0, done.err
    told = json.loads((work / "one" / "result.json").read_text())
    assert (told["method"], told["target"]) == ("l2-norm", {"macs": 0.6})
    mistake(cli("prune", "--config", "mine.json", "--out", "two"), 2, "missing argument 'MODEL|DIR'")
    assert not (work / "two").exists()


def test_own_code_in_a_file_is_not_run_for_the_asking(cli, work: Path):
    (work / "evil.py").write_text("open('mark', 'w').close()\ndef net(): ...\ndef data(): ...\n")
    assert cli(*OWN, "--method", "l1-norm", "--macs", "0.6", "--out", "one").status == 0
    path = work / "one" / "result.json"
    told = json.loads(path.read_text())
    for key in ("model", "data"):
        asked = {
            **told["asked"],
            "model": "resnet20",
            "data": "digits",
            key: f"evil:{'net' if key == 'model' else 'data'}",
        }
        path.write_text(json.dumps({**told, "asked": asked}))
        mistake(cli("prune", "--config", path, "--out", "two"), 2, "names 'evil:", "--trust")
        mistake(cli("prune", "", "--data", "", "--config", path, "--out", "two"), 2, "MODEL is empty")
        mistake(
            cli("prune", "resnet20", "--data", "", "--config", path, "--out", "two"), 2, "--data is empty"
        )
        mistake(cli("prune", "--method", "", "--config", path, "--out", "two"), 2, "--method is empty")
        assert not (work / "mark").exists()
        assert not (work / "two").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nothing", "cannot be read as JSON"),
        ("[1]", "holds no settings"),
        ('{"macs": "half"}', "macs is 'half'"),
        ('{"mac": 0.5}', "no setting"),
        ('{"schema": 1}', "does not say what was asked"),
        ('{"schema": 1, "asked": {"model": 3, "config": {}}}', "model is 3"),
        ('{"schema": 1, "asked": {"model": "own:net", "inputs": [1], "config": {}}}', "inputs is 1"),
        ('{"schema": 1, "asked": {"model": "resnet20", "config": 3}}', "its config is a int"),
    ],
)
def test_a_file_that_is_none_is_a_mistake(cli, work: Path, text, words):
    (work / "f.json").write_text(text)
    mistake(cli(*OWN, "--config", "f.json", "--out", "one"), 2, words)
    assert not (work / "one").exists()


def test_a_file_that_is_not_there_is_a_mistake(cli):
    mistake(cli(*OWN, "--config", "none.json", "--out", "one"), 2, "none.json: cannot be read")


def test_flags_of_the_file_can_be_taken_back(cli, work: Path):
    (work / "mine.json").write_text(json.dumps({"method": "l1-norm", "macs": 0.8, "frame": True}))
    done = cli(*OWN, "--config", "mine.json", "--no-frame", "--out", "one")
    assert done.status == 0, done.err
    assert json.loads((work / "one" / "result.json").read_text())["asked"]["config"] == {
        "method": "l1-norm",
        "macs": 0.8,
        "frame": False,
    }
