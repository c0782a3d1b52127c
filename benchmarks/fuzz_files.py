"""Change saved files, plans and results in thousands of ways and read them: one sentence or a network, no more.

    python benchmarks/fuzz_files.py [--count 2000] [--seed 0] [--limit 1024]

Each is read in this process, whose memory may not grow by more than --limit MiB (on Linux the system enforces it).
Prints what became of them, and what the slowest took of the processor's time.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tests")]
sys.path.append(str(HERE.parent / "src"))

import torch  # noqa: E402

import secateurs as sc  # noqa: E402
from mutations import changed_file, changed_text, outcome  # noqa: E402
from networks import EXAMPLE, residual  # noqa: E402
from secateurs.config import PruneConfig  # noqa: E402
from secateurs.report.page import page  # noqa: E402
from secateurs.report.record import Record  # noqa: E402
from secateurs.runs.run import run  # noqa: E402
from secateurs.runs.source import Source  # noqa: E402


def main() -> int:
    """Read as many as asked; fails where anything but our own errors is raised, or one takes a second."""
    given = _options()
    torch.set_num_threads(1)
    folder = Path(tempfile.mkdtemp())
    readers = _readers(folder)
    before = _peak()
    _allow(given.limit)
    found: Counter[str] = Counter()
    wrong, slowest = [], (0.0, "")
    for seed in range(given.seed, given.seed + given.count):
        name, read = readers[seed % len(readers)]
        made = read(random.Random(seed))
        begun = time.process_time()
        what = outcome(made, sc.SecateursError)
        slowest = max(slowest, (time.process_time() - begun, f"{name} of seed {seed}"))
        found[f"{name} {what}"] += 1
        if what not in ("read", "refused"):
            wrong.append(f"seed {seed}: {name}: {what}")
    print("\n".join(wrong))
    print(", ".join(f"{count} {what}" for what, count in sorted(found.items())))
    print(
        f"{given.count} from seed {given.seed}: {len(wrong)} wrong; the slowest took {slowest[0]:.2f} s of the "
        f"processor ({slowest[1]}); memory grew from {before} to {_peak()} MiB at most"
    )
    return 1 if wrong or slowest[0] > 1 else 0


def _options() -> argparse.Namespace:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--count", type=int, default=2000)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--limit", type=int, default=1024)
    return options.parse_args()


Reader = Callable[[random.Random], Callable[[], object]]


def _readers(folder: Path) -> list[tuple[str, Reader]]:
    """From a random state to the call that reads a changed file, plan or result; files are half of all."""
    net = residual()
    example = EXAMPLE
    done = run(
        Source("resnet20", net, tuple(example.shape), None), None, PruneConfig(method="l1-norm", macs=0.6)
    )
    path = folder / "model.safetensors"
    sc.surgery.save_model(done.model, done.plan, path)
    framed = sc.prune(net, example, method="l1-norm", macs=0.8, frame=True)
    sc.save(framed, folder / "framed.safetensors")
    files = [path.read_bytes(), (folder / "framed.safetensors").read_bytes()]
    changed = folder / "changed.safetensors"

    def file(draw: random.Random) -> Callable[[], object]:
        changed.write_bytes(changed_file(draw.choice(files), draw))
        return lambda: sc.load(changed, into=net)

    def plan(draw: random.Random) -> Callable[[], object]:
        text = changed_text(draw.choice([done.plan, framed.plan]).to_json(), draw)
        return lambda: sc.remove(net, sc.Plan.from_json(text))

    def result(draw: random.Random) -> Callable[[], object]:
        text = changed_text(done.record.to_json(), draw)
        return lambda: page(Record.from_json(text, "result.json"))

    return [("file", file), ("plan", plan), ("file", file), ("result", result)]


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _allow(more: int) -> None:
    """Ask the system to refuse memory beyond what is in use now and so many MiB."""
    status = Path("/proc/self/statm")
    if status.exists():
        pages = int(status.read_text().split()[0])
        most = pages * resource.getpagesize() + more * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))


if __name__ == "__main__":
    sys.exit(main())
