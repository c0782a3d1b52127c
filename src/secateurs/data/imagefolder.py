"""Images in one folder a class, the layout of ImageNet and of most people's own data."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from secateurs.data.arrays import check_channels, normalise_
from secateurs.data.class_folders import check_folder, parts, scan
from secateurs.data.normalisation import IMAGENET, Normalisation
from secateurs.data.source import DataSource, split
from secateurs.errors import InputError

_ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp", ".gif"})
_SHAPE = (3, 224, 224)


@dataclass(frozen=True, eq=False)
class ImageFiles(Dataset[tuple[Tensor, int]]):
    """Image files with labels (n,), decoded when read and brought to `shape` (c, h, w).

    The image is resized so that it covers 256/224 of height and width, keeping its proportions, and the
    centre is cut out, as is usual for ImageNet; an image that has the right size already is taken as it is.
    """

    files: tuple[Path, ...]
    labels: NDArray[np.int64]
    shape: tuple[int, int, int]
    normalisation: Normalisation

    def __post_init__(self) -> None:
        check_channels(self.normalisation, self.shape[0])

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image, label = self.batch([index])
        return image[0], int(label[0])

    def batch(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Float32 images (b, c, h, w), normalised, and int64 labels (b,)."""
        chosen = [self.files[i] for i in indices]
        # Decoding leaves Python's lock, so that threads help.
        with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as threads:
            pixels = np.stack(list(threads.map(lambda file: read_image(file, self.shape), chosen)))
        images = torch.from_numpy(pixels).to(torch.float32)
        labels = torch.from_numpy(self.labels[list(indices)])
        return normalise_(images, self.normalisation, 255.0), labels


def read_image(file: Path, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """One image as bytes (c, h, w): resized, its centre cut out, as colour (c = 3) or grey (c = 1).

    Raises:
        InputError: the file is not an image, or truncated.
    """
    from PIL import Image

    channels, height, width = shape
    try:
        with Image.open(file) as opened:
            image = opened.convert("RGB" if channels == 3 else "L")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"The image '{file}' cannot be read: {error}.") from error
    if image.size != (width, height):
        size = _covering(image.size, (width, height))
        image = image.resize(size, Image.Resampling.BILINEAR)
        left, top = round((size[0] - width) / 2), round((size[1] - height) / 2)
        image = image.crop((left, top, left + width, top + height))
    pixels: NDArray[np.uint8] = np.asarray(image, dtype=np.uint8)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def _covering(size: tuple[int, int], wanted: tuple[int, int]) -> tuple[int, int]:
    """The size with the proportions of `size` that covers 256/224 of `wanted` tightly, (width, height)."""
    tight = 0 if wanted[0] * size[1] >= wanted[1] * size[0] else 1
    side = round(wanted[tight] * 256 / 224)
    other = max(wanted[1 - tight], side * size[1 - tight] // size[tight])
    return (side, other) if tight == 0 else (other, side)


def imagefolder(
    path: str | Path,
    normalisation: Normalisation | None = None,
    input_shape: tuple[int, ...] | None = None,
) -> DataSource:
    """Images in class folders, labelled in the alphabetical order of the folders.

    Args:
        path: A folder with `train` and with `val` or `test`, each with one folder a class; or a folder of
            class folders (also one with only `train`, `val` or `test` in it), of which every fifth image is
            for testing.
        normalisation: ImageNet's where None.
        input_shape: What the model takes, (c, h, w) with c 1 or 3; (3, 224, 224) where None.

    Raises:
        InputError: pillow is not installed, no such folder, no images, test classes that training does not
            have, or a model whose input is not an image.

    Example:
        >>> imagefolder("nowhere")
        Traceback (most recent call last):
        ...
        secateurs.errors.InputError: The data folder 'nowhere' cannot be found.
    """
    path = Path(path)
    check_folder(path)
    _need_pillow(path)
    shape = tuple(input_shape or _SHAPE)
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise InputError(f"Images give inputs of shape (1 or 3, height, width), the model takes {shape}.")
    normalisation = normalisation or (IMAGENET if shape[0] == 3 else Normalisation((0.5,), (0.5,)))

    def images(files: Sequence[Path], labels: NDArray[np.int64]) -> Dataset[Any]:
        return ImageFiles(tuple(files), labels, (shape[0], shape[1], shape[2]), normalisation)

    training, testing = parts(path)
    files, labels, classes = scan(training, _ENDINGS, "images")
    if testing is not None:
        test_files, test_labels, _ = scan(testing, _ENDINGS, "images", classes)
        return DataSource("imagefolder", images(files, labels), images(test_files, test_labels), classes)
    if len(files) < 5:
        raise InputError(
            f"The folder '{path}' holds {len(files)} images; at least 5 are needed to set some aside."
        )
    train, test = (images([files[i] for i in chosen], labels[chosen]) for chosen in split(labels))
    return DataSource("imagefolder", train, test, classes)


def _need_pillow(path: Path) -> None:
    try:
        import PIL  # noqa: F401
    except ModuleNotFoundError as error:
        raise InputError(f"'imagefolder:{path}' needs the package pillow: pip install pillow.") from error
