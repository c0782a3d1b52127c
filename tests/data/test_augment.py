import numpy as np
import pytest
import torch

import secateurs as sc
from secateurs.data.augment import Crops


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def ramp(n=64, size=32):
    """Images whose two channels are the place of each pixel from left and from top, in (-1, 1)."""
    axis = (torch.arange(size) + 0.5) / size * 2 - 1
    return torch.stack([axis.expand(size, size), axis[:, None].expand(size, size)]).expand(n, 2, size, size)


def test_a_crop_is_a_part_of_the_image_at_its_own_scale():
    made = Crops(zoom=0.4, mirror=False)(ramp(), seeded())
    step = (made[:, 0, 16, 20] - made[:, 0, 16, 10]) / 10 * 16  # 1 where nothing was cropped
    assert 0.6 <= float(step.min()) < 0.65
    assert 0.95 < float(step.max()) <= 1.0
    tall = (made[:, 1, 20, 16] - made[:, 1, 10, 16]) / 10 * 16
    np.testing.assert_allclose(tall, step, atol=1e-5)
    assert float(made.abs().max()) <= 1.0


def test_half_are_mirrored():
    made = Crops(zoom=0.0)(ramp(400), seeded())
    turned = made[:, 0, 16, 0] > 0
    assert 160 < int(turned.sum()) < 240
    torch.testing.assert_close(made[turned], ramp(int(turned.sum())).flip(3))


def test_same_seed_same_crops_and_layout():
    images = torch.randn(8, 3, 16, 16).contiguous(memory_format=torch.channels_last)
    one, two = Crops()(images, seeded(3)), Crops()(images, seeded(3))
    assert torch.equal(one, two)
    assert not torch.equal(one, Crops()(images, seeded(4)))
    assert one.is_contiguous(memory_format=torch.channels_last)


def test_wrong_arguments():
    with pytest.raises(sc.InputError, match="zoom is 1"):
        Crops(zoom=1)
    for images in (torch.zeros(2, 8), torch.zeros(2, 3, 8, 8, dtype=torch.uint8)):
        with pytest.raises(sc.InputError, match="of floating point"):
            Crops()(images, seeded())
