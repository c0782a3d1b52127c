"""A folder from a stranger runs no code of its own choice."""

import json
import sys
from pathlib import Path

import pytest
from cli_support import mistake

EVIL = """
from pathlib import Path

Path("mark").write_text("the module was imported")
from secateurs.zoo import build


def net():
    Path("mark").write_text("the function was called")
    return build("digits_cnn")
"""
COMMANDS = {
    "inspect": (),
    "evaluate": ("--data", "digits"),
    "export": ("--onnx", "small.onnx"),
    "prune": ("--method", "l1-norm", "--macs", "0.5", "--out", "again"),
}


@pytest.fixture
def folder(cli, work: Path, monkeypatch: pytest.MonkeyPatch):
    """What a stranger sends: a pruned network, one changed line, and a module beside it and inside it."""
    done = cli("prune", "digits_cnn", "--method", "l1-norm", "--macs", "0.5", "--out", "small")
    assert done.status == 0, done
    monkeypatch.delitem(sys.modules, "evil", raising=False)
    for place in (work, work / "small"):
        (place / "evil.py").write_text(EVIL)
    named(work / "small", "evil:net")
    yield work / "small"
    sys.modules.pop("evil", None)


def named(folder: Path, spec: str) -> None:
    path = folder / "result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "model": spec}))


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("spec", ["evil:net", "torchvision.evil:net", "timm :net", "evil:net()"])
def test_code_that_a_folder_names_is_not_run(cli, work: Path, folder: Path, command: str, spec: str):
    named(folder, spec)
    mistake(cli(command, "small", *COMMANDS[command]), 2, "small", spec, "--model", "--trust")
    assert not (work / "mark").exists()
    assert "evil" not in sys.modules
    assert not (work / "again").exists()
    assert not (work / "small.onnx").exists()


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("allowed", [("--trust",), ("--model", "evil:net")])
def test_code_that_the_user_names_or_trusts_is_run(cli, work: Path, folder: Path, command: str, allowed):
    if command == "export":
        pytest.importorskip("onnxruntime")
    done = cli(command, "small", *COMMANDS[command], *allowed)
    assert done.status == 0, done
    assert (work / "mark").read_text() == "the function was called"


def test_a_name_given_by_the_user_counts_instead_of_the_folder_s(cli, work: Path, folder: Path):
    done = cli("inspect", "small", "--model", "digits_cnn")
    assert done.status == 0, done
    assert not (work / "mark").exists()


def test_the_report_runs_nothing(cli, work: Path, folder: Path):
    assert cli("report", "small").status == 0
    assert not (work / "mark").exists()


def test_the_report_shows_what_a_folder_says_as_text(cli, work: Path, folder: Path):
    named(folder, "<script>alert(1)</script>")
    assert cli("report", "small").status == 0
    page = (folder / "report.html").read_text()
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert(1)" not in page


def test_names_of_the_zoo_stay_automatic(cli, folder: Path):
    named(folder, "digits_cnn")
    assert cli("inspect", "small").status == 0


def test_a_name_beside_a_model_that_is_no_folder_is_one_too_many(cli):
    mistake(cli("inspect", "digits_cnn", "--model", "evil:net"), 2, "--model evil:net", "no folder")


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("input_shape", [1, 10**6, 10**6], "--input"),
        ("input_shape", ["1"], "input_shape[0]"),
        ("normalisation", {"mean": "x", "std": [1]}, "normalisation.mean"),
        ("before", {"params": "many"}, "before"),
        ("model", 3, "model is 3"),
        ("model", "x" * 5000, "at most 1000"),
    ],
)
def test_a_changed_result_names_the_place(cli, folder: Path, field: str, value, words: str):
    path = folder / "result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "model": "digits_cnn", field: value}))
    outcome = cli("inspect", "small")
    mistake(outcome, 2, "result.json", words)
    assert len(outcome.err) < 600
