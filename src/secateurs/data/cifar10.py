"""CIFAR-10 in its official binary layout [krizhevsky2009cifar]."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from secateurs.data.arrays import ImageArray, check_shape
from secateurs.data.normalisation import IMAGENET, Normalisation
from secateurs.data.source import DataSource
from secateurs.errors import InputError

SHAPE = (3, 32, 32)
TRAIN_FILES = tuple(f"data_batch_{k}.bin" for k in range(1, 6))
TEST_FILE = "test_batch.bin"
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_RECORDS, _RECORD = 10_000, 1 + 3 * 32 * 32  # a record is the label's byte and the pixels, plane by plane


def cifar10(
    path: str | Path,
    normalisation: Normalisation | None = None,
    input_shape: tuple[int, ...] | None = None,
) -> DataSource:
    """CIFAR-10, held as bytes (180 MB) and normalised batch by batch.

    Args:
        path: The folder of `data_batch_1.bin` ... `data_batch_5.bin` and `test_batch.bin`, or the one above
            it.
        normalisation: ImageNet's where None.
        input_shape: What the model takes; has to be (3, 32, 32).

    Raises:
        InputError: no such folder, a file that is missing, truncated or not CIFAR-10, or a model for other
            inputs.

    Example:
        >>> cifar10("nowhere")
        Traceback (most recent call last):
        ...
        secateurs.errors.InputError: The data folder 'nowhere' cannot be found.
    """
    check_shape("cifar10", SHAPE, input_shape)
    folder = _folder(Path(path))
    train, test = (
        ImageArray(*_read([folder / name for name in names]), normalisation or IMAGENET)
        for names in (TRAIN_FILES, (TEST_FILE,))
    )
    return DataSource("cifar10", train, test, CLASSES)


def _folder(path: Path) -> Path:
    if not path.is_dir():
        found = "is not a folder" if path.exists() else "cannot be found"
        raise InputError(f"The data folder '{path}' {found}.")
    for folder in (path, path / "cifar-10-batches-bin"):
        missing = [name for name in (*TRAIN_FILES, TEST_FILE) if not (folder / name).is_file()]
        if not missing:
            return folder
        if len(missing) <= len(TRAIN_FILES):
            raise InputError(f"The CIFAR-10 folder '{folder}' lacks {', '.join(missing)}.")
    hint = ""
    if any((f / "data_batch_1").exists() for f in (path, path / "cifar-10-batches-py")):
        hint = " It holds the Python version, which is made of pickles; the binary version is needed."
    raise InputError(
        f"The folder '{path}' does not hold CIFAR-10: data_batch_1.bin to data_batch_5.bin and "
        f"test_batch.bin of the binary version are looked for in it and in its cifar-10-batches-bin.{hint}"
    )


def _read(files: list[Path]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    records = np.empty((len(files), _RECORDS, _RECORD), dtype=np.uint8)
    for k, file in enumerate(files):
        size = file.stat().st_size
        if size != _RECORDS * _RECORD:
            raise InputError(
                f"The file '{file}' has {size:,} bytes, a batch of CIFAR-10 has {_RECORDS * _RECORD:,}: "
                "truncated or not the binary version; get it again."
            )
        records[k] = np.fromfile(file, dtype=np.uint8).reshape(_RECORDS, _RECORD)
        worst = int(records[k, :, 0].max())
        if worst >= len(CLASSES):
            raise InputError(f"The file '{file}' holds the label {worst}, CIFAR-10 has 0 to 9: not CIFAR-10.")
    flat = records.reshape(-1, _RECORD)
    # A view, so that the pixels are held once.
    return flat[:, 1:].reshape(-1, *SHAPE), flat[:, 0].astype(np.int64)
