"""What the README says can be typed."""

import os
import re
import shlex
from pathlib import Path

import pytest

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
        assert any(name in outcome.err for name in ("resnet56.safetensors", "small", "cifar-10")), outcome.err


@pytest.mark.parametrize("script", re.findall(r"\./(scripts/\w+|\.ci/run)", README))
def test_every_script_is_there_and_runs(script):
    assert os.access(ROOT / script, os.X_OK)


def test_the_python_of_the_readme_runs(work):
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 2
    names: dict = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    assert (work / "small.safetensors").exists()
    assert names["result"].verification.passed


def test_the_zoo_of_the_readme_is_the_zoo():
    from secateurs.zoo import names

    assert all(f"`{name}`" in README for name in names())
