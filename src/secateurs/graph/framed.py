"""The structure of a network in frames: only what lies between the 1x1 convolutions may leave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from secateurs.contracts import Example, FloatArray, Group, IntArray
from secateurs.errors import InputError
from secateurs.graph.costs import CostModel
from secateurs.graph.trace import Graph
from secateurs.layers.frame import (
    CONV,
    ENTER,
    LEAVE,
    cheapest_fold,
    fold_frames,
    fold_weight,
    frameable,
    insert_frames,
)
from secateurs.running.eval_mode import evaluating
from secateurs.running.examples import call

_NOTHING = (
    "frame: this network has no plain two-dimensional convolution larger than 1x1, beside the first, whose channels "
    "could leave within a frame; prune it without frames."
)
_OUTSIDE = "lies outside the frames, so its width stays"


@dataclass(frozen=True)
class Frame:
    """One framed convolution: the indices of its two groups (-1 where a side has none), and its layers' costs.

    `macs` and `params` are those of `enter`, `conv` and `leave` before anything is removed.
    """

    name: str
    entering: int
    leaving: int
    macs: tuple[float, float, float]
    params: tuple[float, float, float]


@dataclass(frozen=True)
class FramedCosts:
    """Costs of a framed network in which every frame is folded where that is cheaper.

    With all units kept every frame folds back into its convolution, so `macs(sizes)` is that of the plain
    network, and so shares are shares of the plain network.
    """

    base: CostModel
    frames: tuple[Frame, ...]

    @property
    def sizes(self) -> IntArray:
        """Units of every group."""
        return self.base.sizes

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the groups."""
        return self.base.names

    def macs(self, keep: IntArray | None = None) -> int:
        """Multiply-adds of one example when group g keeps keep[g] units."""
        return self.base.macs(keep) - round(sum(self._saved(f, keep)[0] for f in self.frames))

    def params(self, keep: IntArray | None = None) -> int:
        """Number of parameters."""
        return self.base.params(keep) - round(sum(self._saved(f, keep)[1] for f in self.frames))

    def weighted(self, weights: Mapping[str, float], keep: IntArray | None = None) -> float:
        """Sum of the lengths of the parameters by weight, of the network in frames."""
        return self.base.weighted(weights, keep)

    def macs_by_layer(self, keep: IntArray | None = None) -> dict[str, int]:
        """Multiply-adds by layer, frames unfolded."""
        return self.base.macs_by_layer(keep)

    def macs_per_unit(self, keep: IntArray | None = None) -> FloatArray:
        """Multiply-adds that the next unit of every group takes along, frames unfolded, shape (groups,)."""
        return self.base.macs_per_unit(keep)

    def params_per_unit(self, keep: IntArray | None = None) -> FloatArray:
        """Parameters that the next unit of every group takes along, frames unfolded, shape (groups,)."""
        return self.base.params_per_unit(keep)

    def macs_by_group(self, terms: IntArray | None = None) -> tuple[FloatArray, dict[str, float]]:
        """Multiply-adds by group and, of the others, by layer; frames unfolded."""
        return self.base.macs_by_group(terms)

    def params_by_group(self) -> tuple[FloatArray, dict[str, float]]:
        """Parameters by group and, of the others, by name; frames unfolded."""
        return self.base.params_by_group()

    def terms_within(self, groups: np.ndarray) -> np.ndarray:
        """Whether each term shrinks with some of these groups; frames unfolded."""
        return self.base.terms_within(groups)

    def folds(self, keep: IntArray) -> dict[str, str]:
        """Which frames are folded, and how."""
        found = {f.name: cheapest_fold(f.macs, *self._shares(f, keep))[0] for f in self.frames}
        return {name: fold for name, fold in found.items() if fold}

    def _shares(self, frame: Frame, keep: IntArray | None) -> tuple[float, float]:
        counts = self.sizes if keep is None else np.asarray(keep)

        def share(index: int) -> float:
            return float(counts[index] / self.sizes[index]) if index >= 0 else 1.0

        return share(frame.entering), share(frame.leaving)

    def _saved(self, frame: Frame, keep: IntArray | None) -> tuple[float, float]:
        a, b = self._shares(frame, keep)
        fold, macs = cheapest_fold(frame.macs, a, b)
        return _unfolded(frame.macs, a, b) - macs, _unfolded(frame.params, a, b) - _params(
            frame.params, fold, a, b
        )


@dataclass(frozen=True, eq=False)
class Framed:
    """The form of a network in frames (see `Form`): they are put around it before a cut, and folded after it."""

    model: nn.Module
    names: tuple[str, ...]
    costs: FramedCosts

    @cached_property
    def original(self) -> nn.Module:
        """The network without frames, which are still identities in `model`."""
        return fold_frames(self.model, dict.fromkeys(self.names, "both"))

    @property
    def sides(self) -> tuple[tuple[int, int], ...]:
        """Groups before and behind each framed convolution."""
        return tuple((f.entering, f.leaving) for f in self.costs.frames if f.entering >= 0 and f.leaving >= 0)

    @property
    def before(self) -> Mapping[str, tuple[str, ...]]:
        """Frames are put around these convolutions."""
        return {"frames": self.names}

    def after(self, keep: IntArray) -> Mapping[str, Mapping[str, str]]:
        """Frames are folded where that is cheaper."""
        folds = self.costs.folds(keep)
        return {"folds": folds} if folds else {}

    def home(self, tensor: str) -> str:
        """The three weights of a frame are factors of one."""
        frame, _, part = tensor.removesuffix(".weight").rpartition(".")
        return f"{frame}.weight" if frame in self.names and part in (ENTER, CONV, LEAVE) else tensor

    def factors(self, tensor: str) -> tuple[str, ...]:
        """The weights of the frame that stands for a convolution."""
        name = tensor.removesuffix(".weight")
        return (
            tuple(f"{name}.{part}.weight" for part in (ENTER, CONV, LEAVE))
            if name in self.names and name != tensor
            else (tensor,)
        )

    def product(self, factors: Sequence[Tensor]) -> Tensor:
        """The k x k weight of a frame's three, or the one weight itself."""
        return fold_weight(*factors) if len(factors) > 1 else factors[0]


def in_frames(model: nn.Module, example: Example) -> tuple[nn.Module, tuple[str, ...]]:
    """The network with frames around each of its k x k convolutions but the first, and their names.

    Raises:
        InputError: there is no such convolution, or the network does not run with frames.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 2, 3))
        >>> in_frames(net, torch.zeros(1, 1, 8, 8))[1]
        ('2',)
    """
    names = frameable(model)
    if not names:
        raise InputError(_NOTHING)
    whole = insert_frames(model, names)
    try:
        with evaluating(whole), torch.no_grad():
            call(whole, example)
    except AttributeError as error:
        raise InputError(
            f"frame: the network's code looks into its convolutions ({error}), so nothing can be put around them; "
            "prune it without frames."
        ) from error
    return whole, names


def framed(graph: Graph, names: tuple[str, ...]) -> Graph:
    """The graph of a network that `names` were framed in, with everything outside the frames locked.

    Raises:
        InputError: nothing can be removed between the 1x1 convolutions.
    """
    inner = {f"{name}.{ENTER}.weight" for name in names} | {f"{name}.{CONV}.weight" for name in names}
    groups = tuple(g if _inside(g, inner) else replace(g, locked=g.locked or _OUTSIDE) for g in graph.groups)
    if all(g.locked for g in groups):
        raise InputError(_NOTHING)
    assert isinstance(graph.costs, CostModel)
    frames = tuple(_frame(graph, name, groups) for name in names)
    costs = FramedCosts(graph.costs, frames)
    return replace(graph, groups=groups, costs=costs, form=Framed(graph.model, names, costs), memory=None)


def about_frames(names: Sequence[str], folds: Mapping[str, str]) -> str:
    """What has become of the frames, in words.

    Example:
        >>> about_frames(["a", "b", "c"], {"a": "both", "b": "leave"})
        'frames: around 3 convolutions; 1 folded away again and 1 in part, as that is cheaper'
    """
    whole = sum(fold == "both" for fold in folds.values())
    return (
        f"frames: around {len(names)} convolutions; {whole} folded away again and {len(folds) - whole} in part, as "
        "that is cheaper"
    )


def _inside(group: Group, inner: set[str]) -> bool:
    producers = {s.tensor for s in group.slots_as("producer") if not s.tensor.endswith(".bias")}
    return producers <= inner and len(producers) == 1


def _frame(graph: Graph, name: str, groups: tuple[Group, ...]) -> Frame:
    by_layer = graph.costs.macs_by_layer()
    layers = [f"{name}.{part}" for part in (ENTER, CONV, LEAVE)]
    macs = [float(by_layer.get(layer, 0)) for layer in layers]
    params = [float(np.prod(graph.shapes[f"{layer}.weight"])) for layer in layers]
    at: Mapping[str, int] = {
        s.tensor: i for i, g in enumerate(groups) if g.locked is None for s in g.slots_as("producer")
    }
    entering, leaving = (at.get(f"{layer}.weight", -1) for layer in layers[:2])
    return Frame(name, entering, leaving, (macs[0], macs[1], macs[2]), (params[0], params[1], params[2]))


def _unfolded(whole: tuple[float, float, float], a: float, b: float) -> float:
    return a * whole[0] + a * b * whole[1] + b * whole[2]


def _params(whole: tuple[float, float, float], fold: str, a: float, b: float) -> float:
    enter, conv, leave = whole
    folded = {
        "both": conv,
        "leave": a * (enter + conv),
        "enter": b * (conv + leave),
        "": _unfolded(whole, a, b),
    }
    return folded[fold]
