"""Batch-norm statistics as they really are, after the layers before them have changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from secateurs.checks import check_model
from secateurs.contracts import Loader, Progress
from secateurs.data.batches import batches, count
from secateurs.errors import InputError
from secateurs.running.eval_mode import device_of, evaluation


@dataclass(frozen=True)
class Recalibration:
    """What was re-estimated: names of the layers, number of samples, and the layers that never ran."""

    layers: tuple[str, ...]
    samples: int
    not_reached: tuple[str, ...] = ()


def recalibrate_(
    model: nn.Module,
    data: Loader,
    *,
    batch_size: int = 256,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Recalibration:
    r"""Set the mean and variance of every batch norm to those of its inputs over all of the data.

    With N values a channel (samples times positions) in all batches together,

    .. math:: \mu = \frac{1}{N} \sum_i x_i, \qquad \sigma^2 = \frac{1}{N - 1} \sum_i (x_i - \mu)^2,

    the unbiased variance that batch norm stores. Batches are pooled by their sizes [chan1983variance], in
    float64: nothing of the old statistics stays, and neither order nor an incomplete last batch matters, as
        it
    does with a momentum.

    *Which estimate.* The inputs of a layer depend on how the layers before it normalise. Here every batch is
    normalised by its own mean and (unbiased) variance, much as in training, so that one pass is enough; with
    the old statistics in the layers before, the new ones would belong to a network that no longer exists.
    With all data in one batch (`batch_size` at least the number of samples) every layer's statistics are
    exactly those of its inputs in the recalibrated network; with several, a batch's statistics differ from
    those of all data, the less the larger the batches. Small batches are therefore put together until they
    hold `batch_size` samples; what is left at the end joins the last of them.

    Args:
        model: Its batch norms change, where they keep statistics; parameters, `num_batches_tracked`,
            momentum, training flags and everything else stay. Left wholly as it was where an error is raised.
        data: A little data, labels unused, in any form that `secateurs.data.batches` reads; read once.
        batch_size: Samples normalised together, at least.
        limit: Only the first so many samples.
        progress: Told the number of samples done after each pass.

    Returns:
        Which layers were set. A layer that the forward pass never reaches keeps its statistics and is listed.

    Raises:
        InputError: a layer sees a single value a channel in all, or NaN or infinite values, or the model
            does not take the inputs.

    Example:
        >>> model = nn.BatchNorm1d(1)
        >>> done = recalibrate_(model, torch.tensor([[1.0], [2.0], [6.0]]))
        >>> model.running_mean.item(), model.running_var.item(), done.samples
        (3.0, 7.0, 3)
    """
    check_model(model)
    layers = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, _BatchNorm) and module.running_mean is not None
    }
    device = device_of(model)
    known = count(data)
    expected = None if known is None else min(known, limit or known)
    moments: dict[str, _Moments] = {name: _Moments() for name in layers}
    samples = 0
    with _original_kept(layers), _watched(layers, moments), evaluation(model), torch.no_grad():
        for inputs in _together(batches(data, batch_size, limit=limit), batch_size):
            try:
                model(*(x.to(device) for x in inputs))
            except (RuntimeError, TypeError, ValueError) as error:
                shapes = ", ".join(str(tuple(x.shape)) for x in inputs)
                raise InputError(
                    f"The network {type(model).__name__} does not take the data's inputs (shapes {shapes}): "
                    f"{error}"
                ) from error
            samples += len(inputs[0])
            if progress is not None:
                progress("recalibrate", samples, expected or samples)
        results = {name: moment.result(name) for name, moment in moments.items() if moment.count}
    for name, (mean, variance) in results.items():
        _set(layers[name], mean, variance)
    return Recalibration(tuple(results), samples, tuple(name for name in layers if name not in results))


class _Moments:
    """Number, mean and sum of squared deviations of one layer's inputs, channel by channel, in float64."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = torch.zeros(())
        self.squares = torch.zeros(())

    def add(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Pool with `count` values of this mean and (population) variance."""
        mean, variance = mean.double(), variance.double()
        if not self.count:
            self.count, self.mean, self.squares = count, mean, variance * count
            return
        total = self.count + count
        shift = mean - self.mean
        self.mean = self.mean + shift * (count / total)
        self.squares = self.squares + variance * count + shift**2 * (self.count * count / total)
        self.count = total

    def result(self, name: str) -> tuple[Tensor, Tensor]:
        if self.count < 2:
            raise InputError(
                f"The batch norm '{name}' sees one value a channel in all of the data, which has no "
                "variance: give more samples."
            )
        if not bool(torch.isfinite(self.mean).all() and torch.isfinite(self.squares).all()):
            raise InputError(
                f"The batch norm '{name}' sees NaN or infinite inputs: look at the weights before it and at "
                "the data."
            )
        return self.mean, self.squares / (self.count - 1)


def _set(layer: _BatchNorm, mean: Tensor, variance: Tensor) -> None:
    assert layer.running_mean is not None
    assert layer.running_var is not None
    with torch.no_grad():
        layer.running_mean.copy_(mean)
        layer.running_var.copy_(variance)


@contextmanager
def _original_kept(layers: dict[str, _BatchNorm]) -> Iterator[None]:
    """The pass writes each batch's statistics into the layers; afterwards the original ones are back."""
    kept = {
        name: (layer.running_mean.clone(), layer.running_var.clone())
        for name, layer in layers.items()
        if layer.running_mean is not None and layer.running_var is not None
    }
    try:
        yield
    finally:
        for name, (mean, variance) in kept.items():
            _set(layers[name], mean, variance)


@contextmanager
def _watched(layers: dict[str, _BatchNorm], moments: dict[str, _Moments]) -> Iterator[None]:
    """Before a layer runs, take its input's moments and let the layer normalise by them.

    The layers stay in evaluation mode and do their own arithmetic, so that subclasses with an activation
    inside, and batches of one value a channel, work too.
    """

    def hook(name: str) -> Any:
        def observe(layer: Any, args: tuple[Tensor, ...]) -> None:
            x = args[0].float() if args[0].dtype in (torch.float16, torch.bfloat16) else args[0]
            axes = [axis for axis in range(x.dim()) if axis != 1]
            variance, mean = torch.var_mean(x, dim=axes, correction=0)
            size = x.numel() // x.shape[1]
            moments[name].add(mean, variance, size)
            _set(layer, mean, variance * (size / max(1, size - 1)))

        return observe

    handles = [layer.register_forward_pre_hook(hook(name)) for name, layer in layers.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _together(read: Iterator[Any], size: int) -> Iterator[tuple[Tensor, ...]]:
    """Inputs in groups of at least `size` samples; what is left at the end joins the last group.

    Inputs of different shapes, such as recordings of different lengths, are never put into one group.
    """
    held: list[tuple[Tensor, ...]] = []
    ready: list[tuple[Tensor, ...]] = []
    for inputs, _ in read:
        if held + ready and any(
            a.shape[1:] != b.shape[1:] for a, b in zip(inputs, (held + ready)[0], strict=True)
        ):
            yield _joined(ready + held)
            ready, held = [], []
        held.append(inputs)
        if sum(len(x[0]) for x in held) >= size:
            if ready:
                yield _joined(ready)
            ready, held = held, []
    yield _joined(ready + held)


def _joined(parts: list[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    if len(parts) == 1:
        return parts[0]
    return tuple(torch.cat(columns) for columns in zip(*parts, strict=True))
