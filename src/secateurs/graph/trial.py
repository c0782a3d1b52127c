"""Find out by trying whether the model's Python code follows smaller channel counts.

A captured graph holds numbers where the code may have held expressions. So a copy of the model is made
on the meta device (shapes only, no arithmetic, no memory) with a part of every group gone, and run.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from secateurs.contracts import Example, Group, IntArray
from secateurs.graph.places import location_of
from secateurs.graph.slices import Keep, Shapes, kept_positions
from secateurs.layers.cut import Attributes, cut
from secateurs.network.chance import WithoutChance
from secateurs.network.shapes import Quick
from secateurs.running.examples import as_arguments, outputs

Attribute = Callable[[Keep], Attributes]


@dataclass(frozen=True)
class Failure:
    """What went wrong in a trial, and where in the code."""

    message: str
    where: str = ""

    def __str__(self) -> str:
        return f"the code at {self.where} needs the full size: {self.message}" if self.where else self.message


@dataclass
class Trial:
    """Runs copies of a model with units removed, on every example, in evaluation and (by `modes`) in training.

    `expected` holds the shapes of the whole model's outputs where they have been seen on shapes alone.
    """

    model: nn.Module
    examples: Sequence[Example]
    shapes: Shapes
    modes: Sequence[bool] = (False,)
    expected: dict[tuple[int, bool], list[tuple[int, ...]]] = field(default_factory=dict)
    meta: bool = True

    def __post_init__(self) -> None:
        self.kinds = [(i, mode) for i in range(len(self.examples)) for mode in self.modes]
        try:
            self.expected = {kind: self.expected.get(kind) or self._run(*kind, {}, {}) for kind in self.kinds}
        except Exception:  # code that looks at numbers cannot run on shapes alone
            self.meta = False
            self.expected = {kind: self._run(*kind, {}, {}) for kind in self.kinds}

    def run(self, groups: Sequence[Group], attributes: Attribute) -> Failure | None:
        """Remove about three eighths of every given group; None if the model runs and keeps its shapes."""
        keep = {g.name: kept_in_trial(g.size) for g in groups}
        slices = kept_positions(groups, keep, self.shapes)
        for kind in self.kinds:
            try:
                shapes = self._run(*kind, slices, attributes(keep))
            except Exception as error:
                first = (str(error).strip() or type(error).__name__).splitlines()[0]
                return Failure(first[:160], location_of(error))
            if not self._as_expected(shapes, kind):
                return Failure("the output changes its shape")
        return None

    def _as_expected(self, shapes: list[tuple[int, ...]], kind: tuple[int, bool]) -> bool:
        """The same shapes; where numbers decide them (detections), the same numbers of axes."""
        if self.meta:
            return shapes == self.expected[kind]
        return [len(s) for s in shapes] == [len(s) for s in self.expected[kind]]

    def _run(
        self, example: int, training: bool, slices: Any, attributes: Attributes
    ) -> list[tuple[int, ...]]:
        small = cut(self.model, slices, attributes, _to_meta if self.meta else None)
        small.train(training)
        args, kwargs = as_arguments(self.examples[example])
        args, kwargs = pytree.tree_map(_to_meta if self.meta else _cloned, (args, kwargs))
        if training:
            args, kwargs = twice((args, kwargs))
        quick = Quick() if self.meta else nullcontext()  # type: ignore[no-untyped-call]
        with torch.no_grad(), WithoutChance(), quick:
            out = outputs(small, args, kwargs)
        return [tuple(leaf.shape) for leaf in out]


def _to_meta(item: Any) -> Any:
    return item.to("meta") if isinstance(item, Tensor) else item


def _cloned(item: Any) -> Any:
    return item.clone() if isinstance(item, Tensor) else item


def twice(example: Example) -> Any:
    """Every tensor of an example twice along its first axis: batch norm does not train on one sample.

    Example:
        >>> twice((torch.zeros(1, 3), 2))[0].shape
        torch.Size([2, 3])
    """
    return pytree.tree_map(
        lambda x: torch.cat([x, x]) if isinstance(x, Tensor) and x.dim() > 0 else x, example
    )


def kept_in_trial(size: int) -> IntArray:
    """An odd share of the units, scattered, so that literal sizes do not fit by chance."""
    gone = min(size - 1, max(1, round(size * 0.37)))
    return np.sort(np.random.default_rng(size).permutation(size)[gone:])


def culprits(
    groups: Sequence[Group],
    test: Callable[[Sequence[Group]], Failure | None],
    suspects: Callable[[Failure], Collection[str]] = lambda failure: (),
) -> Generator[tuple[Group, Failure], bool | None, None]:
    """The groups to leave whole so that all others pass together, one by one.

    Groups are let in by halves, next to those that have passed already, so that those that only fail
    together are found too. Cost: about 2 c log2(n) tests for c culprits of n groups; the caller may stop at any.

    Args:
        groups: Those to let in.
        test: None where groups pass together, otherwise what went wrong.
        suspects: Names of the groups that a failure points at; they are let in last.

    Yields:
        A group and why it has to stay whole. Sending True back tries it again: what failed has been mended.
    """
    good: list[Group] = []
    waiting: list[list[Group]] = [list(groups)]
    while waiting:
        some = waiting.pop()
        failure = test([*good, *some]) if some else None
        if failure is None:
            good.extend(some)
        elif len(some) == 1:
            if (yield some[0], failure):
                waiting.append(some)
        else:
            named = set(suspects(failure))
            last = [g for g in some if g.name in named]
            first = [g for g in some if g.name not in named]
            if not last or not first:
                first, last = some[: len(some) // 2], some[len(some) // 2 :]
            waiting.extend([last, first])
