"""verify(): the proof of a plan that has been carried out, or of given positions."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from secateurs.checks import (
    Form,
    any_flag,
    any_number,
    any_prose,
    any_text,
    any_whole,
    check_kind,
    check_model,
    check_seed,
    list_of,
    record,
    shown,
)
from secateurs.contracts import Example, IntArray
from secateurs.errors import InputError, MismatchError
from secateurs.graph import Graph, trace
from secateurs.graph.trace import Normalised
from secateurs.plans import keep_of
from secateurs.surgery.plan import Plan
from secateurs.surgery.verify import Verification
from secateurs.surgery.verify import verify as compare

Positions = Mapping[str, Mapping[int, IntArray]]


def verify(
    model: nn.Module,
    small: nn.Module,
    plan: Plan | Positions,
    example: Example,
    *,
    kept: Positions | None = None,
    normalised: Normalised = "lock",
    seed: int = 0,
) -> Verification:
    """Compare a smaller network, before any repair, with the original in which the removed channels are silenced.

    Both run in float64 on the example and on random input, and are compared at the outputs and at what every layer
    that stays reads and writes. Neither is changed. See `secateurs.surgery.verify` for how.

    Args:
        model: The original network.
        small: What `remove(model, plan)` returned.
        plan: The plan, of one round and without frames. Or positions of the consumers that read removed channels, by
            tensor and axis, as `Graph.silenced` gives them.
        example: One input, as for `trace`; a list of several.
        kept: With positions: those that stay on every axis of every tensor, as `Graph.slices` gives them.
        normalised: With a plan: as it was traced with.
        seed: Of the random input.

    Returns:
        Passed where the largest difference is within rounding and something was compared; prints as one line.

    Raises:
        InputError: An argument is not what it has to be, or the plan is of several rounds or has frames.
        MismatchError: The plan was made for another network.
        CaptureError: The model does not run on the example.

    Example:
        >>> import torch
        >>> import secateurs as sc
        >>> model, example = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2)), torch.ones(1, 3)
        >>> plan = sc.plan(sc.rank(sc.trace(model, example), sc.methods.l1_norm()), keep=0.5)
        >>> small = sc.remove(model, plan)
        >>> sc.verify(model, small, plan, example).passed
        True
        >>> torch.nn.init.normal_(small[2].weight) is small[2].weight  # somebody changes it
        True
        >>> sc.verify(model, small, plan, example).passed
        False
    """
    wanted = "what secateurs.plan makes, or positions by tensor and axis, as Graph.silenced makes them"
    check_kind("plan", plan, (Plan, Mapping), wanted)
    if not isinstance(plan, Plan):
        return compare(model, small, plan, example, kept=kept, seed=seed)
    for network, name in ((model, "model"), (small, "small")):
        check_model(network, name)
    check_seed(seed)
    if kept is not None:
        raise InputError("kept is for positions; a plan says itself what stays: leave it out.")
    plan.check()
    _check_one_round(plan)
    graph = trace(model, example, normalised)
    _check_groups(plan, graph)
    stays = keep_of(plan)
    return compare(model, small, graph.silenced(stays), example, kept=graph.slices(stays), seed=seed)


def _check_one_round(plan: Plan) -> None:
    if any(step.frames or step.folds for step in plan.steps):
        raise InputError(
            "plan: it puts frames around convolutions and folds them, and the proof is made between the two; take "
            "the `verification` of the result of secateurs.prune."
        )
    if len(plan.steps) != 1:
        raise InputError(
            f"plan: it has {len(plan.steps)} rounds; give the plan of one round, with the network before it as model."
        )


def _check_groups(plan: Plan, graph: Graph) -> None:
    sizes = {group.name: group.size for group in graph.groups}
    for name, size in plan.sizes.items():
        if sizes.get(name) != size:
            found = f"has {sizes[name]} units" if name in sizes else "is none"
            raise MismatchError(
                f"plan: its group {shown(name)} of {size} units {found} in this network; give the network, the example "
                "and `normalised` that the plan was made with."
            )


def proof_form(*optional: str) -> Form:
    """What the outcome of a proof looks like in a file.

    Args:
        optional: Fields that may be missing.

    Example:
        >>> proof_form()({"passed": True}, "file")
        Traceback (most recent call last):
        ...
        ValueError: file lacks 'max_rel_diff'
    """
    return record(
        optional,
        passed=any_flag,
        max_rel_diff=any_number,
        tolerance=any_number,
        precision=any_text,
        inputs=list_of(any_text),
        problem=any_prose,
        places=any_whole(),
        moved=any_whole(),
        against=any_prose,
    )
