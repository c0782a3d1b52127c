"""Greedy search over the whole network: again and again, the group whose next channels are missed least gives them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from secateurs.allocate.scoring import ERRORS, REPAIRS, ErrorKind, Repair, Scores, scores_for
from secateurs.allocate.sequence import merge_by_time
from secateurs.contracts import FloatArray, IntArray, Loader, Progress, Ranking
from secateurs.errors import InputError
from secateurs.methods import METHODS

Enough = Callable[[IntArray], bool]


@dataclass(frozen=True)
class Found:
    """What a search found: the group of every removal, the error after each step, and what it cost.

    `passes` are forward passes of the whole network over all samples, `trials` candidates scored, `plain` the
    candidates that a search which scores all of them at every step would have scored.
    """

    sequence: IntArray
    errors: tuple[float, ...]
    trials: int
    plain: int
    passes: float


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
        lazy: False scores every group at every step.
        look: So many groups, those that promise most, are scored anew at every step.
        slack: A candidate is taken when its error is at most 1 + `slack` times what the next best promises.
        progress: Told of every step.

    Raises:
        InputError: A setting out of range.

    Cost:
        About one forward pass a step over `images` samples, and half a pass for each group to begin with.

    Example:
        >>> Search(batch=2, error="output")
        Search(batch=2, error='output', images=256, per='channels', repair='weights', lazy=True, slack=0.0, look=3)

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
    progress: Progress | None = field(default=None, compare=False, repr=False)
    enough: Enough | None = field(default=None, compare=False, repr=False)
    start: IntArray | None = field(default=None, compare=False, repr=False)
    fixed: tuple[int, ...] = field(default=(), compare=False, repr=False)
    multiple: int = field(default=1, compare=False, repr=False)

    def __post_init__(self) -> None:
        for name, value, least in (
            ("batch", self.batch, 1),
            ("images", self.images, 1),
            ("look", self.look, 1),
        ):
            if value < least:
                raise InputError(f"{name} is {value}; give a whole number from {least}.")
        if self.error not in ERRORS:
            raise InputError(f"error is '{self.error}'; the errors are {', '.join(ERRORS)}.")
        if self.repair not in REPAIRS:
            raise InputError(f"repair is '{self.repair}'; the repairs are {', '.join(REPAIRS)}.")
        if self.per not in ("channels", "macs"):
            raise InputError(f"per is '{self.per}'; give channels or macs.")
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
        multiple: int = 1,
    ) -> Search:
        """This search, stopped as soon as the counts are small enough.

        Args:
            enough: Whether the units that every group keeps meet the target.
            start: Units at the beginning, all of them by default.
            fixed: Indices of groups that stay as they are then.
            multiple: Groups keep a multiple of so many units.
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
        if scores is None:
            if self.data is None:
                free = ", ".join(m.name for m in METHODS if m.needs == "nothing")
                raise InputError(
                    "data: a search scores networks on held-out training samples and got none; give some, or use "
                    f"a method that needs none ({free}) with allocate uniform or global."
                )
            scores = scores_for(ranking, self.data, self.error, self.images, self.repair)
        return _Run(self, ranking, scores).found()


class _Run:
    """One search: the state of the network, and what is known of each group's next step."""

    def __init__(self, search: Search, ranking: Ranking, scores: Scores) -> None:
        self.search, self.ranking, self.scores = search, ranking, scores
        self.costs = ranking.graph.costs
        self.units = {
            i: np.array(ranking.orders[g.name].units)
            for i, g in enumerate(ranking.graph.groups)
            if g.name in ranking.orders
        }
        self.names = {i: ranking.graph.groups[i].name for i in self.units}
        self.counts = (search.start if search.start is not None else self.costs.sizes).copy()
        self.fixed = set(search.fixed)
        self.error = 0.0
        self.promise: dict[int, float] = {}
        self.fresh: dict[int, float] = {}
        self.trials = self.plain = 0

    def found(self) -> Found:
        """Step after step until the target is met."""
        for i in (i for i in self.units if self.counts[i] < self.costs.sizes[i]):
            self.scores.take(self.names[i], self._keep(i, int(self.counts[i])))
        whole = int(self.costs.sizes[list(self.units)].sum())
        sequence: list[int] = []
        errors: list[float] = []
        enough = self.search.enough or (lambda counts: False)
        while not enough(self.counts):
            open_ = [i for i in self.units if i not in self.fixed and self._next(i) is not None]
            if not open_:
                sequence.extend(self._rest())
                break
            self.plain += len(open_)
            best = self._best(open_)
            sequence.extend([best] * (int(self.counts[best]) - self._target(best)))
            self._commit(best)
            errors.append(self.error)
            if self.search.progress is not None:
                self.search.progress("search", min(len(sequence), whole), whole)
        return Found(
            np.array(sequence, dtype=np.int64), tuple(errors), self.trials, self.plain, self.scores.passes
        )

    def _best(self, open_: list[int]) -> int:
        """The group whose next step raises the error least, scoring no more groups than that takes."""
        many = len(open_) if not self.search.lazy else self.search.look
        for i in sorted(open_, key=lambda i: (self._promised(i), i))[:many]:
            self._score(i)
        while True:
            order = sorted(open_, key=lambda i: (self._promised(i), i))
            first = order[0]
            if first not in self.fresh:
                self._score(first)
            if len(order) == 1 or self._promised(first) <= self._promised(order[1]) * (1 + self.search.slack):
                return first

    def _promised(self, i: int) -> float:
        """What the next step of a group cost when last scored; what was never scored comes first."""
        return self.promise.get(i, -np.inf)

    def _score(self, i: int) -> None:
        if i in self.fresh:
            return
        error = self.scores.trial(self.names[i], self._keep(i, self._target(i)))
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
        self.scores.take(self.names[i], self._keep(i, self._target(i)))
        self.error = self.fresh[i]
        self.counts[i] = self._target(i)
        after = self._kept_share(i)
        self.fresh.clear()
        if self._next(i) is not None:
            self.promise[i] *= after / before if before > 0 and self.promise[i] > 0 else 1.0

    def _kept_share(self, i: int) -> float:
        """What the ranking says the next step of a group costs; 0 where it says nothing."""
        damage = self.ranking.orders[self.names[i]].damage
        done = int(self.costs.sizes[i] - self.counts[i])
        return 0.0 if damage is None else float(sum(damage[done : done + self.search.batch]))

    def _next(self, i: int) -> int | None:
        left = int(self.counts[i]) - self.search.batch
        left -= left % self.search.multiple
        return left if left > 0 else None

    def _target(self, i: int) -> int:
        left = self._next(i)
        assert left is not None
        return left

    def _keep(self, i: int, count: int) -> dict[str, IntArray]:
        """Keep-sets with `count` units of group i, and those of the others as they are."""
        counts = {j: int(self.counts[j]) for j in self.units} | {i: count}
        return {
            self.names[j]: np.sort(units[len(units) - counts[j] :])
            for j, units in self.units.items()
            if counts[j] < len(units)
        }

    def _rest(self) -> list[int]:
        """Units of groups too small to be tried, in equal shares, down to one each."""
        times: dict[int, FloatArray] = {}
        for i in self.units:
            if i not in self.fixed and self.counts[i] > 1:
                gone = int(self.costs.sizes[i] - self.counts[i])
                times[i] = np.arange(gone + 1, int(self.costs.sizes[i])) / int(self.costs.sizes[i])
        return [int(i) for i in merge_by_time(times)]
