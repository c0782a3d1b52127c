"""Prune random networks at random targets and prove each; stops at the first failure with its seed.

    python benchmarks/fuzz.py (--seconds N | --count N) [--seed 0] [--threads 1]

Networks are captured in turn by shapes, by torch.export and by running them, so that all three ways are tried.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import warnings
from collections import Counter
from pathlib import Path
from unittest import mock

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tests" / "graph")]
sys.path.append(str(HERE.parent / "src"))

import torch  # noqa: E402
from checks import Cut, outputs, prune, randomise, some  # noqa: E402
from random_networks import from_seed  # noqa: E402

from secateurs.graph.capture import capture, exported, recorded  # noqa: E402

WAYS = (capture, recorded, capture, exported)


def one(seed: int) -> Cut:
    """Build, prune and prove the network of a seed; raises where anything is wrong."""
    net = randomise(from_seed(seed), seed).eval()
    example = torch.randn(1 + seed % 2, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    outputs(net, example)  # a network that does not run is a fault of the generator
    with mock.patch("secateurs.graph.captures.capture", WAYS[seed % 4]):
        cut = prune(net, example, some, seed)
    if not cut.proof.passed:
        raise AssertionError(str(cut.proof))
    if sum(p.numel() for p in cut.small.parameters()) != cut.plan.predicted["params"]:
        raise AssertionError("the plan predicted another number of parameters")
    if any(not group.locked for group in cut.graph.locked):
        raise AssertionError("a group is locked without a reason")
    return cut


def main() -> int:
    """Run until the time or the count is over."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--seconds", type=float)
    options.add_argument("--count", type=int)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--keep-going", action="store_true", help="list all failures instead of the first")
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    warnings.simplefilter("ignore")
    begun, spent, shares, failed, reasons = time.perf_counter(), [], [], [], Counter()
    seed = given.seed
    while (given.count is None or seed - given.seed < given.count) and (
        given.seconds is None or time.perf_counter() - begun < given.seconds
    ):
        at = time.perf_counter()
        try:
            cut = one(seed)
            shares.append(len(cut.graph.free) / max(1, len(cut.graph.groups) - 1))
            reasons.update(
                str(group.locked).split(" in ")[0].split(" at ")[0][:60] for group in cut.graph.locked
            )
        except Exception as error:
            failed.append(seed)
            print(f"seed {seed}: {type(error).__name__}: {str(error)[:400]}", flush=True)
            print("   " + "; ".join(from_seed(seed).story), flush=True)
            if not given.keep_going:
                break
        spent.append(time.perf_counter() - at)
        seed += 1
        if len(spent) % 500 == 0:
            print(
                f"{len(spent)} networks, {len(failed)} failures, {time.perf_counter() - begun:.0f} s",
                flush=True,
            )
    print(
        f"{len(spent)} networks from seed {given.seed}: {len(failed)} failures {failed[:20]}; median "
        f"{1e3 * statistics.median(spent or [0]):.0f} ms each; "
        f"{100 * statistics.fmean(shares or [0]):.0f} % of groups free"
    )
    for reason, count in reasons.most_common(12):
        print(f"  {count:6d} locked: {reason}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
