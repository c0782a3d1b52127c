"""One pass in which a method looks at the feature maps of every group: sums that do not grow with the data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from secateurs.contracts import Group, Loader, Progress
from secateurs.data.batches import batches, count
from secateurs.errors import InputError
from secateurs.layers.feature_maps import FeatureMaps, hook_points
from secateurs.measure import MapMean
from secateurs.running.eval_mode import device_of, evaluation
from secateurs.running.together import gathered, place, summed

Look = Callable[[FeatureMaps], MapMean | None]
_Sums: TypeAlias = "dict[tuple[str, str], MapMean]"
_STAGE = "look at feature maps"
_FEW = 4  # samples that tell how long the others take


def glances(
    model: nn.Module,
    groups: Sequence[Group],
    data: Loader,
    look: Look,
    *,
    gradients: bool = False,
    limit: int | None = None,
    batch_size: int = 64,
    processes: bool = False,
    progress: Progress | None = None,
) -> Mapping[str, Tensor | None]:
    """What `look` makes of each group's maps, as the mean over samples, summed over the layers that read them.

    Args:
        model: The network, left as it was.
        groups: Whose maps.
        data: A little training data; labels are used with `gradients` only, and then not necessarily.
        look: A batch to a sum over its samples; None where it does not apply.
        gradients: Also give the gradient of the cross-entropy (to the labels, or without any to the
            network's own decisions).
        limit: Use at most this many samples.
        batch_size: Samples a pass.
        processes: Whether all processes of `torch.distributed` call this with the same network and the same data: each
            then looks at its part of the batches, and all get the mean over all, by all-reduce. The sums are those of
            one process in another order, equal to it up to rounding.
        progress: Told of the samples, the first few before all others, so that it knows how long the rest takes; a
            look of minutes is then no surprise.

    Returns:
        One tensor a group; None for groups that `look` says nothing of, or that no plain layer reads or makes.

    Raises:
        InputError: No data, or maps that are not finite.

    Cost:
        One forward pass (and backward, with `gradients`) and one `look` a batch, layer and group. With `progress` and
        more than one batch, five samples are looked at once more.
    """
    sums: _Sums = {}

    def see(name: str, glance: FeatureMaps) -> None:
        made = look(glance)
        if made is not None:
            key = (name, glance.slot.tensor)
            sums[key] = sums[key] + made if key in sums else made

    whole, done = min(count(data) or limit or 0, limit or 10**12), 0
    with evaluation(model), _watching(model, groups, see, gradients), torch.set_grad_enabled(gradients):
        rank, world = place() if processes else (0, 1)
        for inputs, labels in islice(batches(data, batch_size, limit=limit), rank, None, world):
            placed = tuple(x.to(device_of(model)) for x in inputs)
            if progress is not None and not done and whole > len(placed[0]) > _FEW:
                _run(model, tuple(x[:1] for x in placed), None, gradients)  # what is slow but once
                progress(_STAGE, 0, whole)
                _run(model, tuple(x[:_FEW] for x in placed), None, gradients)
                progress(_STAGE, _FEW, whole)
                sums.clear()
            _run(model, placed, labels, gradients)
            done += len(placed[0])
            if progress is not None:
                progress(_STAGE, done, max(whole, done))
    sums = _of_all(sums, device_of(model)) if processes else sums
    result: dict[str, Tensor | None] = dict.fromkeys(group.name for group in groups)
    for (name, _), part in sums.items():
        before = result[name]
        result[name] = part.mean() if before is None else before + part.mean()
    return result


def _of_all(sums: _Sums, device: torch.device) -> _Sums:
    """The sums over all processes, of which some may have seen no batch."""
    forms: dict[tuple[str, str], Any] = {}
    for one in gathered(
        {key: (x.total.shape, x.total.dtype, x.total.device.type) for key, x in sums.items()}
    ):
        forms.update(one)
    found = {}
    for key in sorted(forms):
        shape, kind, where = forms[key]
        mine = sums.get(
            key, MapMean(torch.zeros(shape, dtype=kind, device="cpu" if where == "cpu" else device), 0)
        )
        images = summed(torch.tensor([mine.images]))
        found[key] = MapMean(summed(mine.total), int(images))
    return found


def _run(model: nn.Module, inputs: tuple[Tensor, ...], labels: Tensor | None, gradients: bool) -> None:
    if gradients:
        _loss(model, inputs, labels).backward()  # type: ignore[no-untyped-call]
        model.zero_grad(set_to_none=True)
    else:
        model(*inputs)


def _loss(model: nn.Module, inputs: tuple[Tensor, ...], labels: Tensor | None) -> Tensor:
    placed = tuple(x.detach().requires_grad_() if x.is_floating_point() else x for x in inputs)
    out: Any = model(*placed)
    while not isinstance(out, Tensor):
        out = next(iter(out.values() if isinstance(out, Mapping) else out))
    if out.dim() < 2:
        raise InputError("taylor: the network's output has no class axis; use a method that needs no loss.")
    if labels is not None and labels.dim() == 1 and out.dim() == 2:
        target = labels.to(out.device)
    else:
        target = out.detach().argmax(dim=1)
    return F.cross_entropy(out, target, reduction="sum")


@contextmanager
def _watching(
    model: nn.Module, groups: Sequence[Group], see: Callable[[str, FeatureMaps], None], gradients: bool
) -> Iterator[None]:
    handles = []
    for group in groups:
        for layer, slot, at_input in hook_points(model, group):
            hook = _hook(group.name, slot, see, gradients, at_input)
            if at_input:
                handles.append(layer.register_forward_pre_hook(hook))
            else:
                handles.append(layer.register_forward_hook(hook))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _hook(
    name: str, slot: Any, see: Callable[[str, FeatureMaps], None], gradients: bool, at_input: bool
) -> Any:
    def hook(layer: nn.Module, args: tuple[Any, ...], *output: Any) -> None:
        x = args[0] if at_input else output[0]
        if not isinstance(x, Tensor):
            return
        if not gradients:
            see(name, FeatureMaps(layer, slot, x.detach()))
        elif x.requires_grad:
            values = x.detach().clone()  # what follows may work in place
            x.register_hook(  # type: ignore[no-untyped-call]
                lambda g: see(name, FeatureMaps(layer, slot, values, g.detach()))
            )

    return hook
