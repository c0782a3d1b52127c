"""The structure of a network, for people: what is coupled, through what, what may not leave and why."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from secateurs.graph import Graph, trace
from secateurs.graph.attribution import Spent, attribute, removable
from secateurs.graph.described import GroupInfo, described
from secateurs.meters.costs import count_costs


@dataclass(frozen=True)
class Structure:
    """All groups of a network, its costs, and the layers that are in no group with the reason.

    The `params` and `macs` of `groups` and `others` add up to what the network costs. `peak_elements` are alive
    at once for one sample (see `graph.memory.ActivationMemory`).
    """

    input_shape: tuple[int, ...]
    params: int
    macs: int
    groups: tuple[GroupInfo, ...]
    untouched: Mapping[str, str]
    uncounted: Mapping[str, int]
    others: Mapping[str, Spent]
    share: str
    more_inputs: tuple[tuple[int, ...], ...] = ()
    peak_elements: int | None = None

    def to_json(self, model: str) -> str:
        """What `secateurs inspect --json` writes."""
        return json.dumps({"model": model, **dataclasses.asdict(self)}, indent=2) + "\n"


def structure(model: nn.Module, example: Tensor | tuple[Tensor, ...]) -> Structure:
    """Trace a network and count what its groups cost.

    Args:
        model: The network, left as it was.
        example: One input, or a tuple of one for each argument of `forward`.

    Raises:
        CaptureError: The model could not be followed at all.

    Example:
        >>> import torch
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 3))
        >>> first, last = structure(net, torch.zeros(1, 3, 8, 8)).groups
        >>> first.producers, first.carriers, first.consumers, first.params, first.macs
        (('0',), ('1',), ('3',), 240, 7776)
        >>> last.locked
        'is an output of the model'
    """
    graph = trace(model, example)
    costs = count_costs(model, example)
    first, *others = (tuple(x.shape) for x in ((example,) if isinstance(example, Tensor) else example))
    return Structure(
        first,
        costs.params,
        costs.macs,
        described(graph),
        dict(graph.untouched),
        dict(costs.uncounted),
        dict(attribute(graph).others),
        share_line(graph),
        tuple(others),
        None if graph.memory is None else graph.memory.peak(),
    )


def share_line(graph: Graph) -> str:
    """How much of the multiply-adds can leave at all, and what holds the rest, in one line.

    Example:
        >>> import torch
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 1), nn.GroupNorm(1, 8), nn.Conv2d(8, 4, 1))
        >>> share_line(trace(net, torch.zeros(1, 3, 8, 8)))[:72]
        '0 % of the multiply-adds are in layers that can become smaller; 57 % in '
    """
    found = removable(graph)
    parts = [
        f"{found.free:.0%} of the multiply-adds are in layers that can become smaller".replace("%", " %", 1)
    ]
    for reason, (share, count) in sorted(found.locked.items(), key=lambda item: -item[1][0]):
        parts.append(f"{100 * share:.0f} % in {count} group{'s' * (count > 1)} locked because it {reason}")
    if found.elsewhere > 0:
        parts.append(f"{100 * found.elsewhere:.0f} % in no group")
    return "; ".join(parts)
