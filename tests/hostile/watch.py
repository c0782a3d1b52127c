"""Prune through the public function, and look at everything afterwards: the original, the result, what silencing says.

Used by the hostile networks, by random networks and by the coverage table.
"""

from __future__ import annotations

import contextlib
import copy
import io
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

import secateurs as sc
from hostile.original import Snapshot, bits
from hostile.reach import tensors_of
from hostile.silencing import lost_by, silenced

Read = Callable[[nn.Module, Any], Any]
Build = Callable[[], nn.Module]


UNKNOWN = "a weight is computed in a way that silencing by the plan does not know"


@dataclass(frozen=True)
class Watched:
    """What `sc.prune` gave or raised, and in what the original differs afterwards."""

    model: nn.Module
    result: sc.Result | None
    error: BaseException | None
    differences: list[str] = field(default_factory=list)
    stderr: str = ""
    seconds: float = 0.0


def prune_watched(model: nn.Module, example: Any, **options: Any) -> Watched:
    """Prune, catch what is raised, compare the original with what it was before. `seconds` are the processor's."""
    before, result, error, said = Snapshot.of(model), None, None, io.StringIO()
    at = time.process_time()
    with warnings.catch_warnings(), contextlib.redirect_stderr(said):
        warnings.simplefilter("ignore")
        try:
            result = sc.prune(model, example, **options)
        except Exception as raised:
            error = raised
    seconds = time.process_time() - at
    return Watched(model, result, error, before.differences(model), said.getvalue(), seconds)


def run(model: nn.Module, example: Any, read: Read | None = None) -> list[tuple[str, Tensor]]:
    """All tensors of one pass without gradients, with fixed random numbers, in the mode the model is in."""
    args, kwargs = arguments(example)
    with torch.no_grad(), torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        out = model(*args, **kwargs)
    return tensors_of(read(model, out) if read else out)


def arguments(example: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and named arguments of an example."""
    if isinstance(example, dict):
        return (), example
    return (example,) if isinstance(example, Tensor) else tuple(example), {}


def digest(found: list[tuple[str, Tensor]]) -> list[str]:
    """Names, shapes and bits of outputs: equal digests are equal outputs."""
    return [f"{path} {t.dtype} {tuple(t.shape)} {bits(t)}" for path, t in found]


def resized(example: Any) -> Any:
    """The example at another size: images to 160 pixels where they are large, by half as much where small."""

    def one(x: Any) -> Any:
        if not isinstance(x, Tensor) or x.dim() < 3 or x.shape[-1] < 4:
            return x
        sides = [160 if s >= 192 else s + s // 2 for s in x.shape[(2 if x.dim() >= 4 else -1) :]]
        if not x.is_floating_point():
            return x.repeat_interleave(2, -1)[..., : sides[-1]]
        mode = {1: "linear", 2: "bilinear", 3: "trilinear"}[len(sides)]
        return torch.nn.functional.interpolate(x, size=sides, mode=mode)

    return pytree.tree_map(one, example)


def twice(example: Any) -> Any:
    """Two samples: batch norm does not train on one."""
    return pytree.tree_map(
        lambda x: (
            torch.cat([x, x.flip(-1) if x.dim() > 1 else x]) if isinstance(x, Tensor) and x.dim() else x
        ),
        example,
    )


def runs_alike(
    build: Build, small: nn.Module, example: Any, read: Read | None = None, training: bool = True
) -> list[str]:
    """Where the result does not run, or gives other shapes, though the original does: both modes, both sizes."""
    found = []
    for size, given in (("the example's size", example), ("another size", resized(example))):
        for mode in (False, True) if training else (False,):
            shown = twice(given) if mode else given
            try:
                expected = run(build().train(mode), shown, read)
            except Exception:  # where the original does not run, nothing is asked of the result
                continue
            where = f"{'training' if mode else 'evaluation'} at {size}"
            flags = [(m, m.training) for m in small.modules()]
            try:
                got = run(_fresh(small).train(mode), shown, read)
                if [t.dim() if mode else tuple(t.shape) for _, t in got] != [
                    t.dim() if mode else tuple(t.shape) for _, t in expected
                ]:
                    found.append(f"{where}: other shapes")
            except Exception as error:
                found.append(f"{where}: {type(error).__name__}: {(str(error) or '?').splitlines()[0][:120]}")
            finally:
                for module, flag in flags:
                    module.training = flag
    return found


def _fresh(small: nn.Module) -> nn.Module:
    """A copy, as the original is built anew for every try; the network itself where it cannot be copied."""
    try:
        return copy.deepcopy(small)
    except Exception:
        return small


def silencing_gap(
    build: Build, small: nn.Module, plan: Any, example: Any, read: Read | None = None, double: bool = True
) -> tuple[float, str, int]:
    """Compare the result with a twin of the original that is silenced by the plan alone.

    Network outputs are compared, and the outputs of all modules that kept their shape, each relative to its own
    spread (largest less smallest finite value).

    Args:
        build: Gives a fresh twin of the original.
        small: The result, unrepaired; it is turned to float64 where `double` says so.
        plan: The plan of the result.
        example: One input.
        read: Finds the output where it is no return value.
        double: Whether all is done in float64.

    Returns:
        The largest gap, where it is, and how many places were compared.
    """
    kind = torch.float64 if double else torch.float32
    whole = build().eval().to(kind)
    given = pytree.tree_map(
        lambda x: x.to(kind) if isinstance(x, Tensor) and x.is_floating_point() else x, example
    )
    small = small.to(kind)
    before = torch.get_default_dtype()
    torch.set_default_dtype(kind)
    try:
        quiet = silenced(whole, plan)
        with quiet:
            left = _places(whole, given, read)
        right = _places(small.eval(), given, read)
    finally:
        torch.set_default_dtype(before)
    if quiet.missed():
        return 0.0, UNKNOWN, 0
    worst, where, count = 0.0, "", 0
    for name, a in left.items():
        b = right.get(name)
        if name.startswith("output") and (b is None or b.shape != a.shape):
            return float("inf"), f"{name} is missing or has another shape", count
        if b is None or a.shape != b.shape or not a.numel():
            continue
        count += 1
        gap = spread_gap(a, b)
        if gap > worst:
            worst, where = gap, name
    return worst, where, count


def spread_gap(a: Tensor, b: Tensor) -> float:
    """Largest difference relative to the spread of `a`'s finite values; infinite where others are not finite."""
    if not (a.is_floating_point() or a.is_complex()):
        return float((a != b).any())
    a, b = (torch.view_as_real(t) if t.is_complex() else t for t in (a, b))
    fine = torch.isfinite(a)
    if not torch.equal(fine, torch.isfinite(b)) or not torch.equal(
        a[~fine].nan_to_num(), b[~fine].nan_to_num()
    ):
        return float("inf")
    if not bool(fine.any()):
        return 0.0
    a, b = a[fine].double(), b[fine].double()
    ordinary = a.abs() < 1e8  # a mask's -1e9 and a constant of 1e12 say nothing about the rest
    if bool(ordinary.any()) and not bool(ordinary.all()):
        return max(spread_gap(a[ordinary], b[ordinary]), spread_gap(a[~ordinary], b[~ordinary]))
    spread = float(a.max() - a.min()) or float(a.abs().max()) or 1.0
    return float((a - b).abs().max()) / spread


def _places(model: nn.Module, given: Any, read: Read | None) -> dict[str, Tensor]:
    """The network's outputs, and what every module gave, by name and call."""
    places: dict[str, Tensor] = {}
    handles = []
    for name, module in model.named_modules():

        def keep(_: nn.Module, args: Any, out: Any, name: str = name) -> None:
            if isinstance(out, Tensor):
                places[f"{name}/{sum(key.startswith(f'{name}/') for key in places)}"] = out.detach().clone()

        if name and not list(module.children()):
            handles.append(module.register_forward_hook(keep))
    try:
        out = run(model, given, read)
    finally:
        for handle in handles:
            handle.remove()
    return {**places, **{f"output{path}": t for path, t in out}}


def nothing_left(plan: Any) -> bool:
    """Whether a plan removes nothing at all."""
    return not any(axes for axes in lost_by(plan).values())
