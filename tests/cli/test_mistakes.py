"""Every mistake gets one sentence, the right exit status, and leaves nothing behind."""

import json
from pathlib import Path

import pytest
import torch
from cli_support import mistake
from safetensors.torch import save_file

from secateurs.cli import app as application
from secateurs.errors import InputError, RunError

PRUNE = ("prune", "digits_cnn", "--out", "out")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("snip",), ("o such command 'snip'",)),
        (("prune", "digits_cnn", "--macs", "0.5"), ("--out", "secateurs prune --help")),
        (("inspect",), ("MODEL",)),
        (("evaluate", "digits_cnn"), ("--data",)),
        (("export", "digits_cnn"), ("--onnx",)),
        ((*PRUNE, "--mac", "0.5"), ("--mac",)),
        ((*PRUNE, "--macs", "half"), ("--macs", "half")),
        ((*PRUNE, "--macs", "0.5", "--macs=0.6"), ("--macs is given twice", "secateurs prune --help")),
        ((*PRUNE, "--macs", "0.5", "--calibrate", "abc"), ("--calibrate", "give a whole number")),
        ((*PRUNE, "--macs", "0"), ("--macs is 0", "share that stays")),
        ((*PRUNE, "--macs", "1.5"), ("--macs is 1.5", "(0, 1]")),
        ((*PRUNE, "--keep", "50"), ("--keep is 50", "(0, 1]")),
        ((*PRUNE, "--macs", "50Q"), ("--macs is '50Q'", "30M")),
        ((*PRUNE, "--size", "-1kB"), ("--size is '-1kB'", "128kB:int8")),
        ((*PRUNE, "--budget", "dcase"), ("--budget is 'dcase'", "dcase2025")),
        ((*PRUNE, "--keep", "nan"), ("--keep is nan",)),
        ((*PRUNE, "--params", "-0.5"), ("--params is -0.5",)),
        ((*PRUNE, "--macs", "0.5", "--latency", "0.5"), ("--macs and --latency", "give one of")),
        ((*PRUNE,), ("nothing says how much is to stay", "macs")),
        ((*PRUNE, "--method", "l1-norm"), ("l1-norm", "has no ratio of its own", "macs")),
        ((*PRUNE, "--method", "l1norm", "--macs", "0.5"), ("l1norm", "l1-norm")),
        ((*PRUNE, "--macs", "0.5", "--allocate", "globl"), ("globl", "global")),
        ((*PRUNE, "--macs", "0.5", "--recalibrate"), ("data",)),
        ((*PRUNE, "--macs", "0.5", "--data", "cifar11:/nowhere"), ("cifar11:/nowhere", "cifar10:PATH")),
        ((*PRUNE, "--macs", "0.5", "--compensate", "merg"), ("merg", "merge")),
        ((*PRUNE, "--method", "taylor", "--macs", "0.5"), ("taylor", "data")),
        ((*PRUNE, "--accuracy-drop", "none"), ("--accuracy-drop", "none")),
        ((*PRUNE, "--accuracy-drop", "-1"), ("--accuracy-drop is -1",)),
        ((*PRUNE, "--macs", "0.5", "--layer", "conv1"), ("--layer conv1", "share")),
        ((*PRUNE, "--macs", "0.5", "--round-to", "0"), ("--round-to is 0", "1, or 'auto'")),
        ((*PRUNE, "--macs", "0.5", "--round-to", "fast"), ("--round-to is 'fast'", "1, or 'auto'")),
        ((*PRUNE, "--macs", "0.5", "--calibrate", "0"), ("--calibrate 0",)),
        ((*PRUNE, "--macs", "0.5", "--input", "big"), ("--input big", "1,3,224,224")),
        ((*PRUNE, "--macs", "0.5", "--input", "1,0,8,8"), ("--input 1,0,8,8",)),
        ((*PRUNE, "--macs", "0.5", "--data", "cifar"), ("cifar", "digits")),
        ((*PRUNE, "--macs", "0.5", "--seed", str(2**32)), ("--seed", "--help")),
        ((*PRUNE, "--macs", "0.5", "--threads", "0"), ("--threads", "1")),
        ((*PRUNE, "--macs", "0.5", "--device", "gpu"), ("--device gpu", "cpu, cuda")),
        (("inspect", "digits_cnn", "--device", "meta"), ("--device meta", "cpu, cuda")),
        (("evaluate", "digits_cnn", "--data", "digits", "--device", "xpu:7"), ("--device xpu:7",)),
        (("export", "digits_cnn", "--onnx", "own.py"), ("own.py", "exists already")),
        (("export", "digits_cnn", "--onnx", "."), (".: is a folder",)),
        ((*PRUNE, "--macs", "0.5", "--weights", "no.safetensors"), ("no.safetensors",)),
        (("prune", "resnet65", "--macs", "0.5", "--out", "out"), ("resnet65", "resnet56")),
        (("inspect", "nowhere"), ("no folder of that name", "no network 'nowhere'")),
        (("inspect", "own:nothing"), ("own:nothing", "net")),
        (("inspect", "own:net"), ("--input is missing", "own:net")),
        (("inspect", "own:net", "--input", "1,7,8,8"), ("7",)),
        (("inspect", "./nowhere"), ("./nowhere", "no such folder")),
        (("inspect", "own.py"), ("own.py", "is a file", "--weights own.py")),
        (("evaluate", ".", "--data", "digits"), ("model.safetensors",)),
        (("report", "."), ("result.json",)),
        (("inspect", "digits_cnn", "--json", "no/where.json"), ("no/where.json",)),
        (("export", "digits_cnn", "--onnx", "no/where.onnx"), ("no/where.onnx",)),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_bad_arguments_are_named_and_nothing_is_written(cli, work: Path, arguments, words):
    before = sorted(work.iterdir())
    mistake(cli(*arguments), 2, *words)
    assert [path for path in sorted(work.iterdir()) if path.name != "__pycache__"] == before


def test_an_output_folder_that_exists_is_kept(cli, work: Path):
    (work / "out").mkdir()
    (work / "out" / "mine").write_text("1")
    mistake(cli(*PRUNE, "--macs", "0.5"), 2, "out", "not empty")
    assert (work / "out" / "mine").read_text() == "1"


def test_a_pickle_is_refused_with_the_way_to_convert_it(cli, work: Path):
    torch.save({"a": torch.zeros(1)}, work / "old.pth")
    mistake(cli(*PRUNE, "--macs", "0.5", "--weights", "old.pth"), 2, "old.pth", "pickle", "save_file")


def test_weights_of_another_network_say_which(cli, work: Path):
    save_file({"stem.weight": torch.zeros(3, 1, 3, 3)}, work / "w.safetensors")
    mistake(cli(*PRUNE, "--macs", "0.5", "--weights", "w.safetensors"), 2, "stem.weight", "(3, 1, 3, 3)")


def test_a_truncated_file_says_so(cli, work: Path):
    save_file({"stem.weight": torch.zeros(32, 1, 3, 3)}, work / "w.safetensors")
    whole = (work / "w.safetensors").read_bytes()
    (work / "w.safetensors").write_bytes(whole[: len(whole) // 2])
    mistake(cli(*PRUNE, "--macs", "0.5", "--weights", "w.safetensors"), 2, "w.safetensors")


def test_weights_beside_an_output_folder_are_one_too_many(cli, work: Path):
    (work / "made").mkdir()
    (work / "made" / "model.safetensors").write_bytes(b"")
    mistake(
        cli("evaluate", "made", "--data", "digits", "--weights", "w.safetensors"), 2, "weights of its own"
    )


def test_json_that_is_no_result_names_the_file(cli, work: Path):
    (work / "made").mkdir()
    (work / "made" / "model.safetensors").write_bytes(b"")
    (work / "made" / "result.json").write_text(json.dumps({"schema": 7}))
    mistake(cli("evaluate", "made", "--data", "digits"), 2, "result.json", "version 7")


@pytest.mark.parametrize(
    ("problem", "status", "words"),
    [
        (InputError("what\n  went wrong"), 2, "what went wrong"),
        (RunError("could not"), 1, "could not"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (PermissionError(13, "Permission denied", "file.json"), 1, "file.json: Permission denied"),
        (KeyError("surprise"), 1, "unexpected KeyError"),
    ],
)
def test_whatever_is_raised_ends_in_one_line(cli, monkeypatch: pytest.MonkeyPatch, problem, status, words):
    def fail(*_, **__):
        raise problem

    monkeypatch.setattr(application, "app", fail)
    outcome = cli("methods")
    mistake(outcome, status, words)
    assert len(outcome.err.splitlines()) == 1
