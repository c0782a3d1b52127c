"""Find out by values what shapes could not show: code that divides by a width, rolls by a number, ...

A removal may run, give the right shapes, and still compute something else, because Python code uses a
channel count as a number. The proof notices; here the groups to blame are found with the same proof, by
halving, locked, and the network is traced again.
"""

from __future__ import annotations

from collections.abc import Sequence

from secateurs.contracts import Group
from secateurs.errors import InputError
from secateurs.graph.slices import Keep, kept_positions, removed_positions
from secateurs.graph.trace import Graph, Tracer
from secateurs.graph.trial import Failure, culprits, kept_in_trial
from secateurs.layers.cut import cut
from secateurs.surgery.verify import NOT_FINITE, verify


def retrace_by_values(tracer: Tracer, keep: Keep) -> Graph | None:
    """Lock the groups whose removal is not silencing, by running them, and trace again.

    To be called when the proof of a removal with `keep` has failed. Every culprit is found by halving, so
    that c of n groups cost about c log2(n) proofs; the reason of the lock says what was seen.

    Args:
        tracer: The one that made the graph of `keep`.
        keep: Units that stay, by group name, as in the failed removal.

    Returns:
        A graph in which the culprits are locked (or their code read differently), or None where removing
        the units of `keep` is silencing, so that nothing was found.

    Raises:
        InputError: The original itself gives values that are not finite.

    Example:
        >>> import numpy as np, torch
        >>> from secateurs.graph import Tracer
        >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Conv2d(8, 4, 3))
        >>> tracer = Tracer(net, torch.zeros(1, 3, 8, 8))
        >>> tracer.graph().free[0].name
        '0'
        >>> retrace_by_values(tracer, {"0": np.arange(4)}) is None
        True
    """
    given = verify(tracer.model, tracer.model, {}, tracer.example, around=tracer.around)
    if given.problem == NOT_FINITE:
        raise InputError(f"model: {given.problem}. Check its weights and the example input.")
    graph = tracer.last or tracer.graph()
    groups = [g for g in graph.free if g.name in keep and len(keep[g.name]) < g.size]
    found = False
    for group, failure in culprits(groups, lambda some: _difference(tracer, graph, some, keep)):
        found = True
        if tracer.blame(group, failure, lambda some, other: _difference(tracer, other, some, {})):
            break
    return tracer.graph() if found else None


def _difference(tracer: Tracer, graph: Graph, groups: Sequence[Group], keep: Keep) -> Failure | None:
    chosen = {g.name: keep.get(g.name, kept_in_trial(g.size)) for g in groups}
    slices = kept_positions(groups, chosen, graph.shapes)
    silenced = removed_positions(groups, chosen, "consumer")
    try:
        small = cut(tracer.model, slices, graph.attributes(chosen))
        proof = verify(tracer.model, small, silenced, tracer.example, kept=slices, around=tracer.around)
    except Exception as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        return Failure(f"the network fails without these channels: {first[:160]}")
    if proof.passed:
        return None
    seen = proof.problem or f"the output moves by {proof.max_rel_diff:.1e} of its range"
    return Failure(f"the code computes something else with fewer channels: {seen}")
