"""Commands under torchrun: one result, and files that one process writes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import secateurs as sc

pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or not torch.distributed.is_available(), reason="no gloo here"
)
SOURCE = Path(sc.__file__).parents[1]
PRUNE = ["prune", "own:net", "--data", "own:data", "--macs", "0.5", "--effort", "fast"]


@pytest.fixture
def torchrun(work):
    """Run a command in two processes, as a user starts them."""

    def run(*arguments):
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        variables = {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}
        found = subprocess.run(
            [*command, "-m", "secateurs", *map(str, arguments)],
            cwd=work,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )
        assert found.returncode == 0, found.stderr[-3000:]
        return found

    return run


def test_pruning_is_done_once_and_gives_what_one_process_does(cli, torchrun, work):
    said = torchrun(*PRUNE, "--out", "two")
    assert said.stdout.count("Wrote two") == 1
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert cli(*PRUNE, "--threads", "1", "--out", "one").status == 0
    finally:
        torch.set_num_threads(before)
    one, two = (sc.load_plan(work / name) for name in ("one", "two"))
    assert one.kept == two.kept
    weights = [load_file(work / name / "model.safetensors") for name in ("one", "two")]
    for name, tensor in weights[0].items():
        torch.testing.assert_close(weights[1][name], tensor, rtol=1e-4, atol=1e-5)
    assert sorted(path.name for path in work.iterdir() if path.name.startswith((".two", "two"))) == ["two"]


def test_a_comparison_is_one_and_its_cells_are_shared_out(cli, torchrun, work):
    how = ["compare", "own:net", "--data", "own:data", "--method", "l1-norm", "--method", "hrank", "--macs", "0.5",
           "--draws", "2"]  # fmt: skip
    said = torchrun(*how, "--to", "two")
    assert said.stdout.count("Wrote two") == 1
    assert cli(*how, "--threads", "1", "--to", "one").status == 0
    one, two = (json.loads((work / name / "result.json").read_text()) for name in ("one", "two"))

    def cells(found):
        return [(row["method"], row["seed"], row["macs"], row["accuracy"]) for row in found["rows"]]

    assert cells(one) == cells(two)
    assert len(cells(one)) == 4


def test_a_metric_is_measured_by_all_and_told_once(cli, torchrun, work):
    assert cli(*PRUNE, "--method", "l1-norm", "--out", "small").status == 0
    how = ["evaluate", "small", "--trust", "--data", "own:data", "--metric", "log-loss"]
    said = torchrun(*how, "--json")
    found = json.loads(said.stdout)
    alone = json.loads(cli(*how, "--json").out)
    assert found["metric"]["samples"] == alone["metric"]["samples"] == 32
    assert found["metric"]["value"] == pytest.approx(alone["metric"]["value"], rel=1e-5)
