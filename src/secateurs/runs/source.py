"""From MODEL or DIR, as a user types it, to a network with its weights and what it expects."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from secateurs.checks import check_seed, shown
from secateurs.data import IMAGENET, DataSource, Normalisation, batches
from secateurs.errors import InputError
from secateurs.report.record import Measures, Record
from secateurs.running.eval_mode import device_of
from secateurs.surgery import Plan, load, load_plan
from secateurs.surgery.files import WEIGHTS
from secateurs.zoo import entry, load_weights, names, names_own_code, resolve_model

LARGEST_INPUT = 2**28
"""Numbers in one input that a folder may ask for; a user may ask for more."""


@dataclass(frozen=True)
class Source:
    """A network that a command works on.

    Attributes:
        spec: How to build the unpruned network, as `resolve_model` takes it.
        model: The network, with its weights; pruned already where it came from an output folder.
        input_shape: Shape of one input with the batch axis; None where nobody said so yet.
        normalisation: What images were normalised with in training, where that is known.
        plan: What had been removed before, None for an unpruned network.
        original: Costs of the unpruned network where this one had been pruned before.
        trained: False where the weights are random.
        more_inputs: Shapes of the second and further inputs, with the batch axis.
    """

    spec: str
    model: nn.Module
    input_shape: tuple[int, ...] | None
    normalisation: Normalisation | None
    plan: Plan | None = None
    original: Measures | None = None
    trained: bool = True
    more_inputs: tuple[tuple[int, ...], ...] = ()

    @property
    def sample_shape(self) -> tuple[int, ...] | None:
        """Shape of one input without the batch axis, None where nobody said so yet."""
        return None if self.input_shape is None else self.input_shape[1:]

    def fitted_to(self, data: DataSource) -> Source:
        """The same source, with the shapes of the data's first sample where no others were known."""
        if self.input_shape is not None:
            return self
        inputs, _ = next(batches(data.train, 1, limit=1))
        first, *others = (tuple(x.shape) for x in inputs)
        return dataclasses.replace(self, input_shape=first, more_inputs=tuple(others))

    def example(self, seed: int = 0) -> Tensor | tuple[Tensor, ...]:
        """One random input of the right shape, or a tuple of them for a network of several, where the model lies.

        Raises:
            InputError: Nobody said which shape that is.
        """
        if self.input_shape is None:
            raise InputError(
                f"--input is missing: the shape of one input of '{self.spec}' is not known; give it, "
                "batch first, such as --input 1,3,224,224"
            )
        generator, device = torch.Generator().manual_seed(seed), device_of(self.model)
        first, *others = (
            torch.randn(shape, generator=generator).to(device)
            for shape in (self.input_shape, *self.more_inputs)
        )
        return (first, *others) if others else first


def open_source(
    spec: str,
    *,
    weights: Path | None = None,
    input_shape: tuple[int, ...] | None = None,
    seed: int = 0,
    built_by: str | None = None,
    trust: bool = False,
) -> Source:
    """Build the network that `spec` names and fill it with its weights.

    A folder may come from a stranger, and its result.json names how the network is built. Networks of the zoo,
    torchvision and timm are built from that name; other code is run only where the user names it or trusts the
    folder.

    Args:
        spec: A zoo name, `torchvision:NAME`, `timm:NAME`, `package.module:callable`, or the folder that an
            earlier `secateurs prune` wrote, which holds its own weights.
        weights: A .safetensors file for the network; without it the weights are the builder's.
        input_shape: Shape of one input, with the batch axis, where it is not the usual one.
        seed: Of the builder's random weights.
        built_by: For a folder: builds the unpruned network instead of what the folder names.
        trust: For a folder: import and run whatever code it names.

    Raises:
        InputError: The name, the folder or the file is not what it has to be, or the folder names code that nobody
            allowed.

    Example:
        >>> open_source("resnet20").input_shape
        (1, 3, 32, 32)
    """
    folder = Path(spec)
    if folder.is_dir() and (spec not in names() or (folder / WEIGHTS).exists()):
        if weights is not None:
            raise InputError(
                f"--weights {weights}: the folder {spec} has weights of its own; leave the option out"
            )
        return _from_folder(folder, input_shape, built_by, trust)
    _refuse_path(spec)
    if built_by is not None:
        raise InputError(
            f"--model {built_by}: says how the network of a folder is built, and {spec} is no folder; leave it out"
        )
    check_seed(seed)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        model = resolve_model(spec)
    if weights is not None:
        load_weights(model, weights)
    shape, normalisation = _expectations(spec, model)
    own = names_own_code(spec)  # the user's own may be trained
    trained = weights is not None or own or (spec in names() and entry(spec).trained)
    return Source(spec, model.eval(), input_shape or shape, normalisation, trained=trained)


def _from_folder(
    folder: Path, input_shape: tuple[int, ...] | None, built_by: str | None, trust: bool
) -> Source:
    """The pruned network of an output folder: its class built anew, its plan replayed, its weights read."""
    if not (folder / WEIGHTS).is_file():
        raise InputError(
            f"{folder}: holds no {WEIGHTS}; name a folder that `secateurs prune` wrote, or a model"
        )
    record = Record.read(folder)
    spec = _builder(folder, record.model, built_by, trust)
    shape = input_shape or _bounded(folder, record.input_shape)
    model = load(folder / WEIGHTS, resolve_model(spec))
    normalisation = _normalisation(record.normalisation, folder)
    plan = load_plan(folder / WEIGHTS)
    more = () if input_shape else tuple(_bounded(folder, each) for each in record.more_inputs)
    return Source(spec, model.eval(), shape, normalisation, plan, record.original, more_inputs=more)


def _builder(folder: Path, named: str, built_by: str | None, trust: bool) -> str:
    """How to build the network of a folder; code of its own choice is not run for the asking."""
    if built_by is not None:
        return built_by
    if names_own_code(named) and not trust:
        raise InputError(
            f"{folder}: its result.json says that {shown(named)} builds the network, which would run code that is "
            "no part of secateurs, torchvision or timm; if that code is yours, name it with --model, or say --trust to "
            "run whatever the folder names"
        )
    return named


def _bounded(folder: Path, shape: tuple[int, ...]) -> tuple[int, ...]:
    if math.prod(shape) > LARGEST_INPUT:
        raise InputError(
            f"{folder / 'result.json'}: one input would have {math.prod(shape):,} numbers; give the shape as --input"
        )
    return shape


def _normalisation(found: Mapping[str, Any] | None, folder: Path) -> Normalisation | None:
    if found is None:
        return None
    try:
        return Normalisation(tuple(found["mean"]), tuple(found["std"]))
    except (KeyError, TypeError, ValueError) as problem:
        raise InputError(f"{folder / 'result.json'}: the normalisation is damaged ({problem})") from problem


def normalisation_record(normalisation: Normalisation | None) -> Mapping[str, Any] | None:
    """A normalisation as result.json holds it.

    Example:
        >>> normalisation_record(Normalisation((0.5,), (0.25,)))
        {'mean': (0.5,), 'std': (0.25,)}
    """
    return None if normalisation is None else dataclasses.asdict(normalisation)


def _refuse_path(spec: str) -> None:
    """A mistyped folder is not a mistyped model name."""
    path = Path(spec)
    if path.is_file():
        raise InputError(
            f"{spec}: is a file; name the network that it belongs to and give the file as --weights {spec}"
        )
    if ("/" in spec or "\\" in spec) and ":" not in spec:
        raise InputError(
            f"{spec}: there is no such folder; name an output folder of `secateurs prune`, or a model"
        )
    if ":" not in spec and "." not in spec:
        try:
            entry(spec)
        except InputError as unknown:
            raise InputError(f"{spec}: there is no folder of that name. {unknown}") from unknown


def _expectations(spec: str, model: nn.Module) -> tuple[tuple[int, ...] | None, Normalisation | None]:
    """Input shape and normalisation of a network with a name."""
    if spec in names():
        known = entry(spec)
        return (1, *known.input_shape), known.normalisation
    if spec.startswith("torchvision:"):
        return (1, 3, 224, 224), IMAGENET
    settings = getattr(model, "pretrained_cfg", None)
    if spec.startswith("timm:") and isinstance(settings, Mapping) and "input_size" in settings:
        normalisation = Normalisation(tuple(settings["mean"]), tuple(settings["std"]))
        return (1, *settings["input_size"]), normalisation
    return None, None
