"""Sound files in one folder a class, the layout of most people's own data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from secateurs.audio.reader import ENDINGS
from secateurs.data.class_folders import check_folder, parts, scan
from secateurs.data.hearing import hearing_of
from secateurs.data.sounds import Listed, sound_source
from secateurs.data.source import DataSource, split
from secateurs.errors import InputError


def audiofolder(
    path: str | Path,
    settings: Mapping[str, str],
    network: str | None = None,
    input_shape: tuple[int, ...] | None = None,
) -> DataSource:
    """Sound files in class folders, labelled in the alphabetical order of the folders.

    Args:
        path: A folder with `train` and with `val` or `test`, each with one folder a class; or a folder of class
            folders (also one with only `train`, `val` or `test` in it), of which every fifth clip is for testing.
        settings: Those of `hearing.SETTINGS`.
        network: The network that is to hear them.
        input_shape: What it takes, where that is known.

    Raises:
        InputError: No such folder, no clips, test classes that training does not have, or clips that cannot be used.

    Example:
        >>> audiofolder("nowhere", {})
        Traceback (most recent call last):
        ...
        secateurs.errors.InputError: The data folder 'nowhere' cannot be found.
    """
    path = Path(path)
    check_folder(path)
    hearing = hearing_of("audiofolder", settings, (), network, input_shape)
    training, testing = parts(path)
    files, labels, classes = scan(training, ENDINGS, "sound files")
    if testing is not None:
        test_files, test_labels, _ = scan(testing, ENDINGS, "sound files", classes)
        train = Listed(files, torch.from_numpy(labels))
        return sound_source(
            "audiofolder", train, Listed(test_files, torch.from_numpy(test_labels)), classes, hearing
        )
    if len(files) < 5:
        raise InputError(
            f"The folder '{path}' holds {len(files)} sound files; at least 5 are needed to set some aside."
        )
    train, test = (
        Listed([files[i] for i in chosen], torch.from_numpy(labels[chosen])) for chosen in split(labels)
    )
    return sound_source("audiofolder", train, test, classes, hearing)
