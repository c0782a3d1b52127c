"""Saving and loading: bit-equal, without pickles, and clear about what does not fit."""

import json

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import secateurs as sc
from networks import EXAMPLE, residual


@pytest.fixture
def pruned():
    return sc.prune(residual(), EXAMPLE, method="l2-norm", macs=0.5)


def test_load_into_a_fresh_model_is_bit_equal(pruned, tmp_path):
    sc.save(pruned, tmp_path / "small.safetensors")
    fresh = residual(seed=9)
    small = sc.load(tmp_path / "small.safetensors", into=fresh)
    assert torch.equal(small(EXAMPLE), pruned.model(EXAMPLE))
    for (name, a), (other, b) in zip(
        pruned.model.state_dict().items(), small.state_dict().items(), strict=True
    ):
        assert name == other
        assert torch.equal(a, b)
    assert fresh.stem.out_channels == 8  # the model handed in is left whole


def test_file_is_safetensors_with_the_plan_inside(pruned, tmp_path):
    path = tmp_path / "small.safetensors"
    sc.save(pruned, path)
    assert sc.load_plan(path) == sc.Plan.from_json(pruned.plan.to_json()) == pruned.plan
    header = path.read_bytes()[8 : 8 + int.from_bytes(path.read_bytes()[:8], "little")]
    assert "secateurs.plan" in json.loads(header)["__metadata__"]


def test_pruned_twice_loads_into_the_original_class(pruned, tmp_path):
    again = sc.prune(pruned.model, EXAMPLE, method="l1-norm", macs=0.6)
    whole = pruned.plan.then(again.plan)
    from secateurs.surgery import save_model

    save_model(again.model, whole, tmp_path / "twice.safetensors")
    small = sc.load(tmp_path / "twice.safetensors", into=residual(seed=4))
    assert torch.equal(small(EXAMPLE), again.model(EXAMPLE))


def test_tied_weights_are_saved_once_and_stay_tied(tmp_path):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Conv2d(3, 8, 1), nn.Conv2d(3, 8, 1), nn.Conv2d(8, 2, 1)
            self.b.weight = self.a.weight

        def forward(self, x):
            return self.c(torch.relu(self.a(x)) + torch.relu(self.b(x)))

    result = sc.prune(Tied(), EXAMPLE, macs=0.6)
    sc.save(result, tmp_path / "tied.safetensors")
    small = sc.load(tmp_path / "tied.safetensors", into=Tied())
    assert small.a.weight is small.b.weight
    assert torch.equal(small(EXAMPLE), result.model(EXAMPLE))


def test_wrong_network_is_told_which_layer_disagrees(pruned, tmp_path):
    sc.save(pruned, tmp_path / "small.safetensors")
    with pytest.raises(sc.MismatchError, match=r"'one.0.weight' has shape \[20, 8, 3, 3\] in this network"):
        sc.load(tmp_path / "small.safetensors", into=residual(inner=20))
    with pytest.raises(sc.MismatchError, match=r"the network has no 'stem.weight'"):
        sc.load(tmp_path / "small.safetensors", into=nn.Linear(2, 2))


def test_damaged_and_foreign_files_are_refused(pruned, tmp_path):
    path = tmp_path / "small.safetensors"
    sc.save(pruned, path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(sc.InputError, match="cannot be read as safetensors"):
        sc.load(path, into=residual())
    torch.save({"a": torch.zeros(1)}, tmp_path / "pickle.pt")
    with pytest.raises(sc.InputError, match="a pickle, which is never read"):
        sc.load(tmp_path / "pickle.pt", into=residual())
    save_file({"a": torch.zeros(1)}, tmp_path / "plain.safetensors")
    with pytest.raises(sc.InputError, match="holds no plan"):
        sc.load(tmp_path / "plain.safetensors", into=residual())
    with pytest.raises(sc.InputError, match="there is no such file"):
        sc.load(tmp_path / "nothing.safetensors", into=residual())


def test_plan_of_another_version_is_refused(pruned):
    data = json.loads(pruned.plan.to_json())
    data["version"] = 99
    with pytest.raises(sc.InputError, match="version 99 is newer"):
        sc.Plan.from_json(json.dumps(data))
    with pytest.raises(sc.InputError, match="not a secateurs plan"):
        sc.Plan.from_json("{}")
    with pytest.raises(sc.InputError, match="cannot be read"):
        sc.Plan.from_json("{")


def test_failed_write_leaves_the_old_file(pruned, tmp_path, monkeypatch):
    path = tmp_path / "small.safetensors"
    path.write_text("old")
    monkeypatch.setattr(
        "secateurs.surgery.stored.save_file", lambda *a, **k: (_ for _ in ()).throw(OSError("full"))
    )
    with pytest.raises(OSError, match="full"):
        sc.save(pruned, path)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["small.safetensors"]


def test_others_may_read_what_they_may_read_elsewhere(pruned, tmp_path):
    (tmp_path / "plain").write_text("x")
    sc.save(pruned, tmp_path / "small.safetensors")
    assert (tmp_path / "small.safetensors").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_digits_are_not_lost_in_silence(tmp_path):
    wide = sc.prune(residual().double(), EXAMPLE.double(), method="l1-norm", macs=0.5)
    sc.save(wide, tmp_path / "wide.safetensors")
    with pytest.raises(sc.MismatchError, match=r"float64 in the file and torch\.float32 in this"):
        sc.load(tmp_path / "wide.safetensors", into=residual())
    again = sc.load(tmp_path / "wide.safetensors", into=residual().double())
    assert torch.equal(again(EXAMPLE.double()), wide.model(EXAMPLE.double()))


def test_missing_folder_is_said(pruned, tmp_path):
    with pytest.raises(sc.InputError, match="there is no folder"):
        sc.save(pruned, tmp_path / "nowhere" / "small.safetensors")
