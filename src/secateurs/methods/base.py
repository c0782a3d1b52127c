"""A method: a way to rank, with its reference, and a name that says its settings."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any, Literal, ParamSpec

from secateurs.contracts import GroupWeights, LayerInput, Order
from secateurs.measure import MapMean
from secateurs.methods.differences import certain_of, difference
from secateurs.methods.redundancy import redundant_first
from secateurs.methods.stages import FromData, FromSurvey, Ranks

P = ParamSpec("P")


@dataclass(frozen=True)
class Procedure:
    """What belongs to a method as published, beside its ranking; what a run asks for by name takes its place.

    Attributes:
        frame: Whether it works between identity 1x1 convolutions (`PruneConfig.frame`).
        convolutions_only: Whether hidden dense layers stay whole.
        rounding: How a share of n units becomes a count. "kept up": ceil(share n) stay. "removed": as the papers
            round, round((1 - share) n) leave, to the even number where two are equally near; 11 of 16 stay at 0.7.
        repair: Name of the repair.
        coefficients: Of removed filters in kept ones, for the repair "weights": "least-squares", or "published"
            (`select.published_omp_coefficients`).

    Example:
        >>> Procedure(frame=True).rounding
        'kept up'
    """

    frame: bool = False
    convolutions_only: bool = False
    rounding: Literal["kept up", "removed"] = "kept up"
    repair: str = "none"
    coefficients: Literal["least-squares", "published"] = "least-squares"


PLAIN = Procedure()
CONVOLUTIONS = Procedure(convolutions_only=True, rounding="removed")
"""Of papers that prune a share of each convolution and repair by fine-tuning alone."""


@dataclass(frozen=True)
class Method:
    """A way to rank: `order` turns the weights and statistics of a group into its order of removal.

    `certain` says what is found in the source and what is a reading of it; `own_ratio` where the method decides by
    itself how many leave. `searches` holds the settings of the whole-network search (`allocate.Search`) that belongs
    to the method, and with it the repair "weights". `procedure` is what else belongs to it. `faithful` leaves out the
    rule that dead filters and copies leave first, which no published code has. `differs` is one sentence on what is
    not as in the code that its authors published, "" where nothing is or there is none.

    Example:
        >>> from secateurs import represent, select
        >>> from secateurs.methods import Composition
        >>> largest = Composition(represent.Filters(), lambda rows: rows.abs().amax(dim=1), select.by_worth)
        >>> Method("linf", "filters whose largest weight is smallest", largest).needs
        'nothing'
    """

    name: str
    summary: str
    order: Ranks
    paper: str = ""
    year: int | None = None
    certain: str = ""
    own_ratio: bool = False
    searches: tuple[tuple[str, Any], ...] | None = None
    procedure: Procedure = PLAIN
    faithful: bool = False
    differs: str = ""

    def order_of(self, group: GroupWeights) -> Order:
        """The order of removal of a group: units that its consumers can do without first, unless `faithful`."""
        return self.order(group) if self.faithful else redundant_first(self.order, group)

    @property
    def statistic(self) -> str | None:
        """What of every group `rank` needs from data; None for methods that need the weights only."""
        found: str | None = getattr(self.order, "statistic", None)
        return found

    @property
    def needs(self) -> Literal["nothing", "data"]:
        """Whether the method, or the search that belongs to it, looks at data."""
        return "nothing" if self.statistic is None and self.searches is None else "data"

    @property
    def look(self) -> Callable[[LayerInput], MapMean | None] | None:
        """The function from one batch of a group's feature maps to a sum; None for methods without."""
        return self.order.look if isinstance(self.order, FromData) else None

    @property
    def gradients(self) -> bool:
        """Whether `look` needs the gradients of the loss."""
        return isinstance(self.order, FromData) and self.order.represent.gradients

    @property
    def surveys(self) -> bool:
        """Whether its orders come from a survey of the consumers' second moments."""
        return isinstance(self.order, FromSurvey)

    @property
    def search(self) -> dict[str, Any] | None:
        """Settings of the search that belongs to it, by name."""
        return None if self.searches is None else dict(self.searches)


def published(*, in_name: tuple[str, ...] = ()) -> Callable[[Callable[P, Method]], Callable[P, Method]]:
    """Decorate a function that returns a method, so that the method's name says its settings.

    Args:
        in_name: Arguments that the name it returns says already.

    Returns:
        A decorator. Arguments that differ from their defaults are added to the name: see `spelled`. An argument
        `faithful` is that of the method, and what it has not in common with the published code is put on record.

    Example:
        >>> from secateurs.methods import fp_omp
        >>> fp_omp(faithful=True).name
        'fp-omp:faithful'
    """

    def decorate(factory: Callable[P, Method]) -> Callable[P, Method]:
        signature = inspect.signature(factory, eval_str=True)

        @wraps(factory)
        def make(*args: P.args, **kwargs: P.kwargs) -> Method:
            given = signature.bind(*args, **kwargs).arguments
            changed = {
                name: given[name]
                for name, parameter in signature.parameters.items()
                if name in given and name not in in_name and given[name] != parameter.default
            }
            method = factory(*args, **kwargs)
            faithful = bool(given.get("faithful", False))
            found = difference(method.name, factory.__name__.replace("_", "-"), faithful)
            return replace(
                method,
                name=spelled(method.name, changed),
                faithful=faithful,
                certain=certain_of(method.certain, found) if "code" in method.certain else method.certain,
                differs=found.words if "code" in method.certain else "",
            )

        vars(make)["settings"] = signature.parameters
        return make

    return decorate


def spelled(name: str, settings: Mapping[str, Any]) -> str:
    """The name of a method with its settings, as `get` and the command line read it.

    Args:
        name: That of the method with its defaults.
        settings: What differs from them.

    Returns:
        `name:key=value,flag`; a flag is a setting that is True, several numbers have + between them.

    Example:
        >>> spelled("qsfm-ssim", {"threshold": 0.8, "window": False}), spelled("fp-omp", {"faithful": True})
        ('qsfm-ssim:threshold=0.8,window=false', 'fp-omp:faithful')
    """
    lower = {False: "false", None: "none"}

    def written(value: Any) -> str:
        if isinstance(value, tuple):
            return "+".join(map(str, value))
        return lower[value] if value is False or value is None else str(value)

    words = [key if value is True else f"{key}={written(value)}" for key, value in settings.items()]
    return f"{name}:{','.join(words)}" if words else name
