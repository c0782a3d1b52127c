"""ESC-50 and its subset ESC-10 in the official layout [piczak2015esc]."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from secateurs.data.class_folders import check_folder
from secateurs.data.hearing import hearing_of
from secateurs.data.sounds import Listed, sound_source
from secateurs.data.source import DataSource
from secateurs.data.tables import Row, read_table, whole_number
from secateurs.errors import InputError

_TABLE = Path("meta", "esc50.csv")
_FOLDERS = ("", "ESC-50-master", "ESC-50", "ESC-10")


def esc50(
    path: str | Path,
    settings: Mapping[str, str],
    network: str | None = None,
    input_shape: tuple[int, ...] | None = None,
) -> DataSource:
    """ESC-50: 2,000 clips of 5 s, 50 classes, in five folds of which one is for testing.

    Clips of one recording share a fold, and are never parted between calibration and holdout.

    Args:
        path: The folder of `audio` and `meta/esc50.csv`, or the one above it.
        settings: `fold`, the one for testing, 1 by default; `subset=esc10` for the ten classes of ESC-10, numbered in
            the order of their targets; and those of `hearing.SETTINGS`.
        network: The network that is to hear them.
        input_shape: What it takes, where that is known.

    Raises:
        InputError: No such folder, table, column, fold or subset, or clips that cannot be used.

    Example:
        >>> esc50("nowhere", {})
        Traceback (most recent call last):
        ...
        secateurs.errors.InputError: The data folder 'nowhere' cannot be found.
    """
    folder = _folder(Path(path))
    hearing = hearing_of("esc50", settings, ("fold", "subset"), network, input_shape)
    table = folder / _TABLE
    rows = read_table(table, ("filename", "fold", "target", "category"))
    rows = _subset(rows, settings.get("subset", "esc50"), table)
    targets = [whole_number(row, "target", table, line) for line, row in enumerate(rows, 2)]
    names = {target: row["category"] for target, row in zip(targets, rows, strict=True)}
    numbers = {target: k for k, target in enumerate(sorted(names))}
    testing = _in_fold(rows, settings.get("fold", "1"), table)

    def part(test: bool) -> Listed:
        chosen = [k for k, row in enumerate(rows) if testing[k] == test]
        files = [folder / "audio" / rows[k]["filename"] for k in chosen]
        labels = torch.tensor([numbers[targets[k]] for k in chosen], dtype=torch.int64)
        return Listed(files, labels, [rows[k].get("src_file") or rows[k]["filename"] for k in chosen])

    classes = tuple(names[target] for target in sorted(names))
    return sound_source("esc50", part(False), part(True), classes, hearing)


def _folder(path: Path) -> Path:
    check_folder(path)
    for name in _FOLDERS:
        if (path / name / _TABLE).is_file():
            return path / name
    raise InputError(
        f"The folder '{path}' does not hold ESC-50: meta/esc50.csv is looked for in it and in its ESC-50-master."
    )


def _subset(rows: list[Row], subset: str, table: Path) -> list[Row]:
    if subset == "esc50":
        return rows
    if subset != "esc10":
        raise InputError(f"subset={subset}: write subset=esc10, or leave it out for ESC-50.")
    if "esc10" not in rows[0]:
        raise InputError(f"The table '{table}' lacks the column esc10, which subset=esc10 needs.")
    chosen = [row for row in rows if row["esc10"].strip().lower() == "true"]
    if not chosen:
        raise InputError(f"The table '{table}' has no clip of ESC-10.")
    return chosen


def _in_fold(rows: list[Row], fold: str, table: Path) -> list[bool]:
    folds = [whole_number(row, "fold", table, line) for line, row in enumerate(rows, 2)]
    known = sorted(set(folds))
    if fold not in map(str, known):
        raise InputError(
            f"fold={fold}: '{table}' has no such fold; its folds are {', '.join(map(str, known))}."
        )
    if len(known) < 2:
        raise InputError(f"fold={fold}: '{table}' has no other fold, so that nothing is left for training.")
    return [str(each) == fold for each in folds]
