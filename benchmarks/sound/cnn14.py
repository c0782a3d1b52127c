"""CNN14 to half its multiply-adds: seconds and memory, without data and with 64 clips of 10 s. Weights are random.

Run as a file, it prunes once in a process of its own and prints what that took.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

import secateurs as sc
from secateurs import zoo

CLIPS = (0, 64)


def once(clips: int) -> dict[str, Any]:
    """One run, on waveforms of noise."""
    torch.manual_seed(0)
    model = zoo.build("cnn14").eval()
    x = 0.1 * torch.randn(max(clips, 1), 320_000)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x), batch_size=8)
    wall, spent = time.perf_counter(), time.process_time()
    result = sc.prune(model, x[:1], macs=0.5, **({"data": loader} if clips else {}))
    return {
        "clips": clips,
        "wall": round(time.perf_counter() - wall, 1),
        "processor": round(time.process_time() - spent, 1),
        "threads": torch.get_num_threads(),
        "GiB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "macs": [result.before.macs, result.after.macs],
        "proof": result.verification.max_rel_diff,
        "seconds": {name: round(value, 1) for name, value in result.seconds.items()},
    }


def run() -> list[dict[str, Any]]:
    """Both, each in a process of its own."""
    found = []
    for clips in CLIPS:
        words = [sys.executable, str(Path(__file__).resolve()), str(clips)]
        done = subprocess.run(words, check=True, capture_output=True, text=True)
        found.append(json.loads(done.stdout.splitlines()[-1]))
    return found


if __name__ == "__main__":
    print(json.dumps(once(int(sys.argv[1]))))
