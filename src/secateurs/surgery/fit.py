"""Whether a step of a plan fits a network, found out before anything is made."""

from __future__ import annotations

from typing import NoReturn

from torch import Tensor, nn

from secateurs.checks import shown
from secateurs.errors import MismatchError
from secateurs.layers.frame import is_frame, missing_frame
from secateurs.layers.sizes import number_of
from secateurs.layers.tensors import named_tensors
from secateurs.layers.types import layer_type
from secateurs.surgery.plan import Step

_BUILD = "build the network the plan was made for."


def check_fit(model: nn.Module, step: Step) -> None:
    """Make sure that a step can be carried out on a network, from names, shapes and numbers alone.

    Args:
        model: With the step's frames around its convolutions.
        step: Of a plan whose types have been checked (`Plan.check`).

    Raises:
        MismatchError: A tensor, module or attribute is missing or of another size; says which.

    Example:
        >>> check_fit(nn.Linear(4, 3), Step({"bias": {0: (0, 3)}}, {"bias": (3,)}))
        Traceback (most recent call last):
        ...
        secateurs.errors.MismatchError: plan: 'bias' is to keep position 3 of axis 0, which has 3; build the network \
the plan was made for.
    """
    found = {name: tuple(tensor.shape) for name, tensor in named_tensors(model)}
    _check_shapes(step, found)
    _check_positions(step, found)
    modules = dict(model.named_modules(remove_duplicate=False))
    _check_attributes(step, modules)
    _check_added(step, modules)


def check_frames(model: nn.Module, step: Step) -> None:
    """Make sure that frames are put around plain convolutions, and taken from frames alone.

    Raises:
        MismatchError: One is not; says which.

    Example:
        >>> check_frames(nn.Sequential(nn.Conv2d(1, 1, 3)), Step({}, {}, frames=("0",)))
    """
    lost = missing_frame(model, (*step.frames, *step.folds))
    if lost is not None:
        raise MismatchError(
            f"plan: the network has no convolution {shown(lost)}, which the plan puts between two others; {_BUILD}"
        )
    for name in step.frames:
        module = model.get_submodule(name)
        if not is_frame(module) and module.groups != 1:
            _unlike(f"{shown(name)} is a grouped convolution, which cannot be put between two others")


def outputs_of(module: nn.Module) -> int | None:
    """Channels or features that a layer makes; None where it is no layer with a weight.

    Example:
        >>> outputs_of(nn.ConvTranspose2d(4, 3, 1, groups=2 - 1)), outputs_of(nn.ReLU())
        (3, None)
    """
    weight = getattr(module, "weight", None)
    if not isinstance(weight, Tensor) or weight.dim() == 0:
        return None
    if layer_type(module).form == "transposed":
        return weight.shape[1] * int(getattr(module, "groups", 1))
    return weight.shape[0]


def _unlike(what: str) -> NoReturn:
    raise MismatchError(f"plan: {what}; {_BUILD}")


def _check_shapes(step: Step, found: dict[str, tuple[int, ...]]) -> None:
    for name, shape in step.shapes.items():
        if name not in found:
            _unlike(f"the network has no {shown(name)}, which the plan makes smaller")
        if found[name] != tuple(shape):
            _unlike(f"'{name}' has shape {list(found[name])} in this network and {list(shape)} in the plan")


def _check_positions(step: Step, found: dict[str, tuple[int, ...]]) -> None:
    for name, axes in step.slices.items():
        if name not in step.shapes:
            _unlike(f"it makes {shown(name)} smaller and does not say what shape that has")
        for axis, positions in axes.items():
            if axis >= len(found[name]):
                _unlike(f"'{name}' has no axis {axis}, along which the plan makes it smaller")
            if positions[-1] >= found[name][axis]:  # they ascend from 0, so the last one tells
                _unlike(
                    f"'{name}' is to keep position {positions[-1]} of axis {axis}, which has {found[name][axis]}"
                )


def _check_attributes(step: Step, modules: dict[str, nn.Module]) -> None:
    for path, values in step.attributes.items():
        if path not in modules:
            _unlike(f"the network has no module {shown(path)}, whose sizes the plan sets")
        module = modules[path]
        for attribute, value in values.items():
            old = number_of(module, attribute)
            # Functional code keeps its numbers elsewhere: a plan may name an attribute that is not there at all.
            there = attribute.startswith("_") or hasattr(module, attribute.partition(".")[0])
            if old is None and there:
                _unlike(f"{shown(attribute)} of '{path}' is no size, and the plan sets it to {value}")
            if old is not None and value > old:
                _unlike(f"{shown(attribute)} of '{path}' is {old} and would grow to {value}")


def _check_added(step: Step, modules: dict[str, nn.Module]) -> None:
    for name in step.added:
        path, _, last = name.rpartition(".")
        if last != "bias" or path not in modules or outputs_of(modules[path]) is None:
            _unlike(f"the network has no layer for {shown(name)}, which a repair added")
