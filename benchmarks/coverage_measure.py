"""What the coverage table measures of one network, each part in a process of its own.

`settled` writes the weights that all parts use (in a process of its own, for fitting batch norm runs a network, and a
cold network must never have run); `expected` prints what the original gives where nothing is pruned; `pruned` prunes
through `sc.prune` and looks at everything afterwards.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tests"), str(HERE.parent / "tests" / "graph")]

import torch  # noqa: E402
from torch import nn  # noqa: E402

import networks  # noqa: E402
import secateurs as sc  # noqa: E402
from apart import peak, reset_peak  # noqa: E402
from coverage_peer import widths  # noqa: E402
from hostile.original import shared  # noqa: E402
from hostile.watch import UNKNOWN, digest, prune_watched, run, runs_alike, silencing_gap  # noqa: E402

LARGE = 6e7
"""Parameters above which silencing is compared in float32."""
KEEP = 0.5


def settled(name: str, path: str) -> Iterator[dict[str, Any]]:
    """Write the weights and statistics of a network."""
    torch.set_num_threads(1)
    model, example = networks.build(name)
    names = {key for key, _ in [*model.named_parameters(), *model.named_buffers()]}
    networks.settle(model, example)
    torch.save({key: value for key, value in model.state_dict().items() if key in names}, path)
    yield {}


def made(name: str, path: str, way: str) -> tuple[nn.Module, Any]:
    """A network with the settled weights, cold or run before."""
    model, example = networks.build(name)
    weights = model.state_dict()  # with the versions of its layers, which a plain dictionary has not
    weights.update(torch.load(path, weights_only=True))
    model.load_state_dict(weights, strict=False)
    if way == "run before":
        run(model, example)
    return model.eval(), example


def expected(name: str, path: str, way: str) -> Iterator[dict[str, Any]]:
    """The outputs of a network that nobody prunes, as hashes."""
    torch.set_num_threads(1)
    model, example = made(name, path, way)
    yield {"expected": digest(run(model, example))}


def pruned(
    name: str, path: str, way: str, outputs: list[str], threads: int, onnx: bool
) -> Iterator[dict[str, Any]]:
    """Prune half of every group, through the public function; then the original, the result and silencing."""
    torch.set_num_threads(threads)
    model, example = made(name, path, way)
    whole = widths(model)
    start = reset_peak()
    # Stages are timed by the processor, so that a busy machine does not change them.
    with mock.patch("time.perf_counter", time.process_time):
        watched = prune_watched(model, example, method="random", keep=KEEP)
    found: dict[str, Any] = {
        "name": name,
        "memory": (peak() - start) / 2**20,
        "total": watched.seconds,
        "differences": watched.differences[:20],
        "stderr": watched.stderr[-300:],
    }
    try:
        found["bits"] = digest(run(model, example)) == outputs
    except Exception as error:
        found["bits"], found["differences"] = (
            False,
            [*found["differences"], f"it does not run: {error}"[:200]],
        )
    if isinstance(watched.error, sc.TargetError):  # one sentence: nothing may leave
        yield {**found, "whole": str(watched.error).splitlines()[0][:300]}
        return
    if watched.result is None:
        yield {
            **found,
            "error": f"{type(watched.error).__name__}: {(str(watched.error) or '?').splitlines()[0][:300]}",
        }
        return
    result = watched.result
    yield {**found, **_facts(result, whole)}

    def build() -> nn.Module:
        return made(name, path, way)[0]

    yield {"shared": shared(model, result.model)[:5]}
    yield {"runs": runs_alike(build, result.model, example, training=way == "cold")}
    if onnx and way == "cold":
        yield {"onnx": _onnx(result.model, example)}
    double = sum(p.numel() for p in model.parameters()) < LARGE
    if any(axes for axes in result.plan.steps[0].slices.values()):
        yield _silencing(name, path, result, example, double)


def _silencing(name: str, path: str, result: Any, example: Any, double: bool) -> dict[str, Any]:
    def build() -> nn.Module:
        return made(name, path, "cold")[0]

    for precise in (True, False) if double else (False,):
        try:
            gap, where, count = silencing_gap(
                build, sc.remove(build(), result.plan), result.plan, example, double=precise
            )  # cut anew, for the result has been trained and run by now
        except (RuntimeError, TypeError, ValueError) as error:  # code that fixes a type cannot run in float64
            said = f"{type(error).__name__}: {(str(error) or '?').splitlines()[0][:150]}"
            continue
        fine = gap < (1e-6 if precise else 1e-3)  # weight norm's scales are rounded to float32
        return {
            "silencing": gap,
            "silenced": fine if where != UNKNOWN else None,
            "where": where,
            "places": count,
        }
    return {"silenced": None, "where": said}


def _facts(result: Any, whole: dict[str, tuple[int, ...]]) -> dict[str, Any]:
    """What the result says of itself."""
    less, proof = widths(result.model), result.verification
    macs = sum(g.macs for g in result.groups) or 1
    reasons: Counter[str] = Counter()
    for group in result.groups:
        if group.status == "locked":
            reasons[str(group.reason).split(" in ")[0].split(" at ")[0][:70]] += group.macs
    seconds = dict(result.seconds)
    return {
        "passed": bool(proof.passed),
        "diff": proof.max_rel_diff,
        "layers": len(whole),
        "smaller": sum(less.get(k) != whole[k] for k in whole),
        "macs_kept": result.after.macs / max(1, result.before.macs),
        "leaves": sum(g.macs for g in result.groups if g.status != "locked") / macs,
        "locked": {reason: cost / macs for reason, cost in reasons.most_common()},
        "proof": seconds.get("verify", 0.0),
        "seconds": seconds,
        "remarks": list(getattr(result, "remarks", ()))[:5],
    }


def _onnx(small: nn.Module, example: Any) -> str:
    from secateurs.export import export_onnx

    try:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with contextlib.redirect_stdout(sys.stderr):
                return f"{export_onnx(small, example, Path(folder) / 'net.onnx').max_rel_diff:.0e}"
    except Exception as error:
        return f"no: {type(error).__name__}"
