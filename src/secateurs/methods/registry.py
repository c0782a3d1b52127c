"""The published methods by name and settings, as the command line and `method=` take them."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from types import FunctionType
from typing import Any, Literal, get_args, get_origin

from torch import nn

from secateurs.checks import shown
from secateurs.errors import InputError
from secateurs.methods import linear, maps, norms, pairs
from secateurs.methods.base import Method
from secateurs.methods.own import of_function
from secateurs.methods.pairs import Centrality

_FAMILIES = (linear, maps, norms, pairs)


def _factories() -> tuple[Callable[..., Method], ...]:
    """Every function of the families that is `published`, by name, and the variants that have a name of their own."""
    found = {
        name: thing for family in _FAMILIES for name, thing in vars(family).items() if _is_published(thing)
    }
    return (
        *(found[name] for name in sorted(found)),
        *(partial(pairs.centrality, kind) for kind in get_args(Centrality) if kind != "degree"),
        partial(linear.hbgs, backward=True),
        partial(linear.hbgts, backward=True),
    )


def _is_published(thing: Any) -> bool:
    return isinstance(thing, FunctionType) and "settings" in vars(thing)


_FACTORIES = _factories()
_BY_NAME: dict[str, Callable[..., Method]] = {make().name: make for make in _FACTORIES}
METHODS: tuple[Method, ...] = tuple(make() for make in _FACTORIES)
_WORDS = {"true": True, "false": False, "none": None}


def names() -> tuple[str, ...]:
    """The names that `method=` and the command line know.

    Example:
        >>> "l1-norm" in names()
        True
    """
    return tuple(_BY_NAME)


def is_known(spec: str) -> bool:
    """Whether a name, with settings or without, is that of a published method.

    Args:
        spec: For example `similarity-nystrom:columns=9`.

    Example:
        >>> is_known("fp_omp:faithful"), is_known("my_file.py:score")
        (True, False)
    """
    return spec.partition(":")[0].replace("_", "-") in _BY_NAME


def names_own_method(spec: str) -> bool:
    """Whether a name is of code outside the library, which `own_method` would import and run.

    Args:
        spec: A name as the command line takes it.

    Example:
        >>> names_own_method("my_file.py:score"), names_own_method("fp-omp:faithful"), names_own_method("fp-opm")
        (True, False, False)
    """
    return ":" in spec and not is_known(spec)


def settings_of(name: str) -> tuple[str, ...]:
    """The settings that a published method has.

    Args:
        name: One of `names()`.

    Example:
        >>> settings_of("similarity-nystrom")
        ('columns', 'faithful', 'rank')
    """
    return tuple(_parameters(_BY_NAME[name]))


def get(method: str | Method | Callable[..., Any]) -> Method:
    """Get the method of a name with its settings; a `Method` is returned as it is, a function of filters is made one.

    No name imports anything: code of your own is handed over as a function (see `of_function`), or named on the
    command line.

    Args:
        method: A name such as `l1-norm`, `fp_omp` (as the functions here are called), `fp-omp:faithful` or
            `similarity-nystrom:columns=9`; a `Method`; or a function from filters (n, d) to n numbers, of which the
            lowest leave first.

    Returns:
        A method. Its name says the settings that differ from their defaults.

    Raises:
        InputError: There is no such name or setting; says which are near.

    Example:
        >>> get("fp-omp").year, get("fp_omp:faithful").name
        (2022, 'fp-omp:faithful')
        >>> get("similarity-nystrom:columns=9") == get("similarity-nystrom:columns=9,faithful=false")
        True
    """
    if isinstance(method, Method):
        return method
    if not isinstance(method, str):
        return _own(method)
    if not is_known(method):
        raise InputError(f"method: there is no {shown(method)}; {_hint(method)}")
    name, _, settings = method.partition(":")
    make = _BY_NAME[name.replace("_", "-")]
    return make(**_parsed(name, settings, _parameters(make)))


def check_data(method: Method, given: bool) -> None:
    """Raise an InputError where a method that looks at data gets none.

    Args:
        method: Any.
        given: Whether there are data.

    Raises:
        InputError: There are none; names the methods that need none.

    Example:
        >>> check_data(get("l1-norm"), given=False)
    """
    if method.needs == "data" and not given:
        free = ", ".join(m.name for m in METHODS if m.needs == "nothing")
        raise InputError(
            f"data: '{method.name}' looks at feature maps and got no data; give some, or use {free}."
        )


def _own(function: Any) -> Method:
    if _is_published(function):  # and not called
        name = function.__name__
        raise InputError(f"method is the function {name}; call it: secateurs.methods.{name}().")
    if isinstance(function, (type, nn.Module)) or not callable(function):
        raise InputError(
            f"method is {shown(function)}; give a name such as 'l1-norm', a Method, or a function."
        )
    return of_function(function)


def _hint(method: str) -> str:
    if ":" in method:
        return (
            "code of your own is named on the command line only: in Python, give the function itself, such as "
            "method=score."
        )
    near = difflib.get_close_matches(method, names(), n=3, cutoff=0.4)
    return f"did you mean {' or '.join(near)}?" if near else f"the methods are {', '.join(names())}."


def _parameters(make: Callable[..., Method]) -> dict[str, Any]:
    """The settings of a method by name, with the types that they may have."""
    fixed: Mapping[str, Any] = {}
    if isinstance(make, partial):
        fixed = dict(zip(vars(make.func)["settings"], make.args, strict=False)) | make.keywords
        make = make.func
    return {name: p.annotation for name, p in vars(make)["settings"].items() if name not in fixed}


def _parsed(method: str, text: str, known: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by name from `key=value,flag`."""
    found: dict[str, Any] = {}
    for word in text.split(",") if text else ():
        key, equals, written = (piece.strip() for piece in word.partition("="))
        key = key.replace("-", "_")
        if key not in known:
            settings = f"its settings are {', '.join(known)}" if known else "it has no settings"
            raise InputError(f"method: '{method}' has no setting {shown(key)}; {settings}.")
        value = _value(written) if equals else True
        if not _fits(value, known[key]):
            raise InputError(f"method: {key} of '{method}' is {shown(value)}; give {_kind(known[key])}.")
        found[key] = value
    return found


def _value(written: str) -> Any:
    """What a setting is written as: a word, a finite number, several whole ones (12+6+21), or text."""
    if written.lower() in _WORDS:
        return _WORDS[written.lower()]
    with suppress(ValueError):
        return int(written)
    with suppress(ValueError):
        return number if math.isfinite(number := float(written)) else written
    with suppress(ValueError):
        return tuple(int(one) for one in written.split("+"))
    return written


def _fits(value: Any, kind: Any) -> bool:
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if get_origin(kind) is tuple:
        return isinstance(value, tuple) and all(type(one) is int for one in value)
    if get_args(kind):  # a union
        return any(_fits(value, one) for one in get_args(kind))
    if isinstance(value, bool) or kind is bool or kind is type(None):
        return type(value) is kind
    return isinstance(value, (int, float) if kind is float else kind)


def _kind(kind: Any) -> str:
    words = {bool: "true or false", int: "a whole number", float: "a number", type(None): "none"}
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(get_args(kind))
    kinds = get_args(kind) or (kind,)
    return " or ".join("several (12+6+21)" if get_origin(one) is tuple else words[one] for one in kinds)
