"""The recipes for CIFAR-10, for one epoch of two batches of random images."""

import importlib.util
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.utils.data import Subset

import secateurs as sc
from secateurs import zoo
from secateurs.data import DataSource
from secateurs.data.arrays import ImageArray
from secateurs.data.normalisation import IMAGENET

pytest.importorskip("lightning_fabric")
SCRIPT = Path(__file__).parents[2] / "examples" / "train_cifar10.py"


@pytest.fixture(scope="module")
def example():
    found = importlib.util.spec_from_file_location("train_cifar10", SCRIPT)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def images():
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (12, 3, 32, 32), generator=generator, dtype=torch.uint8)
    return ImageArray(pixels.numpy(), torch.arange(12).remainder(10).numpy(), IMAGENET)


@pytest.mark.parametrize("network", ["vgg16_bn", "mobilenet_v2"])
def test_a_recipe_trains_on_every_batch_in_mixed_precision(example, images, network):
    config = example.recipe(network, epochs=1, batch=4, precision="bf16", channels_last=True)
    config.check()
    torch.manual_seed(0)
    before = zoo.build(network).state_dict()
    model, done = example.trained(network, Subset(images, range(8)), config, torch.device("cpu"), None)
    assert len(done.epochs) == done.best == 1
    assert 1.5 < done.epochs[0].loss < 6  # log(10) is 2.3
    assert done.epochs[0].rate == pytest.approx(config.learning_rate * 2 / 10)  # two of ten steps of warm-up
    after = model.state_dict()
    assert all(torch.isfinite(x.float()).all() for x in after.values())
    moved = [name for name, x in before.items() if x.is_floating_point() and not torch.equal(x, after[name])]
    assert {name for name, x in before.items() if x.is_floating_point()} == set(moved)


def test_the_settings_are_those_that_are_said(example):
    for network, rate in (("vgg16_bn", 0.05), ("mobilenet_v2", 0.1)):
        config = example.recipe(network)
        assert (config.epochs, config.optimizer, config.schedule, config.warmup) == (
            200,
            "sgd",
            "cosine",
            5.0,
        )
        assert (config.learning_rate, config.augment, config.label_smoothing) == (rate, "crop-flip", 0.1)
        assert (config.held_out, config.labels, config.distil) == (0.0, 1.0, None)


def test_the_file_is_what_commands_take(example, images, tmp_path, monkeypatch, capsys):
    parts = DataSource("cifar10", Subset(images, range(8)), Subset(images, range(8, 12)))
    monkeypatch.setattr(example, "resolve_data", lambda spec: parts)
    out = tmp_path / "net.safetensors"
    assert example.main(["mobilenet_v2", "here", "--epochs", "1", "--out", str(out)]) == 0
    model = zoo.build("mobilenet_v2")
    zoo.load_weights(model, out)
    assert str(sc.evaluate(model, parts.test)) in capsys.readouterr().out
    assert set(load_file(out)) == set(model.state_dict())
    assert (tmp_path / "net.tuning" / "log.csv").is_file()


def test_a_mistake_is_one_sentence(example, tmp_path, capsys):
    out = ["--out", str(tmp_path / "net.safetensors")]
    assert example.main(["vgg16_bn", str(tmp_path / "nowhere"), *out]) == 2
    assert "nowhere' cannot be found" in capsys.readouterr().err
    assert example.main(["vgg16_bn", str(tmp_path), "--epochs", "0", *out]) == 2
    assert capsys.readouterr().err == "epochs is 0; give a whole number from 1.\n"
    assert not list(tmp_path.iterdir())
