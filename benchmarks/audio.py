"""Audio networks, from waveform to a pruned network on the device: every figure of docs/audio.md.

    python benchmarks/audio.py --esc ESC-10 --models AUDIO_MODELS --keep FOLDER [--only esc10 yamnet scenes cnn14]
    python benchmarks/audio.py --render

ESC-10 lies in the official layout of ESC-50 (`audio`, `meta/esc50.csv`); AUDIO_MODELS holds the public weights. Cells
that are done stay in `--keep` and are not made anew. Results go to docs/results/audio, the page to docs/audio.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / "papers")]

from results import about  # noqa: E402

from sound import cnn14, esc10, page, scenes, yamnet  # noqa: E402

RESULTS = HERE.parent / "docs" / "results" / "audio"
PAGE = HERE.parent / "docs" / "audio.md"


def parts(given: argparse.Namespace) -> dict[str, Callable[[], Any]]:
    """What is measured, by name."""

    def of_esc10() -> Any:
        done = esc10.run(given.esc, given.keep)
        return {"rows": esc10.summaries(done), "whole": sorted({(c["fold"], c["whole"]) for c in done})}

    def of_yamnet() -> Any:
        done = yamnet.run(given.esc, given.models, given.keep)
        int8 = yamnet.in_int8(given.esc, given.models, given.keep, done)
        return {"rows": done, "int8": int8, "errors": yamnet.ERRORS}

    def of_scenes() -> Any:
        places = (given.esc, given.models, given.keep)
        return {"dcase2022": scenes.dcase2022(*places), "cp_mobile": scenes.cp_mobile(*places)}

    return {
        "esc10": of_esc10,
        "yamnet": of_yamnet,
        "scenes": of_scenes,
        "cnn14": lambda: {"rows": cnn14.run()},
    }


def main() -> int:
    """Measure, keep, render."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("esc", "models", "keep"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--only", nargs="*", default=["esc10", "yamnet", "scenes", "cnn14"])
    parser.add_argument("--commit", help="of the library, where finished cells were made by another")
    parser.add_argument(
        "--note", help="said beside a result: which cells were made otherwise, and why they may stand"
    )
    parser.add_argument("--render", action="store_true", help="only write the page from the results")
    given = parser.parse_args()
    if not given.render:
        RESULTS.mkdir(parents=True, exist_ok=True)
        given.keep.mkdir(parents=True, exist_ok=True)
        for name in given.only:
            found = about(f"python benchmarks/audio.py --only {name}") | parts(given)[name]()
            if given.commit:
                found["commit"] = given.commit
            if given.note:
                found["note"] = given.note
            (RESULTS / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n")
    PAGE.write_text(page.page(RESULTS))
    return 0


if __name__ == "__main__":
    sys.exit(main())
