"""PruneConfig: everything that a run of `prune` is asked, as one frozen record that JSON can hold."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from secateurs.effort import Effort
from secateurs.errors import InputError

if TYPE_CHECKING:  # the command line reads the fields for its help, which does not wait for torch
    from secateurs.allocate.sequence import Allocation
    from secateurs.compensate.base import Repair
    from secateurs.graph.trace import Normalised
    from secateurs.meters.scoring import Metric
    from secateurs.methods import Method
    from secateurs.targets.base import Target
    from secateurs.targets.latency import LatencyTarget
    from secateurs.targets.widths import RoundTo

Kind: TypeAlias = Literal[
    "method",
    "goal",
    "target",
    "allocation",
    "repair",
    "count",
    "multiple",
    "shares",
    "normalised",
    "flag",
    "choice",
    "seed",
    "metric",
    "number",
    "numbers",
    "name",
    "workers",
    "effort",
]
"""What a setting is: how it is checked (`arguments.CHECKS`) and how the command line reads it."""

GOALS = ("macs", "params", "size", "peak_memory", "budget", "latency", "keep", "accuracy_drop")
"""The targets that have a name; those that are counted can be given together."""
ABSOLUTE = ("macs", "params", "size", "peak_memory", "budget")
"""Those that may be given as text with a unit."""


@dataclass(frozen=True)
class Option:
    """What a setting is, and what the command line says of it.

    Attributes:
        kind: What it is.
        help: What the command line says; "" for settings that text cannot give.
        metavar: What stands for the value there.
        flag: How the command line calls it, where that is another word.
    """

    kind: Kind
    help: str = ""
    metavar: str | None = None
    flag: str | None = None


def _option(
    kind: Kind, help: str = "", metavar: str | None = None, flag: str | None = None
) -> Mapping[str, Option]:
    return {"option": Option(kind, help, metavar, flag)}


@dataclass(frozen=True, kw_only=True, repr=False)
class PruneConfig:
    """Everything that a run of `prune` is asked: what leaves, how much, from where, and how it is made good.

    Attributes:
        method: A name from `methods.names()`, with settings or without (`fp-omp:faithful`); a `Method`; or a function
            from filters (n, d) to n numbers, of which the lowest leave first.
        macs: Share of the multiply-adds that stays, in (0, 1], or their largest number (`30e6`, `"30M"`). Targets
            that are counted (`macs` to `keep`) can be given together, and all are met; of the others give one alone.
            Without any, methods that have a ratio of their own use it.
        params: Share of the parameters that stays, or their largest number (`"60k"`).
        size: Most bytes of all parameters, such as `"128kB:int8"`, at fp32 (by default), fp16 or int8; 1 kB is 1,000
            bytes, 1 KiB 1,024. Or the share that stays.
        peak_memory: Most bytes of activations alive at once, for one sample, such as `"256kB:int8"`.
        budget: The name of a budget, such as "dcase2025" (at fp32; "dcase2025:int8", "dcase2025:fp16").
        keep: Share of the prunable units that stays.
        latency: Share of the latency at batch 1 that stays, measured here while planning and again of the finished
            network; or `(0.6, measure)`, where `measure(module)` returns the seconds that a network takes on
            your own device.
        accuracy_drop: As small as can be while accuracy on held-out samples (by their labels, or without any by the
            network's own decisions) falls by no more than so many points (hundredths), with 95 % confidence
            where the samples are enough to say so. The remarks give the drop measured and its upper bound.
        metric: For `accuracy_drop`, and for what the command line measures: instead of accuracy, "class-accuracy",
            "log-loss", "map", or a function of all outputs (n, ...) and labels (n, ...) that returns a number,
            higher is better, where 0.01 is a point. Labels of zeros and ones in the outputs' shape (several labels a
            sample) need none: accuracy is then the share of right answers.
        target: A target of your own, as `targets.Target` has it.
        allocate: "uniform", "global", "threshold", "sensitivity", "search", or an `Allocation`.
        compensate: How consumers are repaired: a name from `compensate.names()`, or a function of the pruned network
            and the `Removal`.
        round_to: Groups keep a multiple of this many units; 1 leaves widths free. "auto" gives each group the
            multiple that runs fast and moves it little (`targets.widths.multiples`), where a cost or an accuracy is
            the target; `keep`, methods that are `faithful` and their own ratios stay exact.
        layers: Exceptions: groups whose name matches a pattern keep that share of their units.
        frame: Put the papers' identity 1x1 convolutions around each k x k one but the first, and remove only
            channels between them; they are folded away where that is cheaper. By default where the method's
            published procedure does (`lrf:faithful`).
        normalised: "lock" keeps channels that a LayerNorm, RMSNorm or one-group GroupNorm takes together;
            "recompute" lets them leave: the statistics are then those of what is left, another function than the
            silenced original, and the proof is made against one whose normalisations see the kept channels only.
        recalibrate: Estimate the batch-norm statistics anew on the data.
        calibrate: At most this many samples of the data are used.
        effort: How long the damages of `sensitivity` and the repair `least-squares` may take: "fast", "default" or
            "best", which measures every damage in full.
        seed: Same seed, same plan.

    What a setting is gets checked where the config is used, all at once.

    Example:
        >>> config = PruneConfig(method="l1-norm", macs=0.5)
        >>> PruneConfig.from_dict(config.to_dict(), "here") == config
        True
    """

    method: str | Method | Callable[..., Any] | None = field(
        default=None,
        metadata=_option(
            "method",
            "See `secateurs methods`; or your own my_file.py:score, which is run. A named method comes plain; "
            "without one everything is at its strongest.",
            "NAME[:key=value,...]",
        ),
    )
    macs: float | str | None = field(
        default=None,
        metadata=_option("goal", "Share of the multiply-adds that stays, or the most.", "0.5|30M"),
    )
    params: float | str | None = field(
        default=None, metadata=_option("goal", "Share of the parameters that stays, or the most.", "0.5|60k")
    )
    size: float | str | None = field(
        default=None,
        metadata=_option(
            "goal", "Most bytes of parameters at fp32, or as :fp16 or :int8; 1 kB is 1,000.", "128kB[:int8]"
        ),
    )
    peak_memory: float | str | None = field(
        default=None,
        metadata=_option("goal", "Most bytes of activations alive at once, for one sample.", "256kB[:int8]"),
    )
    budget: str | None = field(
        default=None,
        metadata=_option("goal", "A budget by name: dcase2025, at fp32 or as :fp16 or :int8.", "NAME"),
    )
    latency: LatencyTarget | None = field(
        default=None, metadata=_option("goal", "Share of the measured latency that stays.", "0.5")
    )
    keep: float | None = field(
        default=None, metadata=_option("goal", "Share of the prunable channels that stays.", "0.5")
    )
    accuracy_drop: float | None = field(
        default=None, metadata=_option("goal", "As small as held-out training accuracy allows.", "POINTS")
    )
    metric: str | Metric | None = field(
        default=None,
        metadata=_option(
            "metric",
            "What --accuracy-drop is about, and is measured: accuracy, class-accuracy, log-loss (a point is 0.01 "
            "nats), map, or own my_file.py:fn.",
            "NAME",
        ),
    )
    target: Target | None = field(default=None, metadata=_option("target"))
    allocate: str | Allocation | None = field(
        default=None,
        metadata=_option(
            "allocation",
            "Which groups the cut comes from: uniform, global, threshold, sensitivity, search.",
            "HOW",
        ),
    )
    compensate: str | Repair | None = field(
        default=None,
        metadata=_option(
            "repair",
            "Repair: none, bias, merge, merge-pairs, merge-equal, weights, least-squares-once, least-squares, "
            "reconstruct.",
            "HOW",
        ),
    )
    round_to: RoundTo = field(
        default="auto",
        metadata=_option(
            "multiple",
            "Keep multiples of N channels: 1 for any number, auto for 8, 16 or 32 where a layer is wide enough.",
            "N|auto",
        ),
    )
    layers: Mapping[str, float] | None = field(
        default=None,
        metadata=_option(
            "shares",
            "Groups named so keep this share, such as 'layer1.*=1'; may be repeated.",
            "PATTERN=SHARE",
            "--layer",
        ),
    )
    normalised: Normalised = field(
        default="lock",
        metadata=_option(
            "normalised",
            "Channels that a LayerNorm takes together: 'lock' keeps them, 'recompute' normalises what is left.",
            "HOW",
        ),
    )
    frame: bool | None = field(
        default=None,
        metadata=_option("choice", "Put 1x1 convolutions around each larger one and cut only between them."),
    )
    recalibrate: bool = field(
        default=False,
        metadata=_option("flag", "Measure the batch-norm statistics anew on training data."),
    )
    calibrate: int = field(
        default=2048, metadata=_option("count", "Training samples that may be looked at.", "N")
    )
    effort: Effort = field(
        default="default",
        metadata=_option(
            "effort",
            "How long the damages and the repair may take: fast, default, best (the damages measured in full).",
            "HOW",
        ),
    )
    seed: int = field(default=0, metadata=_option("seed", "Seed of everything that is drawn at random.", "N"))

    def changed(self, **settings: Any) -> PruneConfig:
        """The same with other settings; a target that is given takes the place of any other.

        Example:
            >>> PruneConfig(macs=0.5, seed=1).changed(keep=0.5)
            PruneConfig(keep=0.5, seed=1)
        """
        aims = (*GOALS, "target")
        if any(settings.get(name) is not None for name in aims):
            settings = {**dict.fromkeys(aims), **settings}
        return dataclasses.replace(self, **settings)

    def to_dict(self) -> dict[str, Any]:
        """Plain values by name of what differs from the defaults, as JSON holds them.

        Raises:
            InputError: A setting is an object that text cannot name: what is read back would be none, or another.
        """
        return {one.name: _plain(one, getattr(self, one.name)) for one in self._changed()}

    @classmethod
    def from_dict(cls, found: Any, where: str) -> PruneConfig:
        """The config of what `to_dict` gave.

        Args:
            found: Values by name.
            where: The file they came from, for the message.

        Raises:
            InputError: It is no mapping, holds a name that is no setting, or a value that is none.
        """
        if not isinstance(found, Mapping):
            raise InputError(f"{where}: its config is a {type(found).__name__}; give settings by name.")
        known = [one.name for one in fields(cls)]
        strange = next((name for name in found if name not in known), None)
        if strange is not None:
            raise InputError(
                f"{where}: its config has {str(strange)[:40]!r}, which is no setting; the settings are "
                f"{', '.join(known)}."
            )
        return cls(**found)

    def _changed(self) -> list[Field[Any]]:
        return [one for one in fields(PruneConfig) if _differs(getattr(self, one.name), one.default)]

    def __repr__(self) -> str:
        return (
            f"PruneConfig({', '.join(f'{one.name}={getattr(self, one.name)!r}' for one in self._changed())})"
        )


def _differs(value: Any, default: Any) -> bool:
    """Whether a setting has been changed; what is no plain value has, for arrays cannot be asked."""
    plain = isinstance(value, (str, Real, Mapping)) or value is None
    return not plain or bool(value != default)


def _plain(one: Field[Any], value: Any) -> Any:
    kind = one.metadata["option"].kind
    if kind == "method" and not isinstance(value, str):
        value = _name_of_method(value)
    if kind == "metric":
        value = getattr(value, "name", value)
    if isinstance(value, Mapping) and all(isinstance(share, Real) for share in value.values()):
        return {str(key): float(share) for key, share in value.items()}
    if isinstance(value, (str, bool)):
        return value
    if isinstance(value, Real):  # of numpy, too
        return int(value) if isinstance(value, Integral) else float(value)
    raise InputError(
        f"{one.name}: a {type(value).__name__} is an object of yours, which a file cannot hold; give a name."
    )


def _name_of_method(method: Any) -> Any:
    """The name by which a method is found again: of the library, or of code in a file of the user's.

    Any other object of the user's stays what it is, whatever it is called.
    """
    from secateurs import methods  # late: the command line's help does not wait for torch

    name = str(getattr(method, "name", ""))
    known = name.partition(":")[0] in methods.names() and methods.get(name) == method
    return name if known or methods.names_own_method(name) else method
