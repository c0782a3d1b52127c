"""Metrics by name, against plain loops and scikit-learn, in evaluate, and as floors."""

import numpy as np
import pytest
import torch
from torch import nn

import secateurs as sc
from secateurs.errors import InputError
from secateurs.meters.named import NAMED, own_metric

pytest.importorskip("torchmetrics")


def scores(samples=60, classes=5, seed=0):
    """Outputs that are right more often than not, and labels of which one class has none."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, classes - 1, (samples,), generator=generator)
    outputs = torch.randn(samples, classes, generator=generator)
    outputs[torch.arange(samples), labels] += 1.0
    return outputs, labels


def several(samples=80, classes=4, seed=1):
    generator = torch.Generator().manual_seed(seed)
    labels = (torch.rand(samples, classes, generator=generator) < 0.3).float()
    return torch.randn(samples, classes, generator=generator) + labels, labels


def precision_by_hand(scores, wanted):
    """Mean of the precision at each positive, from the highest score down."""
    order = np.argsort(-scores, kind="stable")
    hits, found = 0, []
    for place, k in enumerate(order, 1):
        if wanted[k]:
            hits += 1
            found.append(hits / place)
    return sum(found) / len(found)


def test_log_loss_is_the_mean_surprise():
    outputs, labels = scores()
    p = np.exp(outputs.numpy().astype(float))
    p /= p.sum(axis=1, keepdims=True)
    expected = -np.log(p[np.arange(60), labels.numpy()]).mean()
    got = sc.evaluate(nn.Identity(), (outputs, labels), metric="log-loss")
    assert abs(got.value - expected) < 1e-6
    assert str(got).startswith(f"{expected:.4f} nats")
    assert NAMED["log-loss"](outputs, labels) < 0  # as a floor, higher is better
    outputs, labels = several()
    q = 1 / (1 + np.exp(-outputs.numpy().astype(float)))
    expected = -(labels.numpy() * np.log(q) + (1 - labels.numpy()) * np.log(1 - q)).mean()
    assert abs(sc.evaluate(nn.Identity(), (outputs, labels), metric="log-loss").value - expected) < 1e-6


def test_class_accuracy_is_the_mean_over_the_classes_that_are_met():
    outputs, labels = scores()
    right = outputs.argmax(1) == labels
    expected = [float(right[labels == k].double().mean()) for k in range(4)]
    got = sc.evaluate(nn.Identity(), (outputs, labels), metric="class-accuracy", batch_size=7)
    assert np.allclose(got.by_class[:4], expected, rtol=0, atol=1e-6)
    assert np.isnan(got.by_class[4])
    assert abs(got.value - np.mean(expected)) < 1e-6
    assert got.metric == "class-accuracy"


def test_mean_average_precision_by_hand():
    outputs, labels = several()
    labels[:, 3] = 0  # a class without any
    expected = [precision_by_hand(outputs[:, k].numpy(), labels[:, k].numpy()) for k in range(3)]
    got = sc.evaluate(nn.Identity(), (outputs, labels), metric="map")
    assert np.allclose(got.by_class[:3], expected, rtol=0, atol=1e-6)
    assert np.isnan(got.by_class[3])
    assert abs(got.value - np.mean(expected)) < 1e-6
    outputs, labels = scores()
    p = torch.softmax(outputs.double(), 1).numpy()
    expected = np.mean([precision_by_hand(p[:, k], labels.numpy() == k) for k in range(4)])
    assert abs(NAMED["map"](outputs, labels) - expected) < 1e-6


def test_accuracy_by_name_is_accuracy():
    assert sc.evaluate(nn.Identity(), scores(), metric="accuracy") == sc.evaluate(nn.Identity(), scores())


def test_metrics_that_are_none_get_one_sentence():
    with pytest.raises(InputError, match="there is no metric 'mpa': did you mean map"):
        sc.evaluate(nn.Identity(), scores(), metric="mpa")
    with pytest.raises(InputError, match="metric is 3; give a name, or a function"):
        sc.evaluate(nn.Identity(), scores(), metric=3)
    with pytest.raises(InputError, match=r"class-accuracy: labels have shape \(\d+, 4\)"):
        sc.evaluate(nn.Identity(), several(), metric="class-accuracy")
    with pytest.raises(InputError, match="log-loss: labels have shape"):
        sc.evaluate(nn.Identity(), (torch.zeros(2, 3), torch.zeros(2, 2)), metric="log-loss")


def test_own_metrics_are_named_by_their_code(tmp_path):
    (tmp_path / "mine.py").write_text(
        "def share(outputs, labels):\n    return (outputs.argmax(1) == labels).double().mean()\n"
        "def broken(outputs, labels):\n    return outputs[999]\n"
    )
    got = sc.evaluate(nn.Identity(), scores(), metric=own_metric(f"{tmp_path / 'mine.py'}:share"))
    assert got.value == sc.evaluate(nn.Identity(), scores()).value
    assert got.metric.endswith("mine.py:share")
    with pytest.raises(InputError, match="failed with IndexError"):
        sc.evaluate(nn.Identity(), scores(), metric=own_metric(f"{tmp_path / 'mine.py'}:broken"))
    with pytest.raises(InputError, match="names a file that is not there"):
        own_metric("nothing.py:share")


class Tagger(nn.Module):
    """Several labels a sample: a convolution with filters that count and filters that hardly do."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.head = nn.Conv2d(1, 8, 3, padding=1), nn.Linear(8, 3)
        with torch.no_grad():
            self.head.weight[:, 4:] *= 1e-4

    def forward(self, x):
        return self.head(torch.relu(self.conv(x)).mean((2, 3)))


@pytest.mark.parametrize("metric", ["map", "log-loss"])
def test_floors_hold_for_named_metrics_and_several_labels(metric):
    model = Tagger().eval()
    x = torch.randn(300, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        out = model(x)
    labels = (out > out.median(dim=0).values).float()
    held = (x[150:], labels[150:])
    before = sc.evaluate(model, held, metric=metric).value
    result = sc.prune(
        model,
        x[:1],
        method="l1-norm",
        accuracy_drop=5.0,
        data=(x[:150], labels[:150]),
        holdout=held,
        metric=metric,
    )
    after = sc.evaluate(result.model, held, metric=metric).value
    assert result.after.params < result.before.params
    worse = after - before if metric == "log-loss" else before - after
    assert worse <= 0.05
    assert sc.PruneConfig.from_dict(result.config.to_dict(), "here").metric == metric
