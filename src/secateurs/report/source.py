"""From MODEL or DIR, as a user types it, to a network with its weights and what it expects."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from secateurs.data import IMAGENET, DataSource, Normalisation, batches
from secateurs.errors import InputError
from secateurs.report.record import Measures, Record
from secateurs.zoo import entry, load_weights, names, resolve_model

if TYPE_CHECKING:
    from secateurs.surgery import Plan

WEIGHTS = "model.safetensors"


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
    """

    spec: str
    model: nn.Module
    input_shape: tuple[int, ...] | None
    normalisation: Normalisation | None
    plan: Plan | None = None
    original: Measures | None = None
    trained: bool = True

    @property
    def sample_shape(self) -> tuple[int, ...] | None:
        """Shape of one input without the batch axis, None where nobody said so yet."""
        return None if self.input_shape is None else self.input_shape[1:]

    def fitted_to(self, data: DataSource) -> Source:
        """The same source, with the shape of the data's first sample where no other was known.

        Raises:
            InputError: The data give several inputs a sample.
        """
        if self.input_shape is not None:
            return self
        inputs, _ = next(batches(data.train, 1, limit=1))
        if len(inputs) != 1:
            raise InputError(
                f"{data.name}: gives {len(inputs)} inputs a sample, and the command line knows networks with "
                "one; call secateurs.prune in Python, with a tuple as the example"
            )
        return dataclasses.replace(self, input_shape=tuple(inputs[0].shape))

    def example(self, seed: int = 0) -> Tensor:
        """One random input of the right shape.

        Raises:
            InputError: Nobody said which shape that is.
        """
        if self.input_shape is None:
            raise InputError(
                f"--input is missing: the shape of one input of '{self.spec}' is not known; give it, "
                "batch first, such as --input 1,3,224,224"
            )
        return torch.randn(self.input_shape, generator=torch.Generator().manual_seed(seed))


def open_source(
    spec: str,
    *,
    weights: Path | None = None,
    input_shape: tuple[int, ...] | None = None,
    seed: int = 0,
) -> Source:
    """Build the network that `spec` names and fill it with its weights.

    Args:
        spec: A zoo name, `torchvision:NAME`, `timm:NAME`, `package.module:callable`, or the folder that an
            earlier `secateurs prune` wrote, which holds its own weights.
        weights: A .safetensors file for the network; without it the weights are the builder's.
        input_shape: Shape of one input, with the batch axis, where it is not the usual one.
        seed: Of the builder's random weights.

    Raises:
        InputError: The name, the folder or the file is not what it has to be.

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
        return _from_folder(folder, input_shape)
    _refuse_path(spec)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        model = resolve_model(spec)
    if weights is not None:
        load_weights(model, weights)
    shape, normalisation = _expectations(spec, model)
    trained = weights is not None or _is_own(spec)
    return Source(spec, model.eval(), input_shape or shape, normalisation, trained=trained)


def _from_folder(folder: Path, input_shape: tuple[int, ...] | None) -> Source:
    """The pruned network of an output folder: its class built anew, its plan replayed, its weights read."""
    from secateurs.surgery import load, load_plan

    if not (folder / WEIGHTS).is_file():
        raise InputError(
            f"{folder}: holds no {WEIGHTS}; name a folder that `secateurs prune` wrote, or a model"
        )
    record = Record.read(folder)
    model = load(folder / WEIGHTS, into=resolve_model(record.model))
    normalisation = _normalisation(record.normalisation, folder)
    plan = load_plan(folder / WEIGHTS)
    shape = input_shape or record.input_shape
    return Source(record.model, model.eval(), shape, normalisation, plan, record.original)


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


def _is_own(spec: str) -> bool:
    """The user's own code may return a network that is trained already."""
    return ":" in spec and not spec.startswith(("torchvision:", "timm:"))


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
