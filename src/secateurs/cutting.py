"""A traced network, and the proven removals that begin from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from torch import nn

from secateurs.allocate.sequence import Allocation
from secateurs.allocate.uniform import Uniform
from secateurs.contracts import Example, Ranking
from secateurs.errors import VerificationError
from secateurs.graph import Graph, Tracer
from secateurs.graph.convolutions import convolutions_only
from secateurs.graph.framed import about_frames, framed, in_frames
from secateurs.graph.trace import Normalised
from secateurs.methods import Method
from secateurs.planning import plan_for
from secateurs.plans import keep_of
from secateurs.recipe import Clock, Recipe
from secateurs.running.copies import copy_model
from secateurs.surgery import Plan, Verification, remove, verify
from secateurs.surgery.remove import finish
from secateurs.surgery.retrace import retrace_by_values
from secateurs.targets import Attempt, Budgeted, Budgets

_TRIES = 12
_TIGHTER = 2


@dataclass(frozen=True, eq=False)
class Traced:
    """A network with its structure, from which any number of cuts begin.

    Attributes:
        model: The network as it was given; untouched.
        example: One input, or a list of several.
        whole: The copy that is run, in frames where these are asked for.
        names: The convolutions that were framed; None without frames.
        tracer: Its captures.
        graph: Its groups.
    """

    model: nn.Module
    example: Example
    whole: nn.Module
    names: tuple[str, ...] | None
    tracer: Tracer
    graph: Graph

    @classmethod
    def of(
        cls, model: nn.Module, example: Any, normalised: Normalised = "lock", frame: bool = False
    ) -> Traced:
        """Capture a network, in frames or without, and find its groups.

        Raises:
            CaptureError: The model does not run on the example.

        Example:
            >>> import torch
            >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3))
            >>> len(Traced.of(net, torch.zeros(1, 3, 8, 8)).graph.free)
            1
        """
        whole = copy_model(model)  # whatever runs a network here, runs this one
        names = None
        if frame:
            whole, names = in_frames(whole, example)
        tracer = Tracer(whole, example, normalised)
        graph = tracer.graph()
        return cls(
            model, example, whole, names, tracer, graph if names is None else framed(graph, names=names)
        )

    def form(self, graph: Graph) -> Graph:
        """A graph that was traced anew, with what the frames mean for it."""
        return graph if self.names is None else framed(graph, names=self.names)

    def left_to(self, method: Method, graph: Graph | None = None) -> Graph:
        """The graph, or one that was traced anew, with what the method's paper does not prune locked.

        Raises:
            TargetError: Nothing else may leave.
        """
        found = self.graph if graph is None else graph
        return convolutions_only(found, method.name) if method.procedure.convolutions_only else found


@dataclass(frozen=True)
class Cut:
    """A removal: the smaller network before repair, what it was made by, and what the proof says of it."""

    small: nn.Module
    plan: Plan
    graph: Graph
    attempt: Attempt
    verification: Verification


def cut_once(recipe: Recipe, traced: Traced, ranking: Ranking, allocation: Allocation, clock: Clock) -> Cut:
    """Plan, remove and compare with the silenced original, whatever comes of that.

    Raises:
        TargetError: The target cannot be reached.
    """
    graph: Graph = ranking.graph
    attempt = recipe.attempt(ranking, allocation, traced.example)
    with clock("plan"):
        made = plan_for(recipe.target, attempt)
    with clock("remove"):
        small = remove(traced.model, made.cuts())
    with clock("verify"):
        stays = keep_of(made)
        found = verify(
            traced.whole,
            small,
            graph.silenced(stays),
            traced.example,
            kept=graph.slices(stays),
            seed=recipe.seed,
            around=traced.tracer.around,
        )
    return Cut(small, made, graph, attempt, found)


def proven(recipe: Recipe, traced: Traced, clock: Clock) -> Cut:
    """Rank, plan, remove and prove, again where the proof blames groups that are then locked.

    Raises:
        VerificationError: The smaller network is not the silenced original.
    """
    graph = traced.left_to(recipe.method)
    for _ in range(_TRIES):
        cut = cut_once(recipe, traced, *recipe.ranked(graph, clock), clock)
        if cut.verification.passed:
            return cut
        with clock("verify"):
            other = retrace_by_values(traced.tracer, keep_of(cut.plan))
        if other is None:
            break
        # Code that computes with the number of channels: what it touches is locked now.
        graph = traced.left_to(recipe.method, traced.form(other))
    raise _unproven(cut)


def _unproven(cut: Cut) -> VerificationError:
    """What to say of a removal that failed its proof."""
    return VerificationError(f"{cut.verification}. Nothing was written; please report this network.")


def finished(
    recipe: Recipe, traced: Traced, cut: Cut, clock: Clock
) -> tuple[nn.Module, Plan, tuple[str, ...]]:
    """The network of a cut as the result has it: repaired, its frames folded.

    Returns:
        The network, the plan with what repair added, and what there is to remark.
    """
    mixes = cut.attempt.mixes(cut.plan)
    small, made, remarks = recipe.repaired(
        traced.model, cut.small, cut.graph, cut.plan, clock, mixes, cut.attempt.ranking
    )
    if cut.verification.against:
        remarks = (*remarks, f"proven {cut.verification.against}: their statistics are recomputed")
    if traced.names is not None:
        small, remarks = finish(small, made), (*remarks, about_frames(traced.names, made.folds))
    return small, made, remarks


Finished: TypeAlias = tuple[nn.Module, Plan, tuple[str, ...]]
"""The network of a cut as the result has it, its plan, and remarks."""


def within_budgets(
    recipe: Recipe, traced: Traced, cut: Cut, done: Finished, clock: Clock
) -> tuple[Cut, Finished, tuple[Budgeted, ...]]:
    """A finished network that is within its budgets: where a repair has added too many biases, the cut anew.

    Raises:
        BudgetError: It still is not after two tries.
        VerificationError: A tighter removal is not the silenced original.
    """
    target = recipe.target
    assert isinstance(target, Budgets)
    for tries in range(_TIGHTER + 1):
        small, made, remarks = done
        counts = cut.graph.counts(keep_of(cut.plan))
        with clock("check"):
            found = target.report(cut.attempt, small, counts)
        if all(one.met for one in found):
            whole = (counts == cut.graph.costs.sizes).all()
            said = ("the network was within its budgets as it came, and stays whole",) if whole else ()
            return cut, (small, made, (*remarks, *said)), found
        if tries == _TIGHTER:
            break
        target = target.tightened(found)
        allocation = cut.attempt.allocate or Uniform()
        cut = cut_once(replace(recipe, target=target), traced, cut.attempt.ranking, allocation, clock)
        if not cut.verification.passed:
            raise _unproven(cut)
        done = finished(recipe, traced, cut, clock)
    raise target.missed(found)
