"""Keras layouts: every kernel turned, padding as TensorFlow's, real networks as a plain channels-last loop has them."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

from secateurs import zoo
from secateurs.errors import MismatchError
from secateurs.zoo.keras import channels_last, from_keras, load_keras_weights, same

NETS = {"C1": (11, 16, 32), "C2": (16, 11, 32), "C3": (16, 16, 22), "C12": (11, 11, 32), "C23": (16, 11, 22)}
NETS["C123"] = (11, 11, 22)


@pytest.mark.parametrize("side", range(1, 12))
@pytest.mark.parametrize("kernel", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_same_padding_is_tensorflows(side, kernel, stride):
    """Output ceil(n / s); total pad max(k - s, 0) or max(k - n mod s, 0), less of it before."""
    total = max(kernel - stride, 0) if side % stride == 0 else max(kernel - side % stride, 0)
    x = torch.arange(1.0, side + 1).expand(1, 1, side, side)
    y = same(x, kernel, stride)
    before = total // 2
    assert y.shape == (1, 1, side + total, side + total)
    assert torch.equal(y[0, 0, before, before : before + side], x[0, 0, 0])
    assert F.max_pool2d(y, kernel, stride).shape[-1] == -(-side // stride)


def test_every_kind_of_kernel_computes_the_same():
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(6, 5, 3)), rng.normal(size=(3, 2, 3, 4))
    loops = np.zeros((4, 4, 4))
    for i in range(4):
        for j in range(4):
            loops[i, j] = np.einsum("hwc,hwco->o", x[i : i + 3, j : j + 2], kernel)
    name, weight = from_keras("a/b/kernel:0", torch.from_numpy(kernel))
    assert name == "a.b.weight"
    ours = F.conv2d(torch.from_numpy(x).permute(2, 0, 1)[None], weight)[0].permute(1, 2, 0)
    np.testing.assert_allclose(ours.numpy(), loops, atol=1e-12)
    deep = rng.normal(size=(3, 2, 3, 2))
    loops = np.zeros((4, 4, 6))
    for i in range(4):
        for j in range(4):
            for c in range(3):
                for m in range(2):
                    loops[i, j, 2 * c + m] = (x[i : i + 3, j : j + 2, c] * deep[:, :, c, m]).sum()
    _, weight = from_keras("d/depthwise_kernel", torch.from_numpy(deep))
    ours = F.conv2d(torch.from_numpy(x).permute(2, 0, 1)[None], weight, groups=3)[0].permute(1, 2, 0)
    np.testing.assert_allclose(ours.numpy(), loops, atol=1e-12)
    _, weight = from_keras("s/kernel", torch.from_numpy(rng.normal(size=(8, 3, 4))))
    assert weight.shape == (4, 3, 8)


@pytest.mark.parametrize("net", NETS)
def test_dcase_2021_networks_load_and_compute_what_keras_does(shared_data, net):
    path = shared_data / "audio_models" / "dcase2021_pruned_finetuned_keras.safetensors"
    model = load_keras_weights(zoo.build("dcase2021", widths=NETS[net]), path, f"{net}/").eval()
    w = {
        k.removeprefix(f"{net}/"): v.double()
        for k, v in zoo.read_weights(path).items()
        if k.startswith(f"{net}/")
    }
    x = torch.randn(40, 500, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    y = x
    for k in (1, 2, 3):  # channels last, window by window
        windows = F.pad(y, (0, 0, 3, 3, 3, 3)).unfold(0, 7, 1).unfold(1, 7, 1)
        y = torch.einsum("xychw,hwco->xyo", windows, w[f"conv{k}/kernel"]) + w[f"conv{k}/bias"]
        spread = torch.sqrt(w[f"bn{k}/moving_variance"] + 1e-3)
        y = (y - w[f"bn{k}/moving_mean"]) / spread * w[f"bn{k}/gamma"] + w[f"bn{k}/beta"]
        y = y.clamp(min=0)
        if k > 1:
            down, across = (5, 5) if k == 2 else (4, 100)
            y = y.unfold(0, down, down).unfold(1, across, across).amax((3, 4))
    y = (y.reshape(-1) @ w["dense1/kernel"] + w["dense1/bias"]).clamp(min=0)
    expected = y @ w["dense2/kernel"] + w["dense2/bias"]
    ours = model.double()(x.permute(2, 0, 1)[None])[0]
    torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-9)


def test_flatten_is_channels_last():
    x = torch.arange(12.0).reshape(1, 2, 3, 2)
    assert channels_last(x)[0].tolist() == [
        x[0, c, h, w] for h in range(3) for w in range(2) for c in range(2)
    ]


def test_a_name_that_keras_does_not_have(tmp_path):
    save_file({"conv1/alpha": torch.ones(1)}, tmp_path / "w.safetensors")
    with pytest.raises(MismatchError, match=r"'conv1/alpha' is of no kind known here: kernel, "):
        load_keras_weights(nn.Linear(1, 1), tmp_path / "w.safetensors")


def test_a_network_of_another_width_says_which(shared_data):
    path = shared_data / "audio_models" / "dcase2021_pruned_finetuned_keras.safetensors"
    with pytest.raises(
        MismatchError, match=r"conv1.weight is \(11, 1, 7, 7\), the network has \(16, 1, 7, 7\)"
    ):
        load_keras_weights(zoo.build("dcase2021"), path, "C1/")
