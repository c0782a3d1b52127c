"""From what a user types to a network: zoo, torchvision, timm, or the user's own code."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

from torch import nn

from secateurs.data.dotted import load_object
from secateurs.errors import InputError
from secateurs.zoo.registry import build, names, nearest

_PLAIN = re.compile(r"[A-Za-z0-9_.-]+")


def resolve_model(spec: str, num_classes: int | None = None) -> nn.Module:
    """Build the network that a name stands for; weights are random, nothing is downloaded.

    Args:
        spec: A zoo name (`resnet56`), `torchvision:NAME`, `timm:NAME`, or `package.module:callable`, where
            the callable returns an `nn.Module` (a module object is taken as it is). The working folder is
            importable.
        num_classes: Outputs of the last layer; None leaves the network's own number. The user's own callable
            gets it only if it has an argument of that name.

    Raises:
        InputError: unknown name (with the nearest ones), a package that is not installed, or a callable that
            fails or returns something else.

    Example:
        >>> type(resolve_model("resnet20")).__name__
        'ResNetCifar'
    """
    kind, colon, name = spec.partition(":")
    settings = {} if num_classes is None else {"num_classes": num_classes}
    if not colon:
        if spec not in names() and "." in spec:
            raise InputError(
                f"The model '{spec}' is no zoo name; the user's own code is named package.module:callable."
            )
        return build(spec, **settings)
    if kind == "torchvision":
        return _torchvision(name, settings)
    if kind == "timm":
        return _timm(name, settings)
    return _own(spec, settings)


def names_own_code(spec: str) -> bool:
    """Whether a name is of code outside the zoo, torchvision and timm, which `resolve_model` would import and run.

    Example:
        >>> names_own_code("mynet:trained"), names_own_code("resnet56"), names_own_code("timm:resnet18")
        (True, False, False)
    """
    return ":" in spec and spec.partition(":")[0] not in ("torchvision", "timm")


def _torchvision(name: str, settings: dict[str, Any]) -> nn.Module:
    try:
        from torchvision import models
    except ModuleNotFoundError as error:
        raise InputError(
            f"'torchvision:{name}' needs the package torchvision: pip install torchvision."
        ) from error
    except Exception as error:
        raise InputError(
            f"'torchvision:{name}': the installed torchvision does not fit the installed torch ({error}); "
            "install the release that belongs to this torch."
        ) from error
    if name not in models.list_models():
        raise InputError(f"torchvision has no model '{name}': {nearest(name, models.list_models())}")
    builder = models.get_model_builder(name)
    # Detection and segmentation networks would fetch their backbone's weights unless told not to.
    backbone = (
        {"weights_backbone": None} if "weights_backbone" in inspect.signature(builder).parameters else {}
    )
    return _call(f"torchvision:{name}", builder, {"weights": None, **backbone, **settings})


def _timm(name: str, settings: dict[str, Any]) -> nn.Module:
    try:
        import timm
    except ModuleNotFoundError as error:
        raise InputError(
            f"'timm:{name}' needs the package {error.name}: pip install {error.name}."
        ) from error
    except Exception as error:
        raise InputError(
            f"'timm:{name}': importing timm failed with {type(error).__name__}: {error}."
        ) from error
    known = timm.list_models()
    # A name with a scheme ("hf-hub:...") would make timm look on the network, with pretrained=False too.
    if name.split(".")[0] not in known or not _PLAIN.fullmatch(name):
        raise InputError(f"timm has no model '{name}': {nearest(name, known)}")
    return _call(f"timm:{name}", timm.create_model, {"model_name": name, "pretrained": False, **settings})


def _own(spec: str, settings: dict[str, Any]) -> nn.Module:
    found = load_object(spec, "model")
    if isinstance(found, nn.Module):
        return found
    if not callable(found):
        raise InputError(
            f"The model '{spec}' is a {type(found).__name__}, not an nn.Module nor a function that returns "
            "one."
        )
    return _call(spec, found, settings if _takes_num_classes(found) else {})


def _takes_num_classes(found: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(found).parameters.values()
    except (TypeError, ValueError):
        return False
    return any(p.name == "num_classes" or p.kind is p.VAR_KEYWORD for p in parameters)


def _call(spec: str, builder: Callable[..., Any], settings: dict[str, Any]) -> nn.Module:
    try:
        model = builder(**settings)
    except Exception as error:
        raise InputError(
            f"The model '{spec}' could not be built: {type(error).__name__}: {error}."
        ) from error
    if not isinstance(model, nn.Module):
        raise InputError(f"The model '{spec}' gave a {type(model).__name__}, not an nn.Module.")
    return model
