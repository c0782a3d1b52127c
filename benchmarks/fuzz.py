"""Prune random networks at random targets through `sc.prune`, and look at everything; says each failure with its seed.

    python benchmarks/fuzz.py (--seconds N | --count N) [--seed 0] [--plain] [--keep-going] [--json FILE]

The networks keep tables on first use, hide their outputs in objects or under masks, branch by size and training, use
their width as a number, attend, are reparametrised, and draw random numbers, besides all ordinary steps (`--plain`:
those alone, in turn captured by shapes, by torch.export and by running them). Every second one has run before it is
pruned. Afterwards the original has to be as it was, bit for bit, and run; the result has to run in both modes at two
sizes and equal the original silenced by the plan alone.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any
from unittest import mock

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tests"), str(HERE.parent / "tests" / "graph")]
sys.path.append(str(HERE.parent / "src"))

import torch  # noqa: E402
from checks import prune, randomise, some  # noqa: E402
from random_networks import from_seed  # noqa: E402

import secateurs as sc  # noqa: E402
from hostile.watch import (  # noqa: E402
    UNKNOWN,
    digest,
    nothing_left,
    prune_watched,
    resized,
    run,
    runs_alike,
    silencing_gap,
)
from secateurs.graph.capture import capture, exported, recorded  # noqa: E402

WAYS = (capture, recorded, capture, exported)
TOLERANCE, RESCALED = 1e-9, 1e-4
"""Largest gap to silencing, of the spread; where weight norm's scale is written anew it is rounded to float32."""


def example_of(seed: int) -> torch.Tensor:
    """One input of a seed."""
    return torch.randn(1 + seed % 2, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


def plain(seed: int) -> list[str]:
    """Prune an ordinary network by the engine's own stages, by one of the ways to capture; reasons of locks."""
    net, example = randomise(from_seed(seed), seed).eval(), example_of(seed)
    run(net, example)  # a network that does not run is a fault of the generator
    with mock.patch("secateurs.graph.captures.program_of", WAYS[seed % 4]):
        cut = prune(net, example, some, seed)
    if not cut.proof.passed:
        raise AssertionError(str(cut.proof))
    if sum(p.numel() for p in cut.small.parameters()) != cut.plan.predicted["params"]:
        raise AssertionError("the plan predicted another number of parameters")
    if any(not group.locked for group in cut.graph.locked):
        raise AssertionError("a group is locked without a reason")
    return [str(group.locked) for group in cut.graph.locked]


def hostile(seed: int) -> list[str]:
    """Prune a hostile network by the public function and look at everything; reasons of locks."""

    def build() -> Any:
        return randomise(from_seed(seed, hostile=True), seed).eval()

    def prepared() -> Any:
        net = build()
        if seed % 2:
            run(net, example)
        return net

    example = example_of(seed)
    expected = digest(run(prepared(), example))
    keep = 0.2 + 0.7 * ((seed * 7919) % 100) / 100
    watched = prune_watched(prepared(), example, method="random", keep=keep, seed=seed)
    if watched.differences:
        raise AssertionError("the original: " + "; ".join(watched.differences[:4]))
    if digest(run(watched.model, example)) != expected:
        raise AssertionError("the original gives other outputs")
    if watched.error is not None:
        if isinstance(watched.error, sc.TargetError):  # nothing may leave
            return ["refused: no plan reaches the target"]
        raise watched.error
    assert watched.result is not None
    result = watched.result
    if not result.verification.passed:
        raise AssertionError(str(result.verification))
    problems = runs_alike(prepared, result.model, example)
    if problems:
        raise AssertionError("the result: " + "; ".join(problems))
    if not build().random and not nothing_left(result.plan):
        _equal(build, result.plan, example)
    return [str(group.reason) for group in result.groups if group.status == "locked"]


def _equal(build: Any, plan: Any, example: Any) -> None:
    computed = any(".parametrizations." in name or name.endswith("_v") for name in plan.steps[0].slices)
    for given in (example, resized(example)):
        try:
            run(build(), given)
        except Exception:  # the network takes no other size
            continue
        gap, where, count = silencing_gap(build, sc.remove(build(), plan), plan, given)
        if gap > (RESCALED if computed else TOLERANCE) or not (count or where == UNKNOWN):
            raise AssertionError(f"silencing by the plan differs by {gap:.1e} at {where} ({count} places)")


def main() -> int:
    """Run until the time or the count is over."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--seconds", type=float)
    options.add_argument("--count", type=int)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--plain", action="store_true", help="ordinary networks, by all ways to capture")
    options.add_argument("--keep-going", action="store_true", help="list all failures instead of the first")
    options.add_argument("--json", type=Path, help="write what was found")
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    warnings.simplefilter("ignore")
    one = plain if given.plain else hostile
    begun, spent, failed, reasons, seed = time.perf_counter(), [], [], Counter(), given.seed
    while (given.count is None or seed - given.seed < given.count) and (
        given.seconds is None or time.perf_counter() - begun < given.seconds
    ):
        at = time.perf_counter()
        try:
            reasons.update(why.split(" in ")[0].split(" at ")[0][:60] for why in one(seed))
        except Exception as error:
            first = (str(error) or "?").splitlines()[0][:300]
            failed.append({"seed": seed, "error": f"{type(error).__name__}: {first}"})
            print(f"seed {seed}: {failed[-1]['error']}", flush=True)
            print("   " + "; ".join(from_seed(seed, not given.plain).story), flush=True)
            if not given.keep_going:
                break
        spent.append(time.perf_counter() - at)
        seed += 1
        if len(spent) % 500 == 0:
            print(f"{len(spent)} networks, {len(failed)} failures", flush=True)
    print(
        f"{len(spent)} networks from seed {given.seed}: {len(failed)} failures; "
        f"median {1e3 * statistics.median(spent or [0]):.0f} ms each"
    )
    for reason, count in reasons.most_common(12):
        print(f"  {count:6d} locked: {reason}")
    if given.json:
        given.json.write_text(
            json.dumps({"networks": len(spent), "from": given.seed, "failed": failed}, indent=1)
        )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
