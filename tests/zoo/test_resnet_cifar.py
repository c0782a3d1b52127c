"""The zoo's networks: sizes from the papers, keys from the public checkpoints."""

import pytest
import torch
import torch.nn.functional as F

from secateurs import zoo
from secateurs.errors import InputError
from secateurs.zoo.resnet_cifar import ZeroPadShortcut, resnet_cifar


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("resnet20", 269_722),
        ("resnet32", 464_154),
        ("resnet44", 658_586),
        ("resnet56", 853_018),
        ("resnet110", 1_727_962),
        ("vgg16_bn", 14_724_042),
        ("mobilenet_v2", 2_236_682),
        ("mobilenet_v2_folded", 3_487_816),
    ],
)
def test_parameters_are_those_of_the_papers(name, params):
    assert sum(p.numel() for p in zoo.build(name).parameters()) == params


@pytest.mark.parametrize(
    "name", [entry.name for entry in zoo.ENTRIES if entry.normalisation is not None and not entry.trained]
)
def test_every_entry_runs_on_its_own_shape_and_class_count(name):
    entry = zoo.entry(name)
    model = zoo.build(name, num_classes=7).eval()
    with torch.no_grad():
        assert model(torch.zeros(2, *entry.input_shape)).shape == (2, 7)
    assert len(entry.normalisation.mean) == entry.input_shape[0]
    assert zoo.build(name)(torch.zeros(2, *entry.input_shape)).shape == (2, entry.num_classes)


def test_keys_of_the_first_block_and_the_ends():
    keys = list(resnet_cifar(20).state_dict())
    assert keys[0] == "conv1.weight"
    assert "bn1.running_var" in keys
    assert "layer1.0.conv1.weight" in keys
    assert "layer3.2.bn2.bias" in keys
    assert keys[-2:] == ["linear.weight", "linear.bias"]
    assert not any("shortcut" in key for key in keys)


def test_shortcut_is_every_second_pixel_between_zeros():
    x = torch.randn(2, 4, 6, 6)
    y = ZeroPadShortcut(2)(x)
    assert y.shape == (2, 8, 3, 3)
    assert torch.equal(y[:, 2:6], x[:, :, ::2, ::2])
    assert y[:, :2].abs().sum() == 0 == y[:, 6:].abs().sum()


def test_block_is_the_formula_of_the_paper():
    torch.manual_seed(0)
    block = resnet_cifar(20).layer2[0].eval()
    x = torch.randn(2, 16, 8, 8)
    y = F.relu(block.bn1(F.conv2d(x, block.conv1.weight, stride=2, padding=1)))
    y = block.bn2(F.conv2d(y, block.conv2.weight, padding=1))
    shortcut = torch.zeros(2, 32, 4, 4)
    shortcut[:, 8:24] = x[:, :, ::2, ::2]
    torch.testing.assert_close(block(x), F.relu(y + shortcut))


def test_depth_must_be_six_n_plus_two():
    with pytest.raises(ValueError, match=r"6n \+ 2"):
        resnet_cifar(54)


def test_unknown_setting_is_named():
    with pytest.raises(InputError, match=r"'resnet20' could not be built.*widht"):
        zoo.build("resnet20", widht=3)
