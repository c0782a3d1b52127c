"""Greedy search over the whole network: again and again, the group whose next channels are missed least gives them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from secateurs.allocate.found import Check, Found, Taken
from secateurs.allocate.picks import CHOICES, Anew, Choose, InOrder, Picks
from secateurs.allocate.scoring import ERRORS, REPAIRS, ErrorKind, Repair, Scores, samples, scores_for
from secateurs.allocate.sequence import Multiple, merge_by_time
from secateurs.compensate.combination import Coefficients, Combination
from secateurs.contracts import FloatArray, IntArray, Loader, Order, Progress, Ranking
from secateurs.errors import InputError
from secateurs.methods import METHODS
from secateurs.select import coefficients_of_gram, published_omp_coefficients

Enough = Callable[[IntArray], bool]
_CHECKED = frozenset(8 * 4**k for k in range(12))  # each costs a score of every group


@dataclass(frozen=True)
class Search:
    r"""Whole-network search of Purohit et al.: k channels a step, from the group where the error stays lowest.

    Within a group the method's order decides which channels go; which group is next is found by trying, on a few
    samples of held-out training data. Groups with at most k channels left are not tried; they share what is left
    to remove when nothing else can give.

    A plain search scores every group at every step. What a group's next k channels cost changes slowly and nearly
    always upward, so here only the groups that look best are scored again, until the best of them beats what
    the others cost when last scored; each run starts where the candidate differs (`scoring.Replayed`).

    Args:
        batch: k.
        error: "divergence" of the outputs, share of wrong classes ("accuracy", as FP-OMP Search), relative error of
            the "output" (as HBGTS) or of the "layer" that reads the channels (as HBGS).
        data: Held-out training samples; `prune` fills in its own.
        images: At most so many of them.
        per: "channels" as published, or "macs": the rise of the error for what the step saves.
        repair: How kept channels stand in for removed ones while candidates are scored: "weights" by the filters,
            as the papers do and the repair of that name afterwards; "maps" by what the data make of them, which
            is near the repairs that look at data; or "none".
        lazy: False scores every group at every step. Otherwise all are scored at steps 8, 32, 128 and so on, and the
            remarks say how far the lazy choice was from the best there.
        look: So many groups, those that promise most, are scored anew at every step.
        slack: A candidate is taken when its error is at most 1 + `slack` times what the next best promises.
        choose: Which channels a group loses: "once" the next of the ranking's order; anew, on what is left, at every
            "step" (as FP-OMP Search), or when the group's "turn" has come again (as HBGS and HBGTS, which keep a
            selection until it is carried out). Anew, a plan ends with a whole step.
        coefficients: How kept channels stand in with the repair "weights": "least-squares", or as "published" by
            FP-OMP's code.
        ties: Of groups with the same error the "first" in the network is taken; or an output side before any input
            side ("outputs", as HBGS and HBGTS); or, where both sides of one layer have the same, neither of them as
            long as there is another ("neither", as FP-OMP Search).
        progress: Told of every step.

    Raises:
        InputError: A setting out of range.

    Cost:
        About one forward pass a step over `images` samples, and half a pass for each group to begin with.

    Example:
        >>> Search(batch=2, error="output")
        Search(batch=2, error='output', images=256, per='channels', ...)

    References:
        [purohit2022accurate], [purohit2024hierarchical].
    """

    batch: int = 5
    error: ErrorKind = "divergence"
    data: Loader | None = field(default=None, compare=False, repr=False)
    images: int = 256
    per: str = "channels"
    repair: Repair = "weights"
    lazy: bool = True
    slack: float = 0.0
    look: int = 3
    choose: Choose = "once"
    coefficients: Literal["least-squares", "published"] = "least-squares"
    ties: Literal["first", "outputs", "neither"] = "first"
    progress: Progress | None = field(default=None, compare=False, repr=False)
    enough: Enough | None = field(default=None, compare=False, repr=False)
    start: IntArray | None = field(default=None, compare=False, repr=False)
    fixed: tuple[int, ...] = field(default=(), compare=False, repr=False)
    multiple: Multiple = field(default=1, compare=False, repr=False)

    def __post_init__(self) -> None:
        for name, value, least in (
            ("batch", self.batch, 1),
            ("images", self.images, 1),
            ("look", self.look, 1),
        ):
            if value < least:
                raise InputError(f"{name} is {value}; give a whole number from {least}.")
        for name, value_, known in (
            ("error", self.error, ERRORS),
            ("repair", self.repair, REPAIRS),
            ("per", self.per, ("channels", "macs")),
            ("choose", self.choose, CHOICES),
            ("coefficients", self.coefficients, ("least-squares", "published")),
            ("ties", self.ties, ("first", "outputs", "neither")),
        ):
            if value_ not in known:
                raise InputError(f"{name} is '{value_}'; give {', '.join(known)}.")
        if self.slack < 0:
            raise InputError(f"slack is {self.slack:g}; give a share from 0.")

    @property
    def needs_data(self) -> bool:
        """Whether it has no samples of its own."""
        return self.data is None

    def until(
        self,
        enough: Enough,
        *,
        start: IntArray | None = None,
        fixed: tuple[int, ...] = (),
        multiple: Multiple = 1,
    ) -> Search:
        """This search, stopped as soon as the counts are small enough.

        Args:
            enough: Whether the units that every group keeps meet the target.
            start: Units at the beginning, all of them by default.
            fixed: Indices of groups that stay as they are then.
            multiple: Groups keep a multiple of so many units: one number, or one a group.
        """
        return replace(self, enough=enough, start=start, fixed=fixed, multiple=multiple)

    def on(self, data: Loader | None, progress: Progress | None = None) -> Search:
        """This search on these samples, unless it has its own."""
        return replace(
            self, data=data if self.data is None else self.data, progress=self.progress or progress
        )

    def __call__(self, ranking: Ranking) -> IntArray:
        """The group of every removal, until the target is met (until nothing is left where there is none).

        Raises:
            InputError: No data; a batch as large as the largest group.
        """
        return self.find(ranking).sequence

    def find(self, ranking: Ranking, scores: Scores | None = None) -> Found:
        """The same, with the errors on the way and what the search cost.

        Args:
            ranking: From `rank`.
            scores: Of candidates; made from the data by default.
        """
        sizes = {g.name: g.size for g in ranking.graph.groups if g.name in ranking.orders}
        if not sizes or self.batch >= max(sizes.values()):
            raise InputError(
                f"batch is {self.batch}, and the largest group that may shrink has "
                f"{max(sizes.values(), default=0)} channels; give a smaller batch."
            )
        left_out = 0
        if scores is None:
            if self.data is None:
                free = ", ".join(m.name for m in METHODS if m.needs == "nothing")
                raise InputError(
                    "data: a search scores networks on held-out training samples and got none; give some, or use "
                    f"a method that needs none ({free}) with allocate uniform or global."
                )
            seen = samples(self.data, self.images)
            scores, left_out = scores_for(ranking, seen, self.error, self.repair, self.fit), seen.left_out
        return replace(_Run(self, ranking, scores).found(), left_out=left_out)

    @property
    def fit(self) -> Coefficients:
        """From a Gram matrix and kept units to coefficients of the others."""
        published = self.coefficients == "published"
        return published_omp_coefficients if published else coefficients_of_gram


class _Run:
    """One search: the state of the network, and what is known of each group's next step."""

    def __init__(self, search: Search, ranking: Ranking, scores: Scores) -> None:
        self.search, self.ranking, self.scores = search, ranking, scores
        self.costs = ranking.graph.costs
        self.names = {i: g.name for i, g in enumerate(ranking.graph.groups) if g.name in ranking.orders}
        self.picks: Picks = InOrder(ranking)
        if search.choose != "once":
            combination = Combination(ranking.graph, search.repair == "weights", find=search.fit)
            self.picks = Anew(ranking, search.choose, combination)
        self.counts = (search.start if search.start is not None else self.costs.sizes).copy()
        self.multiple = np.broadcast_to(search.multiple, self.counts.shape)
        self.fixed = set(search.fixed)
        sides = () if ranking.graph.form is None else ranking.graph.form.sides
        self.beside = dict(sides) | {o: i for i, o in sides}
        self.inputs = {i for i, _ in sides}
        self.error = 0.0
        self.promise: dict[int, float] = {}
        self.fresh: dict[int, float] = {}
        self.trials = self.plain = self.step = 0
        self.taken: list[Taken] = []
        self.checks: list[Check] = []

    def found(self) -> Found:
        """Step after step until the target is met."""
        for i in (i for i in self.names if self.counts[i] < self.costs.sizes[i]):
            self._take(i, int(self.counts[i]))
        whole = int(self.costs.sizes[list(self.names)].sum())
        sequence: list[int] = []
        errors: list[float] = []
        enough = self.search.enough or (lambda counts: False)
        while not enough(self.counts):
            open_ = [i for i in self.names if i not in self.fixed and self._next(i) is not None]
            if not open_:
                sequence.extend(self._rest())
                break
            self.step += 1
            self.plain += len(open_)
            best = self._best(open_)
            sequence.extend([best] * (int(self.counts[best]) - self._target(best)))
            self._commit(best)
            errors.append(self.error)
            if self.search.progress is not None:
                self.search.progress("search", min(len(sequence), whole), whole)
        return Found(
            np.array(sequence, dtype=np.int64),
            tuple(errors),
            self.trials,
            self.plain,
            self.scores.passes,
            self._ranking(),
            tuple(self.taken) if self.search.choose != "once" else (),
            tuple(self.checks),
            lazy=self.search.lazy,
        )

    def _ranking(self) -> Ranking:
        """The orders in which units left."""
        if self.search.choose == "once":
            return self.ranking
        return replace(self.ranking, orders={n: Order(self.picks.order(n)) for n in self.names.values()})

    def _best(self, open_: list[int]) -> int:
        """The group whose next step raises the error least, scoring no more groups than that takes."""
        if not self.search.lazy:
            return self._best_of_all(open_)
        for i in sorted(open_, key=self._key)[: self.search.look]:
            self._score(i)
        while True:
            order = sorted(open_, key=self._key)
            first = order[0]
            if first not in self.fresh:
                self._score(first)
            if len(order) == 1 or self._promised(first) <= self._promised(order[1]) * (1 + self.search.slack):
                return self._checked(first, open_)

    def _checked(self, chosen: int, open_: list[int]) -> int:
        """The lazy choice, or at a few steps the best of all, with a record of the difference."""
        if self.step not in _CHECKED:
            return chosen
        best = self._best_of_all(open_)
        self.checks.append(Check(self.step, self.promise[chosen], self.promise[best]))
        return best

    def _best_of_all(self, open_: list[int]) -> int:
        """The group whose next step raises the error least, all of them scored."""
        for i in open_:
            self._score(i)
        untied = [i for i in open_ if not self._tied(i)] if self.search.ties == "neither" else open_
        return min(untied or open_, key=self._key)

    def _tied(self, i: int) -> bool:
        """Whether the other side of the group's layer has the very same error."""
        other = self.beside.get(i)
        return other in self.fresh and self.fresh[i] == self.fresh[other]

    def _key(self, i: int) -> tuple[float, bool, int]:
        """What groups are taken by, the least first."""
        return self._promised(i), self.search.ties == "outputs" and i in self.inputs, i

    def _promised(self, i: int) -> float:
        """What the next step of a group cost when last scored; what was never scored comes first."""
        return self.promise.get(i, -np.inf)

    def _score(self, i: int) -> None:
        if i in self.fresh:
            return
        name, pick = self.names[i], self.picks.pick(self.names[i], self._target(i))
        keep, mixes = {**self.picks.keep(), name: pick.stays}, self.picks.mixes()
        if pick.mix is not None:
            mixes[name] = pick.mix
        error = self.scores.trial(name, keep, mixes)
        self.trials += 1
        self.fresh[i] = error
        self.promise[i] = self._value(i, error)

    def _value(self, i: int, error: float) -> float:
        """What is compared: the error itself, or its rise for the share of multiply-adds saved."""
        rise = error if self.search.error == "layer" else error - self.error
        if self.search.per == "channels":
            return rise
        saved = self.costs.macs_per_unit(self.counts)[i] * (int(self.counts[i]) - self._target(i))
        return float(rise * self.costs.macs() / max(float(saved), 1e-9))

    def _commit(self, i: int) -> None:
        before = self._kept_share(i)
        self.error = self.fresh[i]
        self._take(i, self._target(i))
        after = self._kept_share(i)
        self.fresh.clear()
        if self._next(i) is not None:
            self.promise[i] *= after / before if before > 0 and self.promise[i] > 0 else 1.0

    def _take(self, i: int, count: int, scored: bool = True) -> None:
        """From now on the group keeps so many units."""
        pick = self.picks.take(self.names[i], count)
        self.counts[i] = count
        self.taken.append(Taken(i, count, pick.mix))
        if scored:
            self.scores.take(self.names[i], self.picks.keep(), self.picks.mixes())

    def _kept_share(self, i: int) -> float:
        """What the ranking says the next step of a group costs; 0 where it says nothing."""
        damage = self.ranking.orders[self.names[i]].damage
        done = int(self.costs.sizes[i] - self.counts[i])
        return 0.0 if damage is None else float(sum(damage[done : done + self.search.batch]))

    def _next(self, i: int) -> int | None:
        left = int(self.counts[i]) - self.search.batch
        left -= left % int(self.multiple[i])
        return left if left > 0 else None

    def _target(self, i: int) -> int:
        left = self._next(i)
        assert left is not None
        return left

    def _rest(self) -> list[int]:
        """Units of groups too small to be tried, in equal shares, down to one each."""
        times: dict[int, FloatArray] = {}
        for i in self.names:
            if i not in self.fixed and self.counts[i] > 1:
                gone = int(self.costs.sizes[i] - self.counts[i])
                times[i] = np.arange(gone + 1, int(self.costs.sizes[i])) / int(self.costs.sizes[i])
        rest = [int(i) for i in merge_by_time(times)]
        if self.search.choose != "once":
            for i in rest:
                self._take(i, int(self.counts[i]) - 1, scored=False)
        return rest
