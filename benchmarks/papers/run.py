"""All paper files in one process, then the page.

    python benchmarks/papers/run.py --cifar10 FOLDER --models FOLDER --audio FILE --selections FILE [--quick]
        [--only NAME ...]

Cells that several papers need are made once. Each paper's JSON is written as it is done, docs/papers.md at the end.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE)]
sys.path.append(str(HERE.parents[1] / "src"))

import king2023centrality  # noqa: E402
import purohit2022omp  # noqa: E402
import singh2023nystrom  # noqa: E402
import wang2022qsfm  # noqa: E402
import zhang2019similarity  # noqa: E402
from bench import Bench, options, results_folder  # noqa: E402
from render import part, render  # noqa: E402
from results import about, write  # noqa: E402

PAPERS = (singh2023nystrom, wang2022qsfm, king2023centrality, purohit2022omp, zhang2019similarity)


def name_of(module: Any) -> str:
    """The name of a paper's file."""
    return Path(module.__file__).stem


def one(module: Any, bench: Bench, folder: Path) -> None:
    """Measure one paper, write its JSON, print its part of the page."""
    started = time.perf_counter()
    found = module.measured(bench)
    given = bench.given
    command = "python benchmarks/papers/run.py " + " ".join(a for a in sys.argv[1:] if a.startswith("--"))
    settings = {name: getattr(given, name) for name in ("test", "calibrate", "quick")}
    head = {**about(command.strip()), "settings": {**settings, "draws": bench.draws}}
    made = {"paper": name_of(module), **head, "seconds": time.perf_counter() - started, "measured": found}
    path = folder / f"{name_of(module)}.json"
    write(path, made, module.rows(bench, found))
    print("\n".join(part(module, path)), flush=True)


def alone(module: ModuleType) -> None:
    """A paper's file as a script."""
    given = options(module.__doc__).parse_args()
    one(module, Bench(given), results_folder(given))


def main() -> None:
    """All of them."""
    parser = options(__doc__)
    parser.add_argument("--only", nargs="*", choices=[name_of(module) for module in PAPERS])
    given: argparse.Namespace = parser.parse_args()
    bench, folder = Bench(given), results_folder(given)
    for module in PAPERS:
        if given.only is None or name_of(module) in given.only:
            one(module, bench, folder)
    page = folder / "papers.md" if given.quick or given.out else HERE.parents[1] / "docs" / "papers.md"
    render(folder, page)
    print(f"{page} is written")


if __name__ == "__main__":
    main()
