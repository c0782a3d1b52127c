"""What the README says can be typed."""

import os
import re
import shlex
from pathlib import Path

import pytest
import torch

import secateurs as sc
from secateurs.data import resolve_data
from secateurs.meters import count_costs, evaluate
from secateurs.zoo.digits import trained_digits_cnn

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
LINES = README.replace("\\\n", " ").splitlines()
COMMANDS = [
    shlex.split(line.strip().removeprefix("$ "), comments=True)[1:]
    for line in LINES
    if re.match(r"    (\$ )?secateurs ", line)
]


def test_there_are_commands_to_try():
    assert {command[0] for command in COMMANDS} >= {
        "methods",
        "inspect",
        "prune",
        "compare",
        "tune",
        "evaluate",
        "export",
        "report",
    }


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_is_understood(cli, command):
    """The files named do not exist here, so a command may only complain about those."""
    outcome = cli(*command)
    assert "--help" not in outcome.err, outcome.err
    if outcome.status:
        assert any(
            name in outcome.err
            for name in ("resnet56.safetensors", "cp_mobile.safetensors", "small", "cifar-10", "my_file.py")
        ), outcome.err


@pytest.mark.parametrize("script", re.findall(r"\./(scripts/\w+|\.ci/run)", README))
def test_every_script_is_there_and_runs(script):
    assert os.access(ROOT / script, os.X_OK)


def test_the_python_of_the_readme_runs(work):
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 9
    names: dict = {}
    exec(compile(blocks[0], "README.md", "exec"), names)
    before, saved = (
        {k: v.clone() for k, v in names["result"].model.state_dict().items()},
        names["small"].state_dict(),
    )
    assert all(torch.equal(saved[name], value) for name, value in before.items())
    test = resolve_data("digits").test
    assert evaluate(names["result"].model, test).value > 0.95
    exec(compile(blocks[1], "README.md", "exec"), names)
    tuned = sc.load("small.safetensors", into=trained_digits_cnn())
    assert not all(torch.equal(before[name], value) for name, value in tuned.state_dict().items())
    assert evaluate(tuned, test).value > 0.95
    exec(compile(blocks[2], "README.md", "exec"), names)
    costs = count_costs(names["small"], torch.randn(1, 1, 8, 8))
    assert costs.macs <= 0.5 * count_costs(names["model"], torch.randn(1, 1, 8, 8)).macs
    exec(compile(blocks[3], "README.md", "exec"), names)
    assert names["result"].method.endswith(":largest_weight")
    assert sc.methods.similarity_nystrom(columns=9).name == "similarity-nystrom:columns=9"
    exec(compile(blocks[4], "README.md", "exec"), names)
    assert names["result"].compensate == "centred"
    assert names["again"] == names["config"]
    assert abs(float(names["result"].model.linear.bias.mean())) < 1e-6
    exec(compile(blocks[5], "README.md", "exec"), names)
    assert all(row.reason is None for row in names["found"].rows)
    assert len(names["found"].rows) == (1 + 1 + 5 + 1) * 2 * 2


def test_the_training_of_the_readme_runs(work):
    pytest.importorskip("lightning_fabric")
    first, second = (
        b for b in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "carried_optimizer" in b
    )
    loader = torch.utils.data.DataLoader(resolve_data("digits").train, batch_size=64)
    names = {
        "sc": sc,
        "torch": torch,
        "my_model": trained_digits_cnn,
        "resolve_data": resolve_data,
        "loader": loader,
    }
    exec(compile(first, "README.md", "exec"), names)
    assert names["tuned"].accuracy > 0.9
    exec(compile(second, "README.md", "exec"), names)
    held = names["optimizer"].state[names["result"].model.stem.weight]["momentum_buffer"]
    assert held.shape == names["result"].model.stem.weight.shape
    assert float(held.abs().sum()) > 0


def test_the_sound_of_the_readme_runs(work):
    soundfile = pytest.importorskip("soundfile")
    pytest.importorskip("soxr")
    samples = 0.1 * torch.randn(44_100, 2, generator=torch.Generator().manual_seed(0))
    soundfile.write("clip.wav", samples.numpy(), 22_050)
    block = next(
        b
        for b in re.findall(r"```python\n(.*?)```", README, re.DOTALL)
        if b.startswith("from secateurs.audio")
    )
    names: dict = {"torch": torch}
    exec(compile(block, "README.md", "exec"), names)
    assert names["waveform"].shape == (32_000,)
    assert names["scores"].shape == (3, 521)


def test_the_figures_of_the_demo_are_those_on_record():
    """The README may say what docs/ holds, and nothing newer."""
    rows = [line for line in README.splitlines() if line.startswith("    ") and line.rstrip().endswith(" %")]
    record = (ROOT / "docs" / "demo.md").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 6
    assert all(row in record for row in rows)


def test_the_zoo_of_the_readme_is_the_zoo():
    from secateurs.zoo import names

    assert all(f"`{name}`" in README for name in names())


def test_the_figures_of_the_coverage_are_those_on_record():
    pruned, every = re.search(r"Of (\d+) networks.*?, (\d+) were pruned", README, re.DOTALL).groups()[::-1]
    record = (ROOT / "docs" / "coverage.md").read_text(encoding="utf-8")
    assert f"original as it was, result right: **{pruned} of {every}**" in record


@pytest.mark.parametrize(
    "page", ["README.md", *(f"docs/{p.name}" for p in sorted((ROOT / "docs").glob("*.md")))]
)
def test_links_to_files_lead_somewhere(page):
    found = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (ROOT / page).read_text(encoding="utf-8"))
    missing = [target for target in found if not ((ROOT / page).parent / target).exists()]
    assert not missing
