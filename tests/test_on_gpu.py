"""What a GPU gives is what the CPU gives, within rounding: pruning, repair, measuring, training."""

import copy

import pytest
import torch

import secateurs as sc
from secateurs.data import batches, resolve_data
from secateurs.recover import tune_
from secateurs.recover.samples import samples_of
from secateurs.zoo.digits import trained_digits_cnn

DEVICE = "cuda"
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
]
EXAMPLE = torch.zeros(1, 1, 8, 8)


@pytest.fixture(autouse=True)
def _full_float32(monkeypatch):
    """Convolutions of a GPU round to ten bits otherwise."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


@pytest.fixture(scope="module")
def digits():
    return resolve_data("digits")


@pytest.fixture(scope="module")
def images(digits):
    """400 images with labels in float64, where rounding cannot turn a choice."""
    (inputs,), labels = next(batches(digits.calibration(400), 400))
    return inputs.double(), labels


def pair(kind=torch.float64):
    model = trained_digits_cnn().to(kind)
    return model, copy.deepcopy(model).to(DEVICE)


def alike(found, expected, tolerance):
    """The tensors of two networks, of which the first lies on the GPU."""
    assert {x.device.type for x in found.state_dict().values()} == {DEVICE}
    for name, tensor in expected.state_dict().items():
        size = float(tensor.abs().max().clamp_min(1.0))
        torch.testing.assert_close(
            found.state_dict()[name].cpu(), tensor, rtol=0, atol=tolerance * size, msg=name
        )


@pytest.mark.parametrize(
    "asked",
    [
        {"effort": "fast"},
        {"effort": "best", "compensate": "none"},
        {"method": "l1-norm", "compensate": "least-squares"},
        {"method": "similarity", "compensate": "merge", "allocate": "global"},
        {"method": "hrank", "recalibrate": True},
    ],
)
def test_pruning_and_repair(images, asked):
    here, there = pair()
    expected = sc.prune(here, EXAMPLE.double(), macs=0.5, data=images, calibrate=400, **asked)
    found = sc.prune(there, EXAMPLE.double().to(DEVICE), macs=0.5, data=images, calibrate=400, **asked)
    assert found.plan.kept == expected.plan.kept
    assert found.verification.passed
    assert (found.after.macs, found.after.params) == (expected.after.macs, expected.after.params)
    alike(found.model, expected.model, 1e-5)


def test_pruning_by_default_in_float32_is_as_good(digits):
    data, apart = digits.calibration(400), digits.holdout(10_000)
    scores = []
    for model, example in zip(pair(torch.float32), (EXAMPLE, EXAMPLE.to(DEVICE)), strict=True):
        result = sc.prune(model, example, macs=0.5, data=data, calibrate=400, effort="fast")
        scores.append(sc.evaluate(result.model, apart))
    assert abs(scores[0].value - scores[1].value) <= 3 * scores[0].standard_error + 0.01


@pytest.mark.parametrize("metric", [None, "log-loss"])
def test_evaluation(digits, metric):
    expected, found = (sc.evaluate(model, digits.test, metric=metric) for model in pair(torch.float32))
    assert found.total == expected.total
    assert found.value == pytest.approx(expected.value, rel=1e-4)
    assert found.standard_error == pytest.approx(expected.standard_error, rel=1e-3)
    if metric is None:
        assert found.correct == expected.correct
        assert found.loss == pytest.approx(expected.loss, rel=1e-4)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_training(digits, optimizer):
    settings = {
        "epochs": 2,
        "batch": 100,
        "optimizer": optimizer,
        "learning_rate": 1e-3,
        "augment": "crop",
        "label_smoothing": 0.1,
        "teacher": trained_digits_cnn(),
    }
    here, there = pair(torch.float32)
    expected, found = (tune_(model, digits.train, **settings) for model in (here, there))
    for one, other in zip(found.epochs, expected.epochs, strict=True):
        assert one.loss == pytest.approx(other.loss, rel=1e-3)
        assert one.validation_loss == pytest.approx(other.validation_loss, rel=1e-2)
    alike(there, here, 1e-3)


def test_training_in_mixed_precision_goes_on_from_its_checkpoint(digits, tmp_path):
    settings = {"epochs": 3, "batch": 100, "precision": "16", "channels_last": True, "learning_rate": 1e-2}

    def stop(epoch):
        if epoch.number == 2:
            raise KeyboardInterrupt

    _, first = pair(torch.float32)
    with pytest.raises(KeyboardInterrupt):
        tune_(first, digits.train, to=tmp_path, each=stop, **settings)
    _, second = pair(torch.float32)
    done = tune_(second, digits.train, to=tmp_path, **settings)
    assert [epoch.number for epoch in done.epochs] == [1, 2, 3]
    assert done.epochs[-1].accuracy > 0.9


def test_small_data_are_held_where_the_network_lies(digits):
    held = samples_of(digits.train, torch.device(DEVICE))
    (inputs,), labels = next(held.several([torch.tensor([3, 1])]))
    assert (inputs.device.type, labels.device.type) == (DEVICE, DEVICE)
    expected, classes = digits.train.batch([3, 1])
    torch.testing.assert_close(held.finished((inputs,))[0].cpu(), expected)
    assert torch.equal(labels.cpu(), classes)
