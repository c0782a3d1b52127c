"""Re-estimated batch-norm statistics against moments of concatenated data."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from secateurs import zoo
from secateurs.errors import InputError
from secateurs.recover.recalibrate import recalibrate_


def net():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten()
    )
    model[1].weight.data.uniform_(-2, 2)
    model[1].running_mean.fill_(7.0)
    return model


X = 3 + 2 * torch.randn(103, 2, 6, 6, generator=torch.Generator().manual_seed(1))


def concatenated(values):
    """Mean and unbiased variance a channel, from the definition, in float64."""
    flat = values.double().transpose(0, 1).flatten(1)
    mean = flat.mean(1)
    return mean, ((flat - mean[:, None]) ** 2).sum(1) / (flat.shape[1] - 1)


def close(layer, wanted, tolerance=1e-5):
    torch.testing.assert_close(layer.running_mean.double(), wanted[0], rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(layer.running_var.double(), wanted[1], rtol=tolerance, atol=tolerance)


def normalised(layer, x):
    """Batch norm by the moments of `x` itself, from the definition."""
    mean, variance = (v.float().view(1, -1, 1, 1) for v in concatenated(x))
    scale, shift = layer.weight.view(1, -1, 1, 1), layer.bias.view(1, -1, 1, 1)
    return (x - mean) / torch.sqrt(variance + layer.eps) * scale + shift


@pytest.mark.parametrize("size", [1, 7, 50, 103, 1000])
def test_first_layer_is_exact_for_any_batch_size(size):
    model = net()
    with torch.no_grad():
        wanted = concatenated(model[0](X))
    done = recalibrate_(model, DataLoader(TensorDataset(X), batch_size=size), batch_size=size)
    close(model[1], wanted)
    assert (done.layers, done.samples, done.not_reached) == (("1", "4"), 103, ())


def test_every_layer_is_exact_in_one_batch():
    """Layer after layer: each normalises by the statistics of all data before the next is measured."""
    model = net()
    with torch.no_grad():
        first = model[0](X)
        hidden = model[3](F.relu(normalised(model[1], first)))
    recalibrate_(model, X, batch_size=103)
    close(model[1], concatenated(first))
    close(model[4], concatenated(hidden))


def test_deeper_layer_pools_its_inputs_over_batches_of_unequal_size():
    model = net()
    with torch.no_grad():
        parts = [  # 40, then 40 and the 23 that are left
            model[3](F.relu(normalised(model[1], model[0](part)))) for part in (X[:40], X[40:])
        ]
    recalibrate_(model, X, batch_size=40)
    close(model[4], concatenated(torch.cat(parts)))


def test_small_batches_of_a_loader_are_put_together():
    one, other = net(), net()
    recalibrate_(one, DataLoader(TensorDataset(X), batch_size=1), batch_size=40)
    recalibrate_(other, [X[:40], X[40:]], batch_size=40)
    assert torch.equal(one[4].running_mean, other[4].running_mean)
    assert torch.equal(one[4].running_var, other[4].running_var)


def test_statistics_are_those_of_the_network_as_it_then_runs():
    model = net()
    recalibrate_(model, X, batch_size=103)
    model.eval()
    with torch.no_grad():
        close(model[1], concatenated(model[:1](X)))
        close(model[4], concatenated(model[:4](X)))


def test_nothing_else_changes():
    model = net()
    model[1].momentum, model[4].momentum = 0.3, None
    model[4].eval()
    model[1].num_batches_tracked += 5
    before = {k: v.clone() for k, v in model.state_dict().items() if "running" not in k}
    recalibrate_(model, X)
    assert all(torch.equal(v, model.state_dict()[k]) for k, v in before.items())
    assert [m.training for m in model] == [True, True, True, True, False, True]
    assert (model[1].momentum, model[4].momentum) == (0.3, None)
    assert not any(m._forward_pre_hooks for m in model)
    assert all(p.grad is None for p in model.parameters())


def test_old_statistics_do_not_matter():
    one, other = net(), net()
    other[1].running_mean.fill_(-100.0)
    other[4].running_var.fill_(1e6)
    recalibrate_(one, X)
    recalibrate_(other, X)
    for k in (1, 4):
        assert torch.equal(one[k].running_mean, other[k].running_mean)
        assert torch.equal(one[k].running_var, other[k].running_var)


class Odd(nn.Module):
    """A batch norm used twice, one that never runs, one without statistics, one of vectors."""

    def __init__(self):
        super().__init__()
        self.twice = nn.BatchNorm1d(2)
        self.never = nn.BatchNorm1d(2)
        self.without = nn.BatchNorm1d(2, track_running_stats=False)

    def forward(self, x):
        return self.without(self.twice(x)) + self.twice(5 * x)


def test_shared_and_unreached_layers():
    model = Odd()
    x = torch.randn(30, 2) + 4
    done = recalibrate_(model, x)
    close(model.twice, concatenated(torch.cat([x, 5 * x])))
    assert (done.layers, done.not_reached) == (("twice",), ("never",))
    assert torch.equal(model.never.running_mean, torch.zeros(2))


def test_large_mean_keeps_a_small_variance():
    x = 1000 + 0.1 * torch.randn(4000, 1, generator=torch.Generator().manual_seed(2))
    model = nn.BatchNorm1d(1)
    recalibrate_(model, x, batch_size=100)
    close(model, concatenated(x), tolerance=1e-4)


def test_recordings_of_different_lengths():
    model = nn.BatchNorm1d(2)
    parts = [torch.randn(3, 2, n) for n in (5, 5, 9, 4)]
    recalibrate_(model, parts, batch_size=4)
    close(model, concatenated(torch.cat([p.transpose(1, 2).reshape(-1, 2) for p in parts])))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (torch.zeros(5, 3, 6, 6), r"does not take the data's inputs \(shapes \(5, 3, 6, 6\)\)"),
        (torch.full((5, 2, 6, 6), float("nan")), "batch norm '1' sees NaN or infinite inputs"),
        (torch.zeros(1, 2, 5, 5), "batch norm '4' sees one value a channel"),
        ([], "hold no sample"),
    ],
)
def test_failure_leaves_the_model_as_it_was(data, message):
    model = net()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(InputError, match=message):
        recalibrate_(model, data)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert all(m.training for m in model)


def test_progress_and_limit():
    steps = []
    done = recalibrate_(net(), X, batch_size=20, limit=50, progress=lambda *step: steps.append(step))
    assert done.samples == 50
    assert steps == [("recalibrate", 20, 50), ("recalibrate", 50, 50)]


def test_activation_inside_the_layer():
    class WithActivation(nn.BatchNorm2d):
        def forward(self, x):
            return F.relu(super().forward(x))

    plain, fused = net(), net()
    fused[1] = WithActivation(3)
    fused[1].load_state_dict(plain[1].state_dict())
    recalibrate_(plain, X)
    recalibrate_(fused, X)
    assert torch.equal(plain[4].running_var, fused[4].running_var)


def test_trained_network_hardly_moves(shared_data, cifar10):
    """The statistics of a public checkpoint are those of its training images, so calibration finds them "
    "again."""
    from secateurs.data import resolve_data

    model = zoo.load_weights(zoo.build("resnet20"), shared_data / "cifar10_models" / "resnet20.safetensors")
    before = {k: v.clone() for k, v in model.state_dict().items()}
    data = resolve_data(f"cifar10:{cifar10}", normalisation=zoo.entry("resnet20").normalisation)
    recalibrate_(model, data.calibration(512))
    after = model.state_dict()
    for key in before:
        if key.endswith("running_mean"):
            deviation = before[key.replace("mean", "var")].sqrt()
            assert float(((after[key] - before[key]).abs() / deviation).median()) < 0.1
