"""Put one wrong index into one consumer of pruned networks, many times, and count how often the proof notices.

    python benchmarks/sabotage.py [--count 1000] [--seed 0] [--json FILE]

Random networks and patterns in turn. A sabotage counts where it changes the function: some output moves, on the
example or on random inputs. Where only stored numbers change and no output does (a dead filter, masked logits) it is
listed apart: the proof may notice, and need not.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tests" / "graph")]
sys.path.append(str(HERE.parent / "src"))

import torch  # noqa: E402
from checks import prune, randomise, some  # noqa: E402
from random_networks import from_seed  # noqa: E402
from wrong_index import pattern_source, sabotage  # noqa: E402

MOVES = 1e-9
"""Change of an output, relative to its spread, from which on the function counts as another one."""


def tried(seed: int, patterns: Any) -> Any:
    """Prune, prove and sabotage the network of a seed; None where nothing could be sabotaged."""
    if seed % 2:
        net, example = patterns(seed // 2)
    else:
        net = randomise(from_seed(seed), seed).eval()
        example = torch.randn(1 + seed % 3 % 2, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    cut = prune(net, example, some, seed)
    if not cut.proof.passed:
        raise AssertionError(f"the correct network is not proven: {cut.proof}")
    return sabotage(net, cut, example, seed)


def main() -> int:
    """Sabotage until enough of them change the function; print the rate and every miss."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--count", type=int, default=1000, help="sabotages that change the function")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--json", type=Path)
    given = options.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    patterns, begun, seed = pattern_source(), time.process_time(), given.seed
    changing = caught = quiet = quiet_caught = nothing = 0
    misses, broken = [], []
    while changing < given.count:
        try:
            done = tried(seed, patterns)
        except Exception as error:
            broken.append({"seed": seed, "error": f"{type(error).__name__}: {str(error)[:200]}"})
            print(f"seed {seed}: {broken[-1]['error']}", flush=True)
            done = None
        if done is None or not done.weights:
            nothing += 1
        elif done.moves > MOVES:
            changing, caught = changing + 1, caught + done.caught
            if not done.caught:
                misses.append({"seed": seed, **asdict(done)})
                print(f"MISSED {misses[-1]}", flush=True)
        else:
            quiet, quiet_caught = quiet + 1, quiet_caught + done.caught
        seed += 1
    print(
        f"caught {caught} of {changing} that change the function; {quiet_caught} of {quiet} that change weights and "
        f"no output; {nothing} networks where nothing could be changed; seeds {given.seed} to {seed - 1}; "
        f"{time.process_time() - begun:.0f} s of the processor"
    )
    if given.json:
        found = {
            "caught": caught,
            "of": changing,
            "quiet": quiet,
            "quiet_caught": quiet_caught,
            "misses": misses,
        }
        given.json.write_text(
            json.dumps({**found, "seeds": [given.seed, seed - 1], "broken": broken}, indent=1)
        )
    return 1 if misses or broken else 0


if __name__ == "__main__":
    sys.exit(main())
