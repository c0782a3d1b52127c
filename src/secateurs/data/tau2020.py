"""TAU Urban Acoustic Scenes 2020 Mobile, development set, in the official layout [heittola2020scenes]."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from secateurs.data.class_folders import check_folder
from secateurs.data.hearing import hearing_of
from secateurs.data.sounds import Listed, sound_source
from secateurs.data.source import DataSource
from secateurs.data.tables import read_table
from secateurs.errors import InputError

_NAME = "TAU-urban-acoustic-scenes-2020-mobile-development"


def tau2020(
    path: str | Path,
    settings: Mapping[str, str],
    network: str | None = None,
    input_shape: tuple[int, ...] | None = None,
) -> DataSource:
    """TAU Urban Acoustic Scenes 2020 Mobile: clips of 10 s, ten scenes, in the split of its authors.

    Training and testing are `evaluation_setup/fold1_train.csv` and `fold1_evaluate.csv`; clips of one place (the column
    `identifier` of `meta.csv`) are never parted between calibration and holdout.

    Args:
        path: The folder of `audio`, `meta.csv` and `evaluation_setup`, or the one above it.
        settings: `fold`, 1 by default, and those of `hearing.SETTINGS`.
        network: The network that is to hear them.
        input_shape: What it takes, where that is known.

    Raises:
        InputError: No such folder, table, column or fold, or clips that cannot be used.

    Example:
        >>> tau2020("nowhere", {})
        Traceback (most recent call last):
        ...
        secateurs.errors.InputError: The data folder 'nowhere' cannot be found.
    """
    folder = _folder(Path(path))
    hearing = hearing_of("tau2020", settings, ("fold",), network, input_shape)
    meta = read_table(folder / "meta.csv", ("filename", "scene_label", "identifier"), "\t")
    places = {row["filename"]: row["identifier"] for row in meta}
    classes = tuple(sorted({row["scene_label"] for row in meta}))
    train, test = (_listed(table, classes, places) for table in _tables(folder, settings.get("fold", "1")))
    return sound_source("tau2020", train, test, classes, hearing)


def _folder(path: Path) -> Path:
    check_folder(path)
    for folder in (path, path / _NAME):
        if (folder / "evaluation_setup").is_dir():
            return folder
    raise InputError(
        f"The folder '{path}' does not hold TAU Urban Acoustic Scenes: evaluation_setup is looked for in it and in its "
        f"{_NAME}."
    )


def _tables(folder: Path, fold: str) -> tuple[Path, Path]:
    setup = folder / "evaluation_setup"
    known = sorted(file.name[4:-10] for file in setup.glob("fold*_train.csv"))
    if fold not in known:
        raise InputError(
            f"fold={fold}: '{setup}' has no such fold; its folds are {', '.join(known) or 'none'}."
        )
    return setup / f"fold{fold}_train.csv", setup / f"fold{fold}_evaluate.csv"


def _listed(table: Path, classes: tuple[str, ...], places: Mapping[str, str]) -> Listed:
    rows = read_table(table, ("filename", "scene_label"), "\t")
    folder = table.parent.parent
    for row in rows:
        if row["scene_label"] not in classes or row["filename"] not in places:
            raise InputError(f"The table '{table}' has {row['filename']}, which meta.csv has not.")
    labels = torch.tensor([classes.index(row["scene_label"]) for row in rows], dtype=torch.int64)
    return Listed(
        [folder / row["filename"] for row in rows], labels, [places[row["filename"]] for row in rows]
    )
