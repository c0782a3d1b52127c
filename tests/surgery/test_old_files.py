"""Files that earlier releases saved still load, and equal runs give equal files."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from torch import nn

import secateurs as sc
from networks import EXAMPLE, residual
from secateurs.surgery import save_model

SAVED = Path(__file__).parent / "saved_by_0_1"
# What version 0.1 computed on EXAMPLE with the networks that it saved.
OUTPUTS = {
    "twice": [0.09695965051651001, -0.158571258187294, -0.2134436070919037, 0.25902196764945984],
    "framed": [0.08299259096384048, -0.14105601608753204, -0.276434063911438, 0.23115988075733185],
}


class Small(nn.Module):
    """Tied weights, layers without a bias, a grouped convolution whose number of groups follows its width."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.deep = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.wide = nn.Conv2d(8, 8, 1, bias=False)
        self.twin = nn.Conv2d(8, 8, 1, bias=False)
        self.twin.weight = self.wide.weight
        self.back = nn.Conv2d(8, 6, 3, padding=1, bias=False)
        self.head = nn.Linear(6, 4)

    def forward(self, x):
        x = torch.relu(self.norm(self.stem(x)))
        x = torch.relu(self.deep(x))
        x = torch.relu(self.wide(x)) + torch.relu(self.twin(x))
        return self.head(torch.relu(self.back(x)).mean((2, 3)))


@pytest.mark.parametrize("name", OUTPUTS)
def test_a_file_of_version_0_1_loads(name):
    small = sc.load(SAVED / f"{name}.safetensors", into=Small().eval())
    assert small.twin.weight is small.wide.weight
    assert small.deep.groups == small.deep.out_channels == (3 if name == "twice" else 8)
    with torch.no_grad():
        found = small(EXAMPLE)[0]
    assert torch.allclose(found, torch.tensor(OUTPUTS[name]), atol=1e-6)


def test_a_plan_of_before_there_were_folds_is_read():
    plan = sc.load_plan(SAVED / "twice.safetensors")
    text = plan.to_json().replace('"folds"', '"unknown"')
    assert sc.Plan.from_json(text) == plan


def test_a_bias_that_a_repair_added_is_rebuilt(tmp_path):
    net = residual()
    result = sc.prune(net, EXAMPLE, method="l1-norm", macs=0.6)
    width = result.model.stem.out_channels
    result.model.stem.bias = nn.Parameter(torch.linspace(0, 1, width))
    plan = result.plan.with_added({"stem.bias": width})
    save_model(result.model, plan, tmp_path / "a.safetensors")
    again = sc.load(tmp_path / "a.safetensors", into=residual(seed=3))
    assert torch.equal(again.stem.bias, result.model.stem.bias)
    assert torch.equal(again(EXAMPLE), result.model(EXAMPLE))


def test_equal_runs_give_equal_files(tmp_path):
    code = """
        import sys
        import secateurs as sc
        from networks import EXAMPLE, residual
        result = sc.prune(residual(), EXAMPLE, method="l1-norm", macs=0.5)
        extra = {name: name for name in ("model", "data", "input_shape", "normalisation")}
        sc.surgery.save_model(result.model, result.plan, sys.argv[1], extra)
    """
    files = []
    for seed in ("1", "2"):
        files.append(tmp_path / f"{seed}.safetensors")
        paths = [str(Path(sc.__file__).parents[1]), str(Path(__file__).parents[1])]
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(paths)}
        command = [sys.executable, "-c", textwrap.dedent(code), str(files[-1])]
        subprocess.run(command, env=environment, check=True)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_saving_again_in_one_process_gives_equal_bytes(tmp_path):
    result = sc.prune(residual(), EXAMPLE, method="l1-norm", macs=0.5)
    found = set()
    for k in range(8):  # eight random orders of three names are hardly ever all the same
        sc.save(result, tmp_path / f"{k}.safetensors")
        found.add((tmp_path / f"{k}.safetensors").read_bytes())
    assert len(found) == 1


def test_the_names_of_a_file_may_be_in_any_language(tmp_path):
    result = sc.prune(residual(), EXAMPLE, method="l1-norm", macs=0.5)
    extra = {"größe": '\u0000\u001b\u007f\ud7ff 日本 \\ " \n'}
    save_model(result.model, result.plan, tmp_path / "a.safetensors", extra)
    small = sc.load(tmp_path / "a.safetensors", into=residual(seed=2))
    assert torch.equal(small(EXAMPLE), result.model(EXAMPLE))
    from safetensors import safe_open

    with safe_open(tmp_path / "a.safetensors", "pt") as file:
        assert file.metadata()["größe"] == extra["größe"]


def test_a_folder_stands_for_the_file_in_it(tmp_path):
    result = sc.prune(residual(), EXAMPLE, method="l1-norm", macs=0.5)
    sc.save(result, tmp_path / "model.safetensors")
    assert torch.equal(sc.load(tmp_path, into=residual(seed=5))(EXAMPLE), result.model(EXAMPLE))
    assert sc.load_plan(str(tmp_path)) == result.plan
    (tmp_path / "empty").mkdir()
    with pytest.raises(sc.InputError, match=r"holds no model\.safetensors"):
        sc.load(tmp_path / "empty", into=residual())
