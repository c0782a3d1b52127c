"""`secateurs tune`: from the folder of `prune` to a new one, stopped by force and gone on with."""

import importlib
import json
import re
import shlex
import signal

import numpy as np
import pytest
import torch
from cli_support import mistake

import secateurs as sc
from secateurs.report.record import Record

pytest.importorskip("lightning_fabric")
BLOCKS = """
from collections import OrderedDict

import torch
from torch import nn


def net():
    torch.manual_seed(0)
    block = nn.Sequential(nn.Conv2d(2, 12, 3, padding=1), nn.ReLU())
    rest = OrderedDict(last=nn.Conv2d(12, 3, 3), pool=nn.AdaptiveAvgPool2d(1), flat=nn.Flatten())
    return nn.Sequential(OrderedDict(block=block, **rest))
"""
PRUNE = ["--method", "l1-norm", "--macs", "0.5", "--data", "own:data"]


@pytest.fixture
def small(cli, work):
    assert cli("prune", "own:net", *PRUNE, "--out", "small").status == 0
    return work / "small"


def test_a_folder_is_tuned_and_loads_like_any_other(cli, small, work):
    from own import data, net

    said = cli(
        "tune", "small", "--trust", "--data", "own:data", "--teacher", "original", "--epochs", "3",
        "--learning-rate", "0.05", "--batch", "16", "--drops", "0.4", "--schedule", "step", "--out", "tuned",
    )  # fmt: skip
    assert said.status == 0, said.err
    assert "3 epochs of training afterwards" in said.out
    assert "epoch 3 of 3: loss" in said.err
    assert "left" in said.err
    tuned = sc.load("tuned", net())
    assert not all(
        torch.equal(a, b)
        for a, b in zip(tuned.parameters(), sc.load("small", net()).parameters(), strict=True)
    )
    before, after = Record.read(small), Record.read(work / "tuned")
    assert after.after.accuracy == sc.evaluate(tuned, data()[1]).value
    assert (after.after.macs, after.target) == (before.after.macs, before.target)
    (training,) = after.tuned
    assert training["settings"] == {
        "epochs": 3, "learning_rate": 0.05, "batch": 16, "drops": [0.4], "schedule": "step",
    }  # fmt: skip
    assert [round(epoch["rate"], 4) for epoch in training["epochs"]] == [0.05, 0.005, 0.005]
    assert len((work / "tuned" / "log.csv").read_text().splitlines()) == 4
    assert "<h2>Training</h2>" in (work / "tuned" / "report.html").read_text()
    assert not (work / "tuned.tuning").exists()
    assert cli("evaluate", "tuned", "--trust", "--data", "own:data").status == 0
    assert cli("report", "tuned").status == 0


def test_other_files_beside_the_checkpoints_stay(cli, small, work):
    (work / "tuned.tuning").mkdir()
    (work / "tuned.tuning" / "notes.txt").write_text("mine")
    said = cli(
        "tune", "small", "--trust", "--data", "own:data", "--epochs", "1", "--batch", "16", "--out", "tuned"
    )
    assert said.status == 0, said.err
    assert [file.name for file in (work / "tuned.tuning").iterdir()] == ["notes.txt"]


def test_pruning_in_steps_reaches_the_target_at_the_end(cli, work):
    said = cli(
        "tune", "own:net", *PRUNE, "--steps", "2", "--recipe", "purohit2022", "--epochs", "2", "--augment", "none",
        "--batch", "16", "--out", "tuned",
    )  # fmt: skip
    assert said.status == 0, said.err
    record = Record.read(work / "tuned")
    assert 0.3 < record.after.macs / record.before.macs <= 0.5
    assert [len(one["epochs"]) for one in record.tuned] == [1, 2]
    assert record.target == {"macs": 0.5}
    assert record.tuned[0]["settings"]["learning_rate"] == 1e-3
    plan = sc.load_plan("tuned")
    assert len(plan.steps) == 2
    now = sc.load("tuned", __import__("own").net())
    assert sc.count_costs(now, torch.zeros(1, 2, 8, 8)).macs == record.after.macs
    sizes = {group.name: (group.size, group.kept) for group in record.groups}
    assert sizes["first"] == (12, now.first.out_channels)


def test_a_killed_run_goes_on_to_the_same_end(cli, process, small, work):
    def command(out, epochs):
        return (
            "tune", "small", "--trust", "--data", "own:data", "--epochs", epochs, "--batch", "8",
            "--optimizer", "adamw", "--learning-rate", "0.001", "--out", out,
        )  # fmt: skip

    running = process(*command("killed", "60"))
    for line in running.stderr:
        if "epoch 3 of 60" in line:
            break
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert not (work / "killed").exists()
    assert (work / "killed.tuning" / "checkpoint.safetensors").is_file()
    again = cli(*command("killed", "60"))
    assert again.status == 0, again.err
    assert "epoch 2 of 60" not in again.err
    assert re.search(r"went on after epoch ([3-9]|\d\d), from the checkpoint in killed.tuning\n", again.err)
    assert cli(*command("whole", "60")).status == 0
    assert (work / "killed" / "model.safetensors").read_bytes() == (
        work / "whole" / "model.safetensors"
    ).read_bytes()


@pytest.mark.parametrize(("stop", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_names_its_checkpoint_and_the_command_that_goes_on(
    process, small, work, stop, status
):
    given = ("tune", "small", "--trust", "--data", "own:data", "--epochs", "10000", "--out", "my tuned")
    running = process(*given)
    for line in running.stderr:
        if "epoch 2 of 10000" in line:
            break
    running.send_signal(stop)
    rest = running.stderr.read()
    assert running.wait() == status
    place, command = re.search("last finished epoch is (.+); to go on from it: (.+)", rest).groups()
    assert (work / place).is_file()
    assert shlex.split(command) == ["secateurs", *given]
    assert rest.splitlines()[-1].endswith("; nothing half-written was left")
    again = process(*shlex.split(command)[1:])
    first = next(line for line in again.stderr if "of 10000" in line)
    again.send_signal(signal.SIGINT)
    again.communicate()
    assert int(re.search(r"epoch (\d+) of", first)[1]) > 2


def test_another_metric_is_told_in_its_unit_and_measured_again_after_training(cli, work):
    how = [*PRUNE, "--metric", "log-loss"]
    assert cli("prune", "own:net", *how, "--out", "small").status == 0
    how = ["--trust", "--data", "own:data", "--epochs", "1", "--batch", "16"]
    said = cli("tune", "small", *how, "--metric", "log-loss", "--out", "tuned")
    assert said.status == 0, said.err
    assert re.search(r"epoch 1 of 1: loss [\d.]+, validation [\d.]+ nats, ", said.err)
    assert cli("tune", "tuned", *how, "--out", "twice").status == 0
    from own import data, net

    for folder in ("tuned", "twice"):
        found = [one for one in Record.read(work / folder).remarks if "log-loss" in one]
        now = sc.evaluate(sc.load(folder, net()), data()[1], metric="log-loss")
        assert [one.split(" log-loss")[0] for one in found] == ["Before training:", "After training:"]
        assert found[1] == f"After training: log-loss of the test part: {now}."


def test_hints_in_a_folder_that_is_pruned_further_are_in_the_channels_of_both(cli, work, monkeypatch):
    (work / "blocks.py").write_text(BLOCKS)
    common = ["--method", "l1-norm", "--data", "own:data"]
    assert cli("prune", "blocks:net", *common, "--macs", "0.6", "--out", "small").status == 0
    training = importlib.import_module("secateurs.recover.tune")
    seen, compared = [], training.comparable
    monkeypatch.setattr(training, "comparable", lambda *given: seen.append(compared(*given)) or seen[-1])
    said = cli(
        "tune", "small", "--trust", *common, "--macs", "0.6", "--hints", "1", "--epochs", "1", "--batch", "16",
        "--out", "tuned",
    )  # fmt: skip
    assert said.status == 0, said.err
    first, second = sc.load_plan("small"), sc.load_plan("tuned")
    assert len(second.steps) == 2
    kept = np.arange(12)
    for step in second.steps:
        kept = kept[np.asarray(step.slices["block.0.weight"][0])]
    assert len(kept) < len(first.steps[0].slices["block.0.weight"][0]) < 12
    (places,) = seen
    assert places["block"].tolist() == kept.tolist()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["own:net"], ("own:net: is no output folder", "--macs 0.5")),
        (["small", "--trust", "--recipe", "mine"], ("recipe is 'mine'", "purohit2022")),
        (["small", "--trust", "--epochs", "0"], ("--epochs is 0",)),
        (["small", "--trust", "--steps", "3"], ("needs a target",)),
        (["small", "--trust", "--teacher", "none", "--hints", "1"], ("--teacher none",)),
        (["small", "--trust", "--teacher", "me"], ("--teacher me", "original or none")),
        (["small", "--trust", "--drops", "half"], ("--drops half",)),
        (["small"], ("--trust",)),
    ],
)
def test_a_mistake_is_one_sentence(cli, small, work, arguments, words):
    mistake(cli("tune", *arguments, "--data", "own:data", "--out", "tuned"), 2, *words)
    assert not (work / "tuned").exists()
    assert not (work / "tuned.tuning").exists()


def test_weights_of_the_original_are_asked_for(cli, small, work):
    result = json.loads((small / "result.json").read_text())
    result.update(model="digits_cnn", asked=None)
    from secateurs.runs.source import open_source
    from secateurs.runs.tuned import original_of

    record = Record.from_json(json.dumps(result), "here")
    with pytest.raises(sc.InputError, match="does not say where the weights of the original digits_cnn are"):
        original_of(open_source("digits_cnn"), record, None, "small")
