"""Accuracy against a plain loop, and what data that do not belong to the network get."""

import math

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from secateurs import zoo
from secateurs.data import resolve_data
from secateurs.errors import InputError, RunError
from secateurs.meters import evaluate


def setting():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
    model(torch.randn(50, 5))
    return model, torch.randn(103, 5), torch.randint(0, 4, (103,))


def test_against_a_plain_loop():
    model, x, y = setting()
    model[0].eval()
    steps = []
    got = evaluate(model, (x, y), batch_size=10, progress=lambda *step: steps.append(step))
    assert [m.training for m in model] == [False, True, True]
    model.eval()
    right, loss = 0, 0.0
    for k in range(103):
        z = model(x[k : k + 1]).detach().double()[0]
        right += int(z.argmax()) == int(y[k])
        loss -= float(z[y[k]] - z.exp().sum().log())
    assert (got.correct, got.total, got.value) == (right, 103, right / 103)
    assert got.loss == pytest.approx(loss / 103, rel=1e-6)
    assert got.standard_error == pytest.approx(math.sqrt(got.value * (1 - got.value) / 103))
    assert steps[0] == ("evaluate", 10, 103)
    assert steps[-1] == ("evaluate", 103, 103)


def test_limit_and_loaders_agree():
    model, x, y = setting()
    loader = DataLoader(TensorDataset(x, y), batch_size=7)
    got, wanted = evaluate(model, loader, limit=50), evaluate(model, (x[:50], y[:50]), batch_size=7)
    assert (got.correct, got.total) == (wanted.correct, wanted.total)
    assert got.loss == pytest.approx(wanted.loss, rel=1e-6)


def test_other_outputs_and_labels_that_are_understood():
    logits, y = torch.eye(3), torch.arange(3)

    class Several(nn.Module):
        def __init__(self, form):
            super().__init__()
            self.form = form

        def forward(self, x):
            return self.form(x)

    for form in (lambda x: (x, 1), lambda x: {"logits": x}, lambda x: {"out": x}, lambda x: x.half()):
        assert evaluate(Several(form), (logits, y)).correct == 3
    assert evaluate(nn.Identity(), (logits, y[:, None].to(torch.uint8))).correct == 3


def test_several_labels_a_sample_against_a_plain_loop():
    model, x, _ = setting()
    y = torch.randint(0, 2, (103, 4))
    got = evaluate(model, (x, y), batch_size=10)
    model.eval()
    scores, loss = [], 0.0
    for k in range(103):
        z = model(x[k : k + 1]).detach().double()[0]
        scores.append(sum(bool(z[j] > 0) == bool(y[k, j]) for j in range(4)) / 4)
        loss -= sum(float(torch.where(y[k, j] > 0, z[j], -z[j]).sigmoid().log()) for j in range(4)) / 4
    assert (got.correct, got.total) == (scores.count(1.0), 103)
    assert got.value == pytest.approx(sum(scores) / 103)
    assert got.loss == pytest.approx(loss / 103, rel=1e-6)
    variance = sum((s - got.value) ** 2 for s in scores) / 103
    assert got.standard_error == pytest.approx(math.sqrt(variance / 103))


def test_a_metric_of_ones_own_sees_all_samples_in_order():
    model, x, y = setting()
    right_share = evaluate(model, (x, y))
    got = evaluate(model, (x, y), batch_size=10, metric=lambda z, t: (z.argmax(1) == t).double().mean())
    assert got.value == pytest.approx(right_share.value)
    assert got.standard_error == pytest.approx(right_share.standard_error, rel=0.6)
    assert (got.correct, got.loss, got.total) == (None, None, 103)
    assert "(103 samples)" in str(got)
    pixels = evaluate(nn.Identity(), (torch.ones(5, 2, 3, 3), torch.zeros(5)), metric=lambda z, t: z.mean())
    assert pixels.value == 1.0


@pytest.mark.parametrize(
    ("inputs", "labels", "error", "message"),
    [
        (torch.zeros(4, 3), None, InputError, "no labels"),
        (
            torch.zeros(4, 3),
            torch.tensor([0, 1, 2, 3]),
            InputError,
            r"the class 3, the network has 3 outputs",
        ),
        (
            torch.zeros(4, 3),
            torch.tensor([0, -1, 2, 1]),
            InputError,
            r"the class -1, the network has 3 outputs",
        ),
        (
            torch.zeros(4, 3),
            torch.full((4, 3), 0.5),
            InputError,
            r"labels have shape \(4, 3\) and type float32, .* zeros and ones of shape \(4, 3\)",
        ),
        (torch.zeros(4, 3), torch.zeros(4), InputError, r"shape \(4,\) and type float32"),
        (
            torch.zeros(4, 3, 2),
            torch.zeros(4).long(),
            InputError,
            r"an output of shape \(4, 3, 2\) for 4 samples",
        ),
        (
            torch.tensor([[0.0, 1], [0, math.nan]]),
            torch.zeros(2).long(),
            RunError,
            "1 of 2 samples .*sample 1 of",
        ),
        (torch.tensor([[0.0, -math.inf]]), torch.zeros(1).long(), RunError, "NaN or infinite outputs"),
    ],
)
def test_what_does_not_belong_together(inputs, labels, error, message):
    data = inputs if labels is None else (inputs, labels)
    with pytest.raises(error, match=message):
        evaluate(nn.Identity(), data)


def test_inputs_of_the_wrong_shape_or_type():
    with pytest.raises(
        InputError, match=r"Conv2d does not take the data's inputs \(\(2, 1, 8, 8\) float32\)"
    ):
        evaluate(nn.Conv2d(3, 4, 3), (torch.zeros(2, 1, 8, 8), torch.zeros(2).long()))
    with pytest.raises(InputError, match=r"\(2, 3\) uint8"):
        evaluate(nn.Linear(3, 2), (torch.zeros(2, 3, dtype=torch.uint8), torch.zeros(2).long()))


def test_public_resnet20_on_the_first_test_images(shared_data, cifar10):
    """Against a count image by image; all 10,000, with 9,173 right, take too long here."""
    path = shared_data / "cifar10_models" / "resnet20.safetensors"
    model = zoo.load_weights(zoo.build("resnet20"), path).eval()
    data = resolve_data(f"cifar10:{cifar10}", normalisation=zoo.entry("resnet20").normalisation)
    got = evaluate(model, data.test, limit=500)
    right = 0
    with torch.no_grad():
        for k in range(500):
            image, label = data.test[k]
            right += int(model(image[None]).argmax()) == label
    assert got.correct == right
    assert got.value > 0.89
