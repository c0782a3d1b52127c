"""observe(): one pass that leaves the moments of what every consumer reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from secateurs.contracts import Group, Loader, Progress, Slot
from secateurs.data.batches import batches, count
from secateurs.layers.linear_map import channel_rows, linear_map, places_of, rows, spread
from secateurs.running.eval_mode import device_of, evaluation
from secateurs.statistics.moments import Moments
from secateurs.statistics.statistics import Statistics

_FAR = 0.5  # deviations by which means may differ before it is said
_RATIO = 2.0  # factor by which variances may


def observe(
    model: nn.Module,
    groups: Sequence[Group],
    data: Loader,
    *,
    taps: bool = False,
    places: int | None = 64,
    limit: int | None = None,
    batch_size: int = 100,
    progress: Progress | None = None,
) -> Statistics:
    r"""Moments of every consumer's input, streamed: E[x] and E[x x^T], whatever the number of samples.

    For each group and each layer that reads it, x holds the group's units at one place of the input; places and
    samples count alike, and of large maps `places` are looked at, spread evenly, the same in every sample.
    With `taps`, also the moments of whole rows: all channels at all taps of the layer,
    from which its refit is exact; d = channels times taps, so these cost more.

    Args:
        model: Left as it was; run where it lies.
        groups: Whose consumers, usually `graph.free`.
        data: Unlabelled samples (labels are dropped).
        taps: Whether to collect rows as well.
        places: At most so many places of every map; None for all.
        limit: At most so many samples.
        batch_size: Where `data` does not come in batches.
        progress: Told of every batch.

    Returns:
        `channels` by "group|tensor", `taps` by tensor, both mergeable by +; warnings where the data do not look
        like those the first batch norm was trained on.

    Raises:
        InputError: No samples, or activations that are not finite.

    Cost:
        One forward pass and O(n^2) a place for a consumer of n units (with `taps` O(d^2)); memory O(n^2) a
        consumer (with `taps` O(d^2)), in float64.

    References:
        Sums over machines: `Statistics.all_reduce`.
    """
    sums: dict[str, Moments] = {}
    wide: dict[str, Moments] = {}
    norm = _NormCheck()
    look = _Look(groups, sums, wide if taps else None, places)
    samples, total = 0, count(data)
    with evaluation(model), torch.no_grad(), _hooked(model, look, norm):
        for inputs, _ in batches(data, batch_size, limit=limit):
            model(*(x.to(device_of(model)) for x in inputs))
            samples += len(inputs[0])
            if progress is not None:
                progress("observe", samples, min(total or samples, limit or samples))
    return Statistics(samples, sums, wide, norm.warnings())


def key(group: Group, slot: Slot) -> str:
    """Under which name `channels` holds what a consumer reads of a group.

    Example:
        >>> import numpy as np
        >>> slot = Slot("b.weight", 1, np.arange(2)[:, None], "consumer")
        >>> key(Group("a", 2, (slot,)), slot)
        'a|b.weight'
    """
    return f"{group.name}|{slot.tensor}"


@contextmanager
def _hooked(model: nn.Module, look: _Look, norm: _NormCheck) -> Iterator[None]:
    handles = []
    modules = dict(model.named_modules())
    for tensor in look.readers:
        module = modules.get(tensor.removesuffix(".weight"))
        if module is not None and linear_map(module) is not None:
            handles.append(module.register_forward_pre_hook(look.at(tensor)))
    for module in modules.values():
        if isinstance(getattr(module, "running_mean", None), Tensor):
            handles.append(module.register_forward_pre_hook(norm.reads))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class _Look:
    """What is added up at every layer that reads a group."""

    def __init__(
        self,
        groups: Sequence[Group],
        sums: dict[str, Moments],
        wide: dict[str, Moments] | None,
        places: int | None,
    ) -> None:
        self.sums, self.wide, self.places = sums, wide, places
        self.readers: dict[str, list[tuple[Group, Slot]]] = {}
        for group in groups:
            for slot in group.slots_as("consumer"):
                self.readers.setdefault(slot.tensor, []).append((group, slot))

    def at(self, tensor: str) -> Callable[[nn.Module, Any], None]:
        """A hook before the layer that reads with `tensor`."""

        def hook(module: nn.Module, args: Any) -> None:
            for group, slot in self.readers[tensor]:
                _add(self.sums, key(group, slot), channel_rows(module, args[0], slot.positions, self.places))
            if self.wide is not None:
                _add(self.wide, tensor, rows(module, args[0], self._chosen(module, args[0])))

        return hook

    def _chosen(self, module: nn.Module, x: Tensor) -> Tensor | None:
        points = places_of(module, x)
        return (
            None if self.places is None or self.places >= points else spread(points, self.places).to(x.device)
        )


def _add(sums: dict[str, Moments], name: str, rows_: Tensor) -> None:
    part = Moments.of(rows_)
    sums[name] = sums[name] + part if name in sums else part


class _NormCheck:
    """Whether the first batch norm sees what its running statistics were taken from."""

    def __init__(self) -> None:
        self.first: nn.Module | None = None
        self.sums: Tensor | None = None

    def reads(self, module: nn.Module, args: Any) -> None:
        """Add up the batch if this is the first norm of the network (a hook before each of them)."""
        self.first = self.first or module
        if module is self.first:
            x = args[0].transpose(0, 1).flatten(1).double()
            ones = torch.full((len(x),), float(x.shape[1]), dtype=torch.float64, device=x.device)
            part = torch.stack([ones, x.sum(1), x.square().sum(1)])
            self.sums = part if self.sums is None else self.sums + part

    def warnings(self) -> tuple[str, ...]:
        """One sentence with both numbers where they disagree."""
        if self.sums is None or self.first is None:
            return ()
        mean = self.sums[1] / self.sums[0]
        var = self.sums[2] / self.sums[0] - mean.square()
        kept_mean, kept_var = self.first.get_buffer("running_mean"), self.first.get_buffer("running_var")
        return disagreement(mean, var, kept_mean, kept_var)


def disagreement(mean: Tensor, var: Tensor, kept_mean: Tensor, kept_var: Tensor) -> tuple[str, ...]:
    """One sentence with both numbers where the data and a batch norm's running statistics disagree.

    They do where the means differ by half a deviation, averaged over the channels, or the variances by a
    factor of 2, as a geometric mean.

    Example:
        >>> one = torch.ones(2)
        >>> disagreement(one, one, one, one), len(disagreement(50 * one, one, one, one))
        ((), 1)
    """
    size = kept_var.double().clamp_min(1e-12)
    far = float(((mean - kept_mean.double()).abs() / size.sqrt()).mean())
    ratio = float((var.double().clamp_min(1e-12) / size).log().mean().exp())
    if far <= _FAR and 1 / _RATIO <= ratio <= _RATIO:
        return ()
    return (
        "the data do not look like those the network was trained on: at its first batch norm the mean is "
        f"{float(mean.mean()):.3g} here and {float(kept_mean.mean()):.3g} in the network, the variance "
        f"{float(var.mean()):.3g} here and {float(kept_var.mean()):.3g} in the network; check the normalisation.",
    )
