"""TuneConfig: everything that fine-tuning is asked, as one frozen record that JSON can hold; and recipes by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from secateurs.config import Kind, Option
from secateurs.errors import InputError

if TYPE_CHECKING:  # the command line reads the fields for its help, which does not wait for torch
    from secateurs.meters.scoring import Metric

OPTIMIZERS = ("sgd", "adam", "adamw")
SCHEDULES = ("cosine", "step", "constant")
VIEWS = ("none", "crop", "crop-flip", "zoom-flip")
PRECISIONS = ("32", "bf16", "16")


def _option(
    kind: Kind, help: str, metavar: str | None = None, flag: str | None = None
) -> Mapping[str, Option]:
    return {"option": Option(kind, help, metavar, flag)}


@dataclass(frozen=True, kw_only=True)
class TuneConfig:
    r"""Everything that fine-tuning is asked: which loss, which steps, how long, and which epoch is kept.

    With outputs z of the network, $z_0$ of the teacher, labels y and temperature T the loss is

    .. math:: a\,\mathrm{CE}(y, z) + b\,\mathrm{KL}(\mathrm{softmax}(z_0 / T)\,\|\,\mathrm{softmax}(z / T))
              + c\,\frac1B \sum_b \frac{\lVert f_b - f_{b,0} \rVert^2}{\operatorname{var} f_{b,0}},

    a being `labels`, b `distil`, c `hints`; where a sample has several labels, CE and KL are binary, their mean over
    the classes.

    Attributes:
        epochs: Passes over the training part.
        batch: Samples a step, of all processes together; the last step of an epoch has what is left.
        optimizer: "sgd", "adam" or "adamw".
        learning_rate: The largest one.
        momentum: Of "sgd".
        weight_decay: Of all parameters.
        schedule: "cosine" to 0, "step" (a tenth after each of `drops`), or "constant".
        drops: Shares of the epochs after which "step" takes a tenth, such as "0.5,0.75".
        warmup: Epochs over which the learning rate rises to its largest.
        labels: Weight of the loss by labels; 0 for distillation alone, which needs no labels to train on.
        label_smoothing: Share of a label that goes to all classes alike, in [0, 1).
        distil: Weight of the teacher's outputs; None for $T^2$ [hinton2015distilling] where there is a teacher.
        temperature: T.
        hints: Weight of what is inside: outputs of blocks that have the same shape in both networks
            [romero2015fitnets].
        augment: "none"; "crop" (shifted by up to an eighth of the side, zeros beyond the edge); "crop-flip" (and
            mirrored half of the time); "zoom-flip" (cropped and scaled back); or a function of a batch of images and a
            generator. Not for sound, digits or letters.
        mixup: $\alpha$ of the Beta distribution that images are mixed by; 0 for none.
        held_out: Share of the training part that is not trained on and decides which epoch is kept; 0 keeps the last.
        patience: Stop after so many epochs without a better one; None for never.
        metric: What decides instead of accuracy, as `evaluate` has it.
        precision: "32", "bf16" or "16" (mixed).
        channels_last: Lay images out with their channels last.
        compile: Run the network through `torch.compile`.
        freeze_norms: Keep batch norms as they are in evaluation.
        workers: Processes that read a Dataset that is not held in memory.
        step_epochs: With pruning in steps: epochs after each step but the last.
        step_rate: With pruning in steps: their constant learning rate; None for a tenth of `learning_rate`.
        seed: Of order, views and mixing; same seed, same result on the same device.

    Example:
        >>> TuneConfig(epochs=3).to_dict()
        {'epochs': 3}
        >>> TuneConfig.recipe("purohit2022", seed=1).temperature
        2.0
    """

    epochs: int = field(default=10, metadata=_option("count", "Passes over the training part.", "N"))
    batch: int = field(
        default=128, metadata=_option("count", "Samples a step, of all processes together.", "N")
    )
    optimizer: str = field(default="sgd", metadata=_option("name", "sgd, adam or adamw.", "NAME"))
    learning_rate: float = field(
        default=0.01, metadata=_option("number", "The largest learning rate.", "X", "--learning-rate")
    )
    momentum: float = field(default=0.9, metadata=_option("number", "Momentum of sgd.", "X"))
    weight_decay: float = field(default=1e-4, metadata=_option("number", "Weight decay.", "X"))
    schedule: str = field(default="cosine", metadata=_option("name", "cosine, step or constant.", "NAME"))
    drops: tuple[float, ...] = field(
        default=(0.5, 0.75),
        metadata=_option("numbers", "Shares of the epochs after which step takes a tenth.", "X,Y"),
    )
    warmup: float = field(
        default=0.0, metadata=_option("number", "Epochs over which the learning rate rises.", "X")
    )
    labels: float = field(
        default=1.0,
        metadata=_option("number", "Weight of the loss by labels; 0 for distillation alone.", "X"),
    )
    label_smoothing: float = field(
        default=0.0, metadata=_option("number", "Share of a label that goes to all classes alike.", "X")
    )
    distil: float | None = field(
        default=None,
        metadata=_option(
            "number",
            "Weight of the teacher's outputs; by default the temperature squared with --teacher.",
            "X",
        ),
    )
    temperature: float = field(
        default=2.0, metadata=_option("number", "Temperature of the distillation.", "T")
    )
    hints: float = field(
        default=0.0,
        metadata=_option("number", "Weight of the outputs of blocks, compared with the teacher's.", "X"),
    )
    augment: str | Callable[..., Any] = field(
        default="none",
        metadata=_option("name", "none, crop, crop-flip (for photographs) or zoom-flip.", "NAME"),
    )
    mixup: float = field(
        default=0.0, metadata=_option("number", "Mix images, by a Beta distribution of this parameter.", "X")
    )
    held_out: float = field(
        default=0.1,
        metadata=_option(
            "number", "Share of the training part that decides which epoch is kept; 0 keeps the last.", "X"
        ),
    )
    patience: int | None = field(
        default=None, metadata=_option("count", "Stop after N epochs without a better one.", "N")
    )
    metric: str | Metric | None = field(
        default=None,
        metadata=_option(
            "metric",
            "What decides instead of accuracy: class-accuracy, log-loss, map, my_file.py:fn.",
            "NAME",
        ),
    )
    precision: str = field(default="32", metadata=_option("name", "32, bf16 or 16 (mixed).", "BITS"))
    channels_last: bool = field(
        default=False, metadata=_option("flag", "Lay images out with their channels last.")
    )
    compile: bool = field(default=False, metadata=_option("flag", "Run the network through torch.compile."))
    freeze_norms: bool = field(
        default=False, metadata=_option("flag", "Keep batch norms as they are in evaluation.")
    )
    workers: int = field(
        default=0, metadata=_option("workers", "Processes that read data which are not held in memory.", "N")
    )
    step_epochs: int = field(
        default=1, metadata=_option("count", "With --steps: epochs after each step but the last.", "N")
    )
    step_rate: float | None = field(
        default=None,
        metadata=_option(
            "number", "With --steps: their learning rate; by default a tenth of --learning-rate.", "X"
        ),
    )
    seed: int = field(default=0, metadata=_option("seed", "Seed of everything that is drawn at random.", "N"))

    @classmethod
    def recipe(cls, name: str, **settings: Any) -> TuneConfig:
        """The settings of a paper, with others in their place where they are given.

        Raises:
            InputError: There is no recipe of that name.
        """
        from secateurs.checks import shown

        if name not in RECIPES:
            raise InputError(f"recipe is {shown(name)}; give one of {', '.join(RECIPES)}.")
        return cls(**{**RECIPES[name], **settings})

    def changed(self, **settings: Any) -> TuneConfig:
        """The same with other settings."""
        return dataclasses.replace(self, **settings)

    def to_dict(self) -> dict[str, Any]:
        """Plain values by name of what differs from the defaults, as JSON holds them.

        Raises:
            InputError: The metric is an object that text cannot name.
        """
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        found = {name: value for name, value in found.items() if value != _DEFAULTS[name]}
        for own in ("metric", "augment"):
            if own in found:
                found[own] = getattr(found[own], "name", found[own])
                if not isinstance(found[own], str):
                    raise InputError(f"{own}: a function of yours cannot be written down; give a name.")
        if "drops" in found:
            found["drops"] = list(found["drops"])
        return found

    def told(self) -> dict[str, Any]:
        """As `to_dict`, with functions of the user's by what they are called; for records, not for reading back."""
        named = {
            name: getattr(value, "name", getattr(value, "__name__", type(value).__name__))
            for name, value in (("metric", self.metric), ("augment", self.augment))
            if value is not None and not isinstance(value, str)
        }
        return self.changed(**named).to_dict()

    @classmethod
    def from_dict(cls, found: Any, where: str) -> TuneConfig:
        """The config of what `to_dict` gave.

        Raises:
            InputError: It is no mapping, or holds a name that is no setting.
        """
        from secateurs.checks import shown

        known = [one.name for one in fields(cls)]
        if not isinstance(found, Mapping):
            raise InputError(f"{where}: its settings are {shown(found)}; give settings by name.")
        strange = next((name for name in found if name not in known), None)
        if strange is not None:
            raise InputError(
                f"{where}: has {shown(str(strange))}, which is no setting; they are {', '.join(known)}."
            )
        made = dict(found)
        if isinstance(made.get("drops"), list):
            made["drops"] = tuple(made["drops"])
        return cls(**made)

    def check(self) -> None:
        """Check every setting.

        Raises:
            InputError: One is not what it has to be; says which, what it is, and what to give.

        Example:
            >>> TuneConfig(epochs=0).check()
            Traceback (most recent call last):
            ...
            secateurs.errors.InputError: epochs is 0; give a whole number from 1.
        """
        from secateurs.checks import check_flag, check_number, check_seed, check_whole, shown

        for name in ("epochs", "batch", "step_epochs"):
            check_whole(name, getattr(self, name))
        if self.patience is not None:
            check_whole("patience", self.patience)
        check_whole("workers", self.workers, 0, 1024)
        check_seed(self.seed)
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise InputError(f"{name} is {shown(getattr(self, name))}; give one of {', '.join(choices)}.")
        for name in ("channels_last", "compile", "freeze_norms"):
            check_flag(name, getattr(self, name))
        for name, (low, high) in _BOUNDS.items():
            value = getattr(self, name)
            if value is not None and not low <= check_number(name, value) < high:
                upper = "" if high == _INFINITY else f" and below {high:g}"
                raise InputError(f"{name} is {value:g}; give a number from {low:g}{upper}.")
        if not self.learning_rate > 0 or not self.temperature > 0:
            raise InputError(
                f"learning_rate is {self.learning_rate:g}, temperature {self.temperature:g}; both must be positive."
            )
        if not isinstance(self.drops, tuple) or not all(
            0 < check_number("drops", share) < 1 for share in self.drops
        ):
            raise InputError(f"drops is {shown(self.drops)}; give shares of the epochs, such as (0.5, 0.75).")


_INFINITY = float("inf")
_DEFAULTS = {one.name: one.default for one in fields(TuneConfig)}
_CHOICES = {"optimizer": OPTIMIZERS, "schedule": SCHEDULES, "precision": PRECISIONS}
_BOUNDS = {
    **dict.fromkeys(
        [
            "learning_rate",
            "weight_decay",
            "warmup",
            "labels",
            "distil",
            "temperature",
            "hints",
            "mixup",
            "step_rate",
        ],
        (0.0, _INFINITY),
    ),
    "momentum": (0.0, 1.0),
    "label_smoothing": (0.0, 1.0),
    "held_out": (0.0, 0.51),
}

RECIPES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        # [purohit2022accurate], its code: CE + KL at T = 2 without the factor T^2, one epoch a step at 1e-3, then 300.
        "purohit2022": {
            "epochs": 300,
            "optimizer": "sgd",
            "learning_rate": 1e-2,
            "schedule": "step",
            "drops": (0.5,),
            "distil": 1.0,
            "temperature": 2.0,
            "augment": "crop-flip",
            "step_epochs": 1,
            "step_rate": 1e-3,
        },
        # [singh2022passive] and [singh2023nystrom], their code: Adam as Keras has it, batches of 32.
        "singh2023": {
            "epochs": 100,
            "batch": 32,
            "optimizer": "adam",
            "learning_rate": 1e-3,
            "weight_decay": 0.0,
            "schedule": "constant",
        },
    }
)
"""Settings of the papers. They keep the best epoch by their test sets; here a validation part decides."""
