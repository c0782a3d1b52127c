"""Where the time of one command goes: from a checkpoint to a repaired network, and how much of it is linear algebra.

    python benchmarks/prune_time.py --cifar10 FOLDER --weights resnet56.safetensors [--model resnet56] [--macs 0.513]
        [--threads 2]

Seconds on the clock: the stages of `prune` with its defaults, and inside them, from one profile of the same run, the
Gram matrices of the inputs, the solutions of linear systems, and the order of removal by block downdates.
"""

from __future__ import annotations

import cProfile
import pstats
import time

import torch

import secateurs as sc
from cifar import arguments, loaded

INSIDE = {
    "solving the refits": ("refit.py", "refit"),
    "orders of removal": ("select/moments.py", "moments"),
    "Gram matrices": ("observe/moments.py", "of"),
    "products of the refinements": ("compensate/conjugate.py", "conjugate_gradients"),
}


def seconds(profile: pstats.Stats, place: tuple[str, str]) -> float:
    """Time in a function with all it calls."""
    file, name = place
    rows = profile.stats.items()  # type: ignore[attr-defined]
    return float(sum(row[3] for (path, _, called), row in rows if path.endswith(file) and called == name))


def main() -> None:
    """Prune once under a profile, and print."""
    parser = arguments(__doc__, "resnet56")
    parser.add_argument("--macs", type=float, default=0.513)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model, source = loaded(args)
    profile = cProfile.Profile()
    started = time.perf_counter()
    with profile:
        made = sc.prune(model, torch.zeros(1, 3, 32, 32), macs=args.macs, data=source.calibration(2048))
    print(f"{args.model} to {100 * args.macs:g} % of its MACs, {args.threads} threads")
    for stage, spent in {**made.seconds, "all": time.perf_counter() - started}.items():
        print(f"{stage:30} {spent:8.1f} s")
    stats = pstats.Stats(profile)
    for name, place in INSIDE.items():
        print(f"  {name:28} {seconds(stats, place):8.1f} s")


if __name__ == "__main__":
    main()
