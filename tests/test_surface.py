"""The public names: what `dir` shows, what the steps are called, and that their examples run."""

import ast
import inspect
import subprocess
import sys

import pytest
import torch
from torch import nn

import secateurs as sc

STEPS = (
    "trace",
    "rank",
    "plan",
    "remove",
    "verify",
    "recalibrate_",
    "evaluate",
    "count_costs",
    "export_onnx",
    "prune",
    "compare",
)
FILES = ("save", "load", "load_plan")


def test_dir_is_the_public_names_whatever_has_been_imported():
    import secateurs.meters
    import secateurs.planning  # noqa: F401

    assert dir(sc) == sorted([*sc.__all__, "__version__"])


def test_every_step_is_there():
    assert {*STEPS, *FILES} <= set(sc.__all__)
    assert all(inspect.isfunction(getattr(sc, name)) for name in (*STEPS, *FILES))


@pytest.mark.parametrize(
    "name",
    ["verify", "recalibrate_", "evaluate", "count_costs", "export_onnx", "load", "prune", "compare", "trace"],
)
def test_every_step_has_an_example(name):
    assert ">>>" in getattr(sc, name).__doc__


def test_star_import_gives_every_name():
    names: dict = {}
    exec("from secateurs import *", names)
    assert set(sc.__all__) <= set(names)


def test_torch_waits_until_it_is_needed():
    code = "import sys, secateurs; dir(secateurs); secateurs.InputError; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_names_for_types_and_names_at_run_time_are_the_same():
    """The imports for the type checker, and the table that finds a name when it is asked for."""
    tree = ast.parse(inspect.getsource(sc))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    typed = {(node.module, alias.name) for node in block.body for alias in node.names}
    packages = {(node, name) for node, name in typed if node == "secateurs"}
    found = {(home, name) for home, names in sc._HOMES.items() for name in names}
    assert typed - packages == found
    assert {name for _, name in packages} <= set(sc._PACKAGES)


def test_the_steps_of_a_run_by_hand(tmp_path):
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(288, 4)
    ).eval()
    example, data = torch.zeros(1, 3, 8, 8), (torch.randn(32, 3, 8, 8), torch.arange(32) % 4)
    graph = sc.trace(net, example)
    plan = sc.plan(sc.rank(graph, sc.methods.l1_norm()), keep=0.5)
    small = sc.remove(net, plan)
    assert sc.verify(net, small, plan, example).passed
    assert sc.count_costs(small, example).macs == plan.predicted["macs"]
    maps = small[0](data[0])
    assert sc.recalibrate_(small, data[0]).layers == ("1",)
    assert torch.allclose(small[1].running_mean, maps.mean(dim=(0, 2, 3)), atol=1e-6)
    right = (small(data[0]).argmax(1) == data[1]).float().mean()
    assert sc.evaluate(small, data).value == pytest.approx(float(right))


def test_a_graph_prints_what_leaves_together_and_why_not():
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(288, 4))
    graph = sc.trace(net, torch.zeros(1, 3, 8, 8))
    free, locked = str(graph).split("\n\n")
    head, row = free.splitlines()
    cells = {
        column: row[head.index(column) :].split("  ")[0]
        for column in ("group", "leaves together with", "read by")
    }
    assert cells == {"group": "0", "leaves together with": "1", "read by": "4"}
    # 8 filters of 3 x 3 x 3 with a bias at 36 places, and two parameters a channel of the batch norm
    assert row.split()[-3:] == ["8", "240", "7,776"]
    assert "is an output of the model" in locked
    assert repr(graph) == "<Graph of Sequential: 1 groups may be pruned, 1 may not>"
