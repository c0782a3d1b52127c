"""The command line in this process (fast) and as a user runs it (a process of its own)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli_support import Outcome

SOURCE = Path(__file__).parents[2] / "src"

OWN_CODE = """
import torch
from torch import nn


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(2, 12, 3, padding=1)
        self.norm = nn.BatchNorm2d(12)
        self.second = nn.Conv2d(12, 16, 3, padding=1)
        self.head = nn.Linear(16, 3)

    def forward(self, x):
        x = self.norm(self.first(x)).relu()
        return self.head(self.second(x).relu().mean((2, 3)))


def net():
    torch.manual_seed(0)
    return Small()


def data():
    torch.manual_seed(1)
    x = torch.randn(96, 2, 8, 8)
    y = (x[:, 0].mean((1, 2)) > 0).long() + (x[:, 1].mean((1, 2)) > 0).long()
    return torch.utils.data.TensorDataset(x[:64], y[:64]), torch.utils.data.TensorDataset(x[64:], y[64:])
"""


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder with the user's own code in it."""
    (tmp_path / "own.py").write_text(OWN_CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own", raising=False)
    return tmp_path


@pytest.fixture
def cli(work: Path, capfd: pytest.CaptureFixture[str]):
    """Run a command in this process."""
    from secateurs.cli.app import status

    def run(*arguments: str) -> Outcome:
        code = status([str(argument) for argument in arguments])
        sys.stdout.flush()
        captured = capfd.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


@pytest.fixture
def process(work: Path):
    """Start a command as a process of its own, as a user does."""

    def start(*arguments: str, variables=None, **settings) -> subprocess.Popen:
        environment = {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1", **(variables or {})}
        command = [sys.executable, "-m", "secateurs", *map(str, arguments)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, cwd=work, env=environment, **{**pipes, **settings})

    return start
