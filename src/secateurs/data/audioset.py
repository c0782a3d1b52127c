"""AudioSet: clips of 10 s with several labels each, by the segment tables of its authors [gemmeke2017audioset]."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from secateurs.audio.reader import ENDINGS
from secateurs.data.class_folders import check_folder
from secateurs.data.hearing import hearing_of
from secateurs.data.sounds import Listed, sound_source
from secateurs.data.source import DataSource
from secateurs.data.tables import read_table, whole_number
from secateurs.errors import InputError


@dataclass(frozen=True)
class Segment:
    """One line of a segment table: a stretch of a video and what is heard in it."""

    video: str
    start: float
    end: float
    labels: tuple[str, ...]

    def stems(self) -> Iterator[str]:
        """Names that downloaders give its file: the video's, with Y before it, with the times after it."""
        for video in (self.video, f"Y{self.video}"):
            yield video
            for form in ("{:.3f}", "{:.0f}", "{:g}"):
                for unit in (1, 1000):
                    start, end = (form.format(unit * time) for time in (self.start, self.end))
                    yield f"{video}_{start}"
                    yield f"{video}_{start}_{end}"


def audioset(
    path: str | Path,
    settings: Mapping[str, str],
    network: str | None = None,
    input_shape: tuple[int, ...] | None = None,
) -> DataSource:
    """AudioSet: 527 classes, of which a clip has several; labels are zeros and ones, shape (527,).

    Files may lie anywhere in the folder and are found by name: `ID.wav`, `YID.wav` (as the PANNs' tools write them), or
    with the times, `ID_30.000.flac`, `ID_30_40.mp3`, `ID_30000_40000.wav`. Videos disappear, so segments without a file
    are left out and counted.

    Args:
        path: The folder of `class_labels_indices.csv`, of the segment tables, and of the files.
        settings: `train` and `test`, names of segment tables without `_segments.csv`, by default `balanced_train` and
            `eval`; and those of `hearing.SETTINGS`.
        network: The network that is to hear them.
        input_shape: What it takes, where that is known.

    Raises:
        InputError: No such folder, table or column, no file of a whole part, or clips that cannot be used.

    Example:
        >>> audioset("nowhere", {})
        Traceback (most recent call last):
        ...
        secateurs.errors.InputError: The data folder 'nowhere' cannot be found.
    """
    folder = Path(path)
    check_folder(folder)
    hearing = hearing_of("audioset", settings, ("train", "test"), network, input_shape)
    numbers, classes = _classes(folder / "class_labels_indices.csv")
    files = {file.stem: file for file in sorted(folder.rglob("*")) if file.suffix.lower() in ENDINGS}
    parts, remarks = [], []
    for name in (settings.get("train", "balanced_train"), settings.get("test", "eval")):
        table = folder / f"{name}_segments.csv"
        listed, missing = _listed(table, numbers, files)
        parts.append(listed)
        if missing:
            total = missing + len(listed.files)
            remarks.append(
                f"{missing:,} of the {total:,} segments of {table.name} have no file and are left out."
            )
    return sound_source("audioset", parts[0], parts[1], classes, hearing, remarks)


def _classes(table: Path) -> tuple[dict[str, int], tuple[str, ...]]:
    """The number of each label, and the names in that order."""
    rows = read_table(table, ("index", "mid", "display_name"))
    numbers = {row["mid"]: whole_number(row, "index", table, line) for line, row in enumerate(rows, 2)}
    if sorted(numbers.values()) != list(range(len(rows))):
        raise InputError(f"The table '{table}' does not number its {len(rows)} labels from 0.")
    names = {row["mid"]: row["display_name"] for row in rows}
    return numbers, tuple(names[label] for label in sorted(numbers, key=lambda label: numbers[label]))


def segments(table: Path) -> list[Segment]:
    """The segments of a table: video, start and end in seconds, and labels; lines that begin with # are skipped.

    Raises:
        InputError: No such file, or a line with fields that are missing or no numbers.
    """
    try:
        text = table.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The table '{table}' cannot be read ({error}).") from error
    found = []
    for number, line in enumerate(text, 1):
        if line.startswith("#") or not line.strip():
            continue
        fields = next(csv.reader([line], skipinitialspace=True))
        try:
            video, start, end, labels = fields
            found.append(Segment(video, float(start), float(end), tuple(labels.split(","))))
        except ValueError as error:
            raise InputError(
                f"The table '{table}', line {number}: {len(fields)} fields, where a video, its start and end in "
                "seconds and its labels in quotes are needed."
            ) from error
    return found


def _listed(table: Path, numbers: Mapping[str, int], files: Mapping[str, Path]) -> tuple[Listed, int]:
    """The clips of a table, and how many have no file."""
    known = segments(table)
    placed = [(each, next((files[s] for s in each.stems() if s in files), None)) for each in known]
    found = [(each, file) for each, file in placed if file is not None]
    if not found:
        raise InputError(
            f"The folder '{table.parent}' holds no file of the {len(known):,} segments of {table.name}: files are "
            "named by the video, such as ID.wav, YID.wav or ID_30.000.wav."
        )
    labels = torch.zeros(len(found), len(numbers))
    for row, (each, _) in zip(labels, found, strict=True):
        for label in each.labels:
            if label not in numbers:
                raise InputError(f"The table '{table}' has the label {label}, which no class has.")
            row[numbers[label]] = 1.0
    return Listed([file for _, file in found], labels, [each.video for each, _ in found]), len(known) - len(
        found
    )
