"""The losses of fine-tuning against plain loops and scipy, and the shifts of images against slices."""

import numpy as np
import pytest
import torch
from scipy.special import rel_entr, softmax
from torch import nn

from secateurs.data.augment import Shifts
from secateurs.recover.hints import comparable
from secateurs.recover.losses import hint_loss, label_loss, mixed_label_loss, teacher_loss


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_label_loss_is_cross_entropy_with_smoothed_labels():
    z, y, s = drawn(6, 4), torch.tensor([0, 1, 2, 3, 3, 0]), 0.1
    total = 0.0
    for i in range(6):
        target = np.full(4, s / 4)
        target[y[i]] += 1 - s
        total -= (target * np.log(softmax(z[i].numpy()))).sum()
    assert float(label_loss(z, y, s)) == pytest.approx(total / 6)


def test_label_loss_of_several_labels_is_the_mean_over_classes():
    z, y, s = drawn(5, 3), torch.tensor([[1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0], [0, 0, 1]]), 0.2
    p = 1 / (1 + np.exp(-z.numpy()))
    target = (1 - s) * y.numpy() + s / 2
    expected = -(target * np.log(p) + (1 - target) * np.log(1 - p)).mean()
    assert float(label_loss(z, y, s)) == pytest.approx(expected)


def test_mixed_labels_are_a_soft_target():
    z, y, other = drawn(4, 3), torch.tensor([0, 1, 2, 0]), torch.tensor([0, 2, 1, 1])
    soft = 0.3 * np.eye(3)[y] + 0.7 * np.eye(3)[other]
    expected = -(soft * np.log(softmax(z.numpy(), axis=1))).sum(1).mean()
    assert float(mixed_label_loss(z, y, other, 0.3)) == pytest.approx(expected)


def test_teacher_loss_is_the_divergence_from_the_teacher():
    z, z0, t = drawn(5, 4), drawn(5, 4, seed=1), 2.0
    p0, p = (softmax(x.numpy() / t, axis=1) for x in (z0, z))
    assert float(teacher_loss(z, z0, t, several=False)) == pytest.approx(rel_entr(p0, p).sum(1).mean())
    p0, p = (1 / (1 + np.exp(-x.numpy() / t)) for x in (z0, z))
    expected = (rel_entr(p0, p) + rel_entr(1 - p0, 1 - p)).mean()
    assert float(teacher_loss(z, z0, t, several=True)) == pytest.approx(expected)


def test_hint_loss_is_the_mean_of_relative_errors():
    found = {"a": drawn(4, 2, 3), "b": drawn(4, 5, seed=1)}
    wanted = {"a": drawn(4, 2, 3, seed=2), "b": drawn(4, 5, seed=3)}
    each = []
    for name in found:
        f, w = found[name].numpy(), wanted[name].numpy()
        each.append(((f - w) ** 2).sum() / ((w - w.mean(0)) ** 2).sum())
    assert float(hint_loss(found, wanted, ["a", "b"])) == pytest.approx(np.mean(each))


def test_shifts_are_padded_crops():
    images = torch.randint(
        0, 255, (5, 3, 8, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    uniform = torch.rand(5, 3, generator=torch.Generator().manual_seed(1))
    moved = Shifts(2).moved(images, uniform)
    for i in range(5):
        padded = np.pad(images[i].numpy(), ((0, 0), (2, 2), (2, 2)))
        down, right = (int(u * 5) for u in uniform[i, :2])
        expected = padded[:, down : down + 8, right : right + 16]
        if uniform[i, 2] < 0.5:
            expected = expected[:, :, ::-1]
        assert np.array_equal(moved[i].numpy(), expected)
    assert len({float(u < 0.5) for u in uniform[:, 2]}) == 2


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv = nn.Conv2d(2, width, 3, padding=1)

    def forward(self, x):
        return self.conv(x).relu()


def test_blocks_with_fewer_channels_are_compared_by_the_plan():
    import secateurs as sc

    torch.manual_seed(0)
    net = nn.Sequential(Block(6), nn.Sequential(nn.Conv2d(6, 3, 3)), nn.Flatten(), nn.Linear(108, 2)).eval()
    x = torch.randn(2, 2, 8, 8)
    result = sc.prune(net, x[:1], method="l1-norm", layers={"1.*": 1.0}, keep=0.6)
    places = comparable(result.model, net, (x,), result.plan)
    kept = torch.tensor(result.plan.kept["0.conv"])
    assert len(kept) < 6
    assert places["1"] is None
    torch.testing.assert_close(result.model[0](x), net[0](x)[:, places["0"]])
    assert torch.equal(places["0"], kept)
    assert set(comparable(result.model, net, (x,))) == {"1"}


class Shortcut(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 8, 3, padding=1)

    def forward(self, x):
        return torch.relu(x + self.second(torch.relu(self.norm(self.first(x)))))


def test_blocks_are_compared_by_the_channels_that_leave_them():
    """Inside the block as many stay as leave it, and the plan names the inner norm last."""
    import secateurs as sc

    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3), Shortcut(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2)
    ).eval()
    x = torch.randn(2, 3, 8, 8)
    result = sc.prune(net, x[:1], method="l1-norm", keep=0.5, allocate="uniform")
    inner, leaving = result.plan.kept["1.first"], result.plan.steps[0].slices["1.second.weight"][0]
    assert len(inner) == len(leaving)
    assert list(inner) != list(leaving)
    assert comparable(result.model, net, (x,), result.plan)["1"].tolist() == list(leaving)
