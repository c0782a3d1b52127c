"""The settings of a `PruneConfig` as options of a command, and a run that a file repeats."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import Field, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

from secateurs.cli.options import exceptions, number, number_or_text
from secateurs.config import ABSOLUTE, GOALS, Kind, Option, PruneConfig
from secateurs.errors import InputError
from secateurs.tuning import TuneConfig

if TYPE_CHECKING:
    from secateurs.meters.named import NamedMetric
    from secateurs.methods import Method

_READ: Mapping[Kind, Any] = {
    "goal": float | None,
    "count": int | None,
    "seed": int | None,
    "workers": int | None,
    "number": float | None,
    "flag": bool | None,
    "choice": bool | None,
    "shares": list[str] | None,
}


def with_settings(
    after: str, without: Collection[str] = (), of: type[PruneConfig | TuneConfig] = PruneConfig
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option for each setting of a config, handed on by name in `settings`.

    Args:
        after: The command's own parameter that they follow in its help.
        without: Settings that get none.
        of: The config.

    Options that are not given are left out of `settings`.

    Example:
        >>> @with_settings(after="name")
        ... def show(name: str, **settings: Any) -> None:
        ...     print(name, settings)
        >>> show(name="net", macs=0.5, keep=None)
        net {'macs': 0.5}
    """
    return functools.partial(_with_settings, after, without, of)


def _with_settings(
    after: str,
    without: Collection[str],
    of: type[PruneConfig | TuneConfig],
    command: Callable[..., None],
) -> Callable[..., None]:
    own = [
        parameter
        for parameter in inspect.signature(command, eval_str=True).parameters.values()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    offered = [one for one in fields(of) if one.metadata["option"].help and one.name not in without]

    @functools.wraps(command)
    def run(**given: Any) -> None:
        settings = {one.name: given.pop(one.name, None) for one in offered}
        command(**given, **{name: value for name, value in settings.items() if value is not None})

    place = 1 + [each.name for each in own].index(after)
    every = [*own[:place], *(_parameter(one) for one in offered), *own[place:]]
    every = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in every]
    run.__signature__ = inspect.Signature(every)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in every}
    return run


def several(name: str) -> Any:
    """The option of a setting for a command that takes several of them."""
    one = next(one for one in fields(PruneConfig) if one.name == name)
    option: Option = one.metadata["option"]
    told: dict[str, Any] = {"help": f"{option.help} May be repeated.", "show_default": False}
    if option.kind == "goal":
        told["parser"] = str if name in ABSOLUTE else number
    return typer.Option(option.flag or _flag(name), metavar=option.metavar, **told)


def _parameter(one: Field[Any]) -> inspect.Parameter:
    option: Option = one.metadata["option"]
    flag = option.flag or _flag(one.name)
    usual = f" By default {_plainly(one.default)}." if one.default not in (None, False) else ""
    told: dict[str, Any] = {"help": option.help + usual, "show_default": False}
    if option.kind == "goal":
        told["parser"] = str if one.name in ABSOLUTE else number
    if option.kind == "number":
        told["parser"] = number
    if option.kind == "seed":
        told.update(min=0, max=2**32 - 1)
    if option.kind in ("flag", "choice"):
        flag = f"{flag}/--no-{flag[2:]}"
    else:
        told["metavar"] = option.metavar
    kind = str | None if one.name in ABSOLUTE else _READ.get(option.kind, str | None)
    annotation = Annotated[kind, typer.Option(flag, **told)]  # type: ignore[valid-type]
    return inspect.Parameter(one.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _plainly(value: Any) -> str:
    """A default as the command line takes it."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def read_settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a command's options, checked under the names that the options have.

    Raises:
        InputError: Several targets, a share that is none, or a pattern without one.

    Example:
        >>> read_settings({"layers": ["conv1=1"], "macs": 0.5})
        {'layers': {'conv1': 1.0}, 'macs': 0.5}
    """
    from secateurs.targets.given import one_target

    found = dict(given)
    for one in fields(PruneConfig):
        if one.metadata["option"].kind == "count" and found.get(one.name, 1) < 1:
            raise InputError(f"{_flag(one.name)} {found[one.name]}: give a whole number from 1.")
    if "round_to" in found:
        found["round_to"] = _multiple(found["round_to"])
    for absolute in ABSOLUTE:
        if absolute in found:
            found[absolute] = number_or_text(found[absolute])
    if "method" in found:
        found["method"] = method_named(found["method"])
    if "metric" in found:
        found["metric"] = metric_named(found["metric"])
    if "layers" in found:
        found["layers"] = exceptions(found["layers"]) or None
    try:
        one_target({name: found.get(name) for name in GOALS}, _flag)
    except InputError as problem:
        name = next((name for name in GOALS if str(problem).startswith(f"{name} ")), None)
        raise InputError(
            f"{_flag(name)}{str(problem).removeprefix(name)}" if name else str(problem)
        ) from None
    return found


def _multiple(text: str) -> int | Literal["auto"]:
    """What `--round-to` gives.

    Raises:
        InputError: Neither "auto" nor a whole number from 1.
    """
    from secateurs.checks import check_multiple

    number = int(text) if text.isdecimal() and len(text) < 10 else text
    return check_multiple(_flag("round_to"), number)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


@dataclass(frozen=True)
class Asked:
    """What a run of `secateurs prune` was asked, as result.json keeps it.

    Attributes:
        model: The network, as the user named it.
        weights: Its file of weights, or None.
        data: The data, as the user named them, or None.
        inputs: Shapes of its inputs where the user gave them.
        config: The settings.
    """

    model: str
    weights: str | None
    data: str | None
    inputs: tuple[str, ...]
    config: PruneConfig

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON holds them."""
        return {
            "model": self.model,
            "weights": self.weights,
            "data": self.data,
            "inputs": list(self.inputs),
            "config": self.config.to_dict(),
        }


def asked_in(
    path: Path, trust: bool, own: tuple[bool, bool, bool] = (True, True, True)
) -> Asked | PruneConfig:
    """What a file asks for: a result.json the whole run, a file of settings by name a config.

    Args:
        path: The file, or the folder of a result.json.
        trust: Whether own code that the file names may be run.
        own: Whether the model, the data and the method of the file are to be used, or others in their place.

    Raises:
        InputError: It cannot be read, asks for nothing, or names code that nobody allowed.
    """
    from secateurs.checks import parsed, read_text
    from secateurs.data.resolve import names_own_data
    from secateurs.zoo import names_own_code

    path = path / "result.json" if path.is_dir() else path
    try:
        found = parsed(read_text(path), str(path))
    except (OSError, UnicodeDecodeError) as problem:
        why = getattr(problem, "strerror", None) or problem
        raise InputError(f"{path}: cannot be read ({why}); give a result.json, or settings as JSON") from None
    if not isinstance(found, Mapping):
        raise InputError(
            f"{path}: holds no settings; give a result.json of `secateurs prune`, or settings by name."
        )
    if "schema" not in found:
        config = PruneConfig.from_dict(found, str(path))
        return _trusted(config, path, trust, own[2])
    run = found.get("asked")
    if not isinstance(run, Mapping):
        raise InputError(
            f"{path}: does not say what was asked (the demo or an earlier release wrote it); run `secateurs prune` by "
            "its options."
        )
    asked = _asked(run, str(path))
    for name, used, runs in ((asked.model, own[0], names_own_code), (asked.data, own[1], names_own_data)):
        if name is not None and used and runs(name) and not trust:
            _refuse(path, name)
    return dataclasses.replace(asked, config=_trusted(asked.config, path, trust, own[2]))


def method_named(text: str) -> str | Method:
    """The method that a user names: one of the library, or code of their own, which is imported here and now.

    Raises:
        InputError: Own code cannot be found, fails, or is something else.

    Example:
        >>> method_named("fp_omp:faithful")
        'fp_omp:faithful'
    """
    from secateurs.methods import names_own_method, own_method

    return own_method(text) if names_own_method(text) else text


def metric_named(text: str) -> str | NamedMetric:
    """The metric that a user names: one of the library, or code of their own, which is imported here and now.

    Raises:
        InputError: Own code cannot be found, fails, or is no function.

    Example:
        >>> metric_named("map")
        'map'
    """
    from secateurs.meters.named import names_own_metric, own_metric

    return own_metric(text) if names_own_metric(text) else text


def _trusted(config: PruneConfig, path: Path, trust: bool, used: bool) -> PruneConfig:
    """The config of a file, whose own code is imported only where the user trusts the file."""
    from secateurs.meters.named import names_own_metric

    metric = config.metric
    if isinstance(metric, str) and names_own_metric(metric):
        if not trust:
            _refuse(path, metric)
        metric = metric_named(metric)
    method = _trusted_method(config.method, path, trust, used)
    return dataclasses.replace(config, method=method, metric=metric)


def _trusted_method(name: Any, path: Path, trust: bool, used: bool) -> Any:
    """The method that a file names, which is imported only where the user trusts the file."""
    from secateurs.methods import names_own_method

    if not used or not isinstance(name, str) or not names_own_method(name):
        return name
    if not trust:
        _refuse(path, name)
    return method_named(name)


def _refuse(path: Path, name: str) -> NoReturn:
    from secateurs.checks import shown

    raise InputError(
        f"{path}: names {shown(name)}, which would run code that is no part of secateurs, torchvision or timm; "
        "name it yourself as MODEL, --data, --method or --metric, or say --trust to run whatever the file names"
    )


def _asked(run: Mapping[str, Any], where: str) -> Asked:
    from secateurs.checks import check_kind

    for name, kind in (("model", str), ("weights", (str, type(None))), ("data", (str, type(None)))):
        check_kind(f"{where}: {name}", run.get(name), kind, "a name as on the command line")
    inputs = run.get("inputs", [])
    check_kind(f"{where}: inputs", inputs, list, "a list of shapes")
    for shape in inputs:
        check_kind(f"{where}: inputs", shape, str, "a list of shapes such as '1,3,32,32'")
    config = PruneConfig.from_dict(run.get("config"), where)
    return Asked(run["model"], run.get("weights"), run.get("data"), tuple(inputs), config)
