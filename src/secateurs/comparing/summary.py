"""Statistics of a comparison: mean and deviation over seeds, and paired differences against baselines."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from secateurs.comparing.records import Scored
from secateurs.contracts import FloatArray

Way: TypeAlias = tuple[str, str, float, str]
"""Method, budget, share and repair."""


@dataclass(frozen=True)
class Difference:
    r"""How much more often one way is right than a baseline at the same budget and with the same repair.

    Attributes:
        baseline: The other method.
        value: Mean over seeds of one less mean over seeds (draws) of the other, a share of 1.
        images: Its standard error over test sets: the same images were put to both.
        seeds: Its standard error over the seeds that were tried; 0 where neither draws, None where one that draws
            was tried with one seed only.
        by_seed: The difference of every seed: to the baseline's cell of that seed where it draws with the same ones,
            else to its mean.
        above: How many of the baseline's draws lie below the mean of this way.
        draws: How many there are.
    """

    baseline: str
    value: float
    images: float
    seeds: float | None
    by_seed: Mapping[int, float]
    above: int
    draws: int

    @property
    def error(self) -> float:
        """Both standard errors together, as far as they are known."""
        return math.hypot(self.images, self.seeds or 0.0)


@dataclass(frozen=True)
class Summary:
    """One method at one budget with one repair, over all its seeds.

    Attributes:
        method: The name.
        allocate: The name.
        budget: The name of the target, with `share`.
        share: What was to stay, a share; above 1 the most itself.
        repair: The name.
        seeds: Those that could be scored.
        failed: Why the others could not, by seed.
        mean: Mean accuracy over the seeds, a share of 1; None where all failed.
        deviation: Sample deviation over the seeds; None where there are fewer than two.
        error: Standard error of the mean over test sets.
        macs: Mean share of the multiply-adds that stays.
        params: Mean share of the parameters that stays.
        proof: The largest relative difference of all proofs.
        against: Differences, by baseline.
    """

    method: str
    allocate: str
    budget: str
    share: float
    repair: str
    seeds: tuple[int, ...]
    failed: Mapping[int, str]
    mean: float | None = None
    deviation: float | None = None
    error: float | None = None
    macs: float | None = None
    params: float | None = None
    proof: float | None = None
    against: Mapping[str, Difference] | None = None


def summaries(
    rows: Sequence[Scored], original: Scored, against: Sequence[str], drawing: Sequence[str] = ()
) -> tuple[Summary, ...]:
    """Sum up cells, in the order in which they come.

    Args:
        rows: All cells.
        original: The unpruned network.
        against: The baselines.
        drawing: Methods whose results depend on the seed even where one seed was tried.
    """
    several = by_way(rows)
    return tuple(
        _summary(
            group,
            original,
            {name: several.get((name, *place[1:]), []) for name in against if name != place[0]},
            drawing,
        )
        for place, group in several.items()
    )


def by_way(rows: Sequence[Scored]) -> dict[Way, list[Scored]]:
    """Cells that differ in their seed only, together, in the order in which they come."""
    several: dict[Way, list[Scored]] = {}
    for row in rows:
        several.setdefault((row.method, row.budget, row.share, row.repair), []).append(row)
    return several


def plain_summary(group: Sequence[Scored]) -> Summary:
    """Mean and deviation of the accuracies of cells that differ in their seed only."""
    first, done = group[0], _done(group)
    accuracy = _accuracies(done)
    return Summary(
        first.method,
        first.allocate,
        first.budget,
        first.share,
        first.repair,
        tuple(row.seed for row in done),
        {row.seed: row.reason for row in group if row.reason is not None},
        mean=float(accuracy.mean()) if done else None,
        deviation=float(accuracy.std(ddof=1)) if len(done) > 1 else None,
    )


def _summary(
    group: Sequence[Scored],
    original: Scored,
    baselines: Mapping[str, Sequence[Scored]],
    drawing: Sequence[str],
) -> Summary:
    done, plain = _done(group), plain_summary(group)
    if not done:
        return plain
    proofs = [row.proof.max_rel_diff for row in done if row.proof is not None]
    return replace(
        plain,
        error=standard_error(_marks(done).mean(axis=0)),
        macs=float(np.mean([row.macs or 0 for row in done])) / max(1, original.macs or 0),
        params=float(np.mean([row.params or 0 for row in done])) / max(1, original.params or 0),
        proof=max(proofs, default=None),
        against={
            name: difference(name, done, _done(other), drawing)
            for name, other in baselines.items()
            if _done(other)
        },
    )


def difference(
    name: str, ours: Sequence[Scored], theirs: Sequence[Scored], drawing: Sequence[str] = ()
) -> Difference:
    r"""The paired difference between two ways, each of one seed or several.

    With $\bar s_i$ and $\bar t_i$ the shares of seeds with which test sample i of n is answered rightly,

    .. math:: d = \frac{1}{n} \sum_i (\bar s_i - \bar t_i), \quad
              \mathrm{se}^2 = \frac{1}{n (n - 1)} \sum_i (\bar s_i - \bar t_i - d)^2

    which for one seed each is McNemar's: b + c answers change, and $(n - 1)\, n\, \mathrm{se}^2 = b + c - (b - c)^2 /
    n$. Over seeds the variance is that of the two means, $\sigma_s^2 / S + \sigma_t^2 / T$; where both were tried with
    the same seeds, and draw, it is that of their differences.
    """
    gap = _marks(ours).mean(axis=0) - _marks(theirs).mean(axis=0)
    one, other = ({row.seed: row.accuracy or 0.0 for row in rows} for rows in (ours, theirs))
    mean = float(np.mean(list(other.values())))
    paired = len(one) > 1 and set(one) == set(other)
    by_seed = {seed: value - (other[seed] if paired else mean) for seed, value in one.items()}
    below = sum(value < float(np.mean(list(one.values()))) for value in other.values())
    return Difference(
        name,
        float(gap.mean()),
        standard_error(gap),
        _over_seeds(ours, theirs, list(by_seed.values()) if paired else None, drawing),
        by_seed,
        below,
        len(other),
    )


def _over_seeds(
    ours: Sequence[Scored],
    theirs: Sequence[Scored],
    paired: list[float] | None,
    drawing: Sequence[str],
) -> float | None:
    if paired is not None:
        return float(np.std(paired, ddof=1)) / math.sqrt(len(paired))
    total = 0.0
    for rows in (ours, theirs):
        if len(rows) > 1:
            total += float(_accuracies(rows).var(ddof=1)) / len(rows)
        elif rows[0].method in drawing:
            return None
    return math.sqrt(total)


def standard_error(values: FloatArray) -> float:
    """Standard error of a mean, from the values (n,) that it is taken of; 0 for one.

    Example:
        >>> round(standard_error(np.array([1.0, 0.0, 0.0, -1.0])), 4)
        0.4082
    """
    return float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else 0.0


def _done(rows: Sequence[Scored]) -> list[Scored]:
    return [row for row in rows if row.right is not None]


def _accuracies(rows: Sequence[Scored]) -> FloatArray:
    return np.array([row.accuracy or 0.0 for row in rows])


def _marks(rows: Sequence[Scored]) -> FloatArray:
    """Scores of every sample, shape (seeds, n)."""
    return np.stack(list(_values(rows)))


def _values(rows: Sequence[Scored]) -> Iterator[FloatArray]:
    for row in rows:
        assert row.right is not None
        yield row.right.values()
