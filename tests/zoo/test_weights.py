"""Weights from files: what fits is loaded bit for bit, everything else gets one clear message."""

import io
import pickle
import shlex
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from secateurs.errors import InputError, MismatchError
from secateurs.zoo import build, load_weights, read_weights


def small():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))


def saved(tmp_path, state, name="w.safetensors"):
    save_file(state, tmp_path / name)
    return tmp_path / name


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod."])
def test_loads_bit_for_bit_with_or_without_prefix(tmp_path, prefix):
    state = {prefix + k: torch.rand_like(v) for k, v in small().state_dict().items() if v.is_floating_point()}
    model = small()
    assert load_weights(model, saved(tmp_path, state)) is model
    for key, value in model.state_dict().items():
        if key != "1.num_batches_tracked":  # which was left out of the file
            assert torch.equal(value, state[prefix + key])


def test_a_model_whose_own_names_begin_with_module(tmp_path):
    model = nn.ModuleDict({"module": nn.Linear(2, 2)})
    state = {"module.weight": torch.ones(2, 2), "module.bias": torch.ones(2)}
    load_weights(model, saved(tmp_path, state))
    assert torch.equal(model["module"].weight, torch.ones(2, 2))


def test_tied_parameter_needs_one_of_its_names(tmp_path):
    model = nn.ModuleDict({"a": nn.Linear(2, 2, bias=False), "b": nn.Linear(2, 2, bias=False)})
    model["b"].weight = model["a"].weight
    load_weights(model, saved(tmp_path, {"a.weight": torch.full((2, 2), 5.0)}))
    assert torch.equal(model["b"].weight, torch.full((2, 2), 5.0))


def test_half_precision_file_fills_a_float_network(tmp_path):
    state = {k: v.half() if v.is_floating_point() else v for k, v in small().state_dict().items()}
    model = load_weights(small(), saved(tmp_path, state))
    assert model[0].weight.dtype == torch.float32
    assert torch.equal(model[0].weight, state["0.weight"].float())


def test_misfit_names_keys_shapes_and_counts_and_changes_nothing(tmp_path):
    state = dict(small().state_dict())
    del state["3.bias"]
    state["extra.weight"] = torch.zeros(1)
    state["0.weight"] = torch.zeros(5, 1, 3, 3)
    path = saved(tmp_path, state)
    model = small()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(MismatchError) as caught:
        load_weights(model, path)
    message = str(caught.value)
    assert "1 missing (3.bias)" in message
    assert "1 not in the network (extra.weight)" in message
    assert "0.weight is (5, 1, 3, 3), the network has (2, 1, 3, 3)" in message
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_a_whole_other_network_is_counted_not_listed(tmp_path):
    path = saved(tmp_path, small().state_dict())
    with pytest.raises(MismatchError, match=r"97 missing \(conv1.weight, .*and 92 more\)"):
        load_weights(build("resnet20"), path)


def test_integer_weights_are_not_taken_for_real_ones(tmp_path):
    state = dict(small().state_dict())
    state["3.weight"] = torch.ones(3, 8, dtype=torch.int8)
    with pytest.raises(MismatchError, match=r"3.weight is torch.int8, the network has torch.float32"):
        load_weights(small(), saved(tmp_path, state))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_non_finite_values_name_the_tensor(tmp_path, value):
    state = dict(small().state_dict())
    state["3.weight"] = state["3.weight"].clone()
    state["3.weight"][1, 2] = value
    with pytest.raises(InputError, match=r"NaN or infinite values in 1 tensors \(3.weight: 1 of 24\)"):
        load_weights(small(), saved(tmp_path, state))


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("the pickle was run",))


@pytest.mark.parametrize("name", ["w.pt", "w.pth", "w.th", "w.bin", "w.ckpt", "w.safetensors", "w"])
def test_pickles_are_refused_unread_with_the_safe_way(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(pickle.dumps({"a": Bomb()}))
    with pytest.raises(InputError, match=r"are a pickle.*weights_only=True.*save_file"):
        load_weights(small(), path)


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("w.pth", "w.safetensors"),
        ("w.safetensors", "w-converted.safetensors"),
        ("two  spaces.pt", "two  spaces.safetensors"),
        ("größe \u65e5.pt", "größe \u65e5.safetensors"),
        ("'; touch mark; '.pth", "'; touch mark; '.safetensors"),
        ('"; touch mark; ".pth', '"; touch mark; ".safetensors'),
        ("$(touch mark).pth", "$(touch mark).safetensors"),
        ("`touch mark`.pth", "`touch mark`.safetensors"),
        ("a\\", "a\\.safetensors"),
        ('"+open("mark", "w").write("")+".pth', '"+open("mark", "w").write("")+".safetensors'),
    ],
)
def test_the_safe_way_works_as_printed_and_runs_nothing_else(tmp_path, name, made):
    model, path = small(), tmp_path / name
    torch.save({"state_dict": model.state_dict()}, held := io.BytesIO())
    path.write_bytes(before := held.getvalue())
    with pytest.raises(InputError) as caught:
        read_weights(path)
    command = " ".join(str(caught.value).partition("safely: ")[2].split())  # as the command line prints it
    command = command.replace("python", shlex.quote(sys.executable), 1)
    subprocess.run(command, shell=True, cwd=tmp_path, check=True)
    assert torch.equal(load_file(tmp_path / made)["0.weight"], model[0].weight)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted({name, made})
    assert path.read_bytes() == before


def test_zip_under_a_harmless_name_is_refused(tmp_path):
    torch.save(small().state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(InputError, match="are a pickle"):
        read_weights(tmp_path / "w.safetensors")


@pytest.mark.parametrize("keep", [0, 5, 100, -10])
def test_truncated_file(tmp_path, keep):
    path = saved(tmp_path, small().state_dict())
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match="not a whole safetensors file"):
        load_weights(small(), path)


def test_header_of_640_bytes_is_not_mistaken_for_a_pickle(tmp_path):
    # Its first two bytes, 80 02, are those of a pickle of protocol 2.
    path = tmp_path / "w.safetensors"
    header = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'.ljust(640)
    path.write_bytes((640).to_bytes(8, "little") + header + b"\x00\x00\x80\x3f")
    assert read_weights(path)["a"].item() == 1.0


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(InputError, match="cannot be found"):
        read_weights(tmp_path / "none.safetensors")
    with pytest.raises(InputError, match="are a folder"):
        read_weights(tmp_path)


def test_public_checkpoint_loads(shared_data):
    model = load_weights(build("resnet20"), shared_data / "cifar10_models" / "resnet20.safetensors")
    assert model.linear.weight.abs().sum() > 0
