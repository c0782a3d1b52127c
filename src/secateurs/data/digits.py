"""The 8x8 digits that come with scikit-learn: 1,797 images, no download."""

from __future__ import annotations

import numpy as np

from secateurs.data.arrays import ImageArray, check_shape
from secateurs.data.normalisation import DIGITS, Normalisation
from secateurs.data.source import DataSource, split

SHAPE = (1, 8, 8)


def digits(
    normalisation: Normalisation | None = None, input_shape: tuple[int, ...] | None = None
) -> DataSource:
    """Scikit-learn's digits, four fifths for training and one for testing, the same split always.

    Raises:
        InputError: `input_shape` is not (1, 8, 8), or the normalisation is not for one channel.

    Example:
        >>> source = digits()
        >>> len(source.train), len(source.test), source.train[0][0].shape
        (1438, 359, torch.Size([1, 8, 8]))
    """
    from sklearn.datasets import load_digits

    check_shape("digits", SHAPE, input_shape)
    loaded = load_digits()
    images = loaded.images.astype(np.uint8)[:, None]  # whole numbers from 0 to 16
    labels = loaded.target.astype(np.int64)
    train, test = (
        ImageArray(images[chosen], labels[chosen], normalisation or DIGITS, scale=16.0)
        for chosen in split(labels)
    )
    return DataSource("digits", train, test, classes=tuple(str(k) for k in range(10)))
