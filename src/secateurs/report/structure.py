"""The structure of a network, for people: what is coupled, through what, what may not leave and why."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from secateurs.contracts import Group
from secateurs.graph import Graph, trace
from secateurs.report.costs import count_costs


@dataclass(frozen=True)
class GroupInfo:
    """One group: the layers that make its channels, those that go along, those that read them.

    `params` and `macs` are those of the layers that make or carry the channels, so that the sum over the
    groups leaves out only what is in no group.
    """

    name: str
    size: int
    locked: str | None
    producers: tuple[str, ...]
    carriers: tuple[str, ...]
    consumers: tuple[str, ...]
    through: tuple[str, ...]
    params: int
    macs: int


@dataclass(frozen=True)
class Structure:
    """All groups of a network, its costs, and the layers that are in no group with the reason."""

    input_shape: tuple[int, ...]
    params: int
    macs: int
    groups: tuple[GroupInfo, ...]
    untouched: Mapping[str, str]
    uncounted: Mapping[str, int]

    def to_json(self, model: str) -> str:
        """What `secateurs inspect --json` writes."""
        return json.dumps({"model": model, **dataclasses.asdict(self)}, indent=2) + "\n"


def structure(model: nn.Module, example: Tensor) -> Structure:
    """Trace a network and count what its groups cost.

    Args:
        model: The network, left as it was.
        example: One input.

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
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters(remove_duplicate=False)}
    groups = tuple(_info(group, graph, sizes) for group in graph.groups)
    untouched = dict(graph.untouched)
    return Structure(tuple(example.shape), costs.params, costs.macs, groups, untouched, dict(costs.uncounted))


def _info(group: Group, graph: Graph, sizes: Mapping[str, int]) -> GroupInfo:
    """A layer whose output channels lie in several groups counts in each by its share of positions."""
    params = macs = 0.0
    by_layer = graph.costs.macs_by_layer()
    for slot in (*group.slots_as("producer"), *group.slots_as("carrier")):
        share = slot.positions.size / graph.shapes[slot.tensor][slot.axis]
        params += share * sizes.get(slot.tensor, 0)
        if slot.tensor.endswith("weight"):
            macs += share * by_layer.get(_layer(slot.tensor), 0)
    producers, carriers, consumers = (
        tuple(dict.fromkeys(_layer(slot.tensor) for slot in group.slots_as(role)))
        for role in ("producer", "carrier", "consumer")
    )
    return GroupInfo(
        group.name,
        group.size,
        group.locked,
        producers,
        tuple(name for name in carriers if name not in producers),
        consumers,
        group.through,
        round(params),
        round(macs),
    )


def _layer(tensor: str) -> str:
    return tensor.rpartition(".")[0] or tensor
