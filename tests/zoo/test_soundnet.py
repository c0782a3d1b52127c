"""SoundNet: its published sizes, the pruned Keras file as a plain channels-last loop has it, pruned with its proof."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import secateurs as sc
from secateurs import zoo
from secateurs.errors import MismatchError
from secateurs.meters.costs import count_costs
from secateurs.zoo.keras import load_keras_weights

# (filters, kernel, stride, padding, pooling) of the first seven layers in table 2 of Aytar et al., 2016.
PUBLISHED = (
    (16, 64, 2, 32, 8),
    (32, 32, 2, 16, 8),
    (64, 16, 2, 8, 1),
    (128, 8, 2, 4, 1),
    (256, 4, 2, 2, 4),
    (512, 4, 2, 2, 1),
    (1024, 4, 2, 2, 1),
)
PRUNED = (16, 32, 41, 56, 88, 235, 59)
FILE = "pruned_soundnet_keras.safetensors"


def test_layers_and_costs_are_those_of_the_paper_by_hand():
    samples, read, params, macs = 110_250, 1, 0, 0
    for made, kernel, stride, padding, pooled in PUBLISHED:
        samples = (samples + 2 * padding - kernel) // stride + 1
        macs += samples * made * read * kernel
        params += made * read * kernel + made + 2 * made
        samples, read = samples // pooled, made
    net = zoo.build("soundnet")
    costs = count_costs(net, torch.zeros(1, 110_250))
    assert costs.macs == macs + 1024 * 10
    assert costs.params == params + 1024 * 10 + 10


def test_the_pruned_file_loads_and_computes_what_keras_does(shared_data):
    path = shared_data / "audio_models" / FILE
    stored = zoo.read_weights(path)
    widths = tuple(len(stored[f"conv1d_{k}/bias"]) for k in range(1, 8))
    assert widths == PRUNED
    assert [stored[f"conv1d_{k}/kernel"].shape[0] for k in range(1, 8)] == [row[1] for row in PUBLISHED]
    model = load_keras_weights(zoo.build("soundnet", widths=widths, num_classes=0), path).eval().double()
    wave = torch.rand(22_050, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) - 0.5
    y = 256 * wave[:, None]  # (length, channels), window by window
    for k, (_, kernel, stride, padding, pooled) in enumerate(PUBLISHED, 1):
        windows = F.pad(y, (0, 0, padding, padding)).unfold(0, kernel, stride)
        y = torch.einsum("tcl,lco->to", windows, stored[f"conv1d_{k}/kernel"].double())
        y = y + stored[f"conv1d_{k}/bias"].double()
        norm = {
            part: stored[f"batch_normalization_{k}/{part}"].double()
            for part in ("gamma", "beta", "moving_mean", "moving_variance")
        }
        y = (y - norm["moving_mean"]) / torch.sqrt(norm["moving_variance"] + 1e-3) * norm["gamma"]
        y = (y + norm["beta"]).clamp(min=0)
        y = y.unfold(0, pooled, pooled).amax(2) if pooled > 1 else y
    assert y.shape[1] == PRUNED[-1]
    assert float(y.std()) > 0
    torch.testing.assert_close(model(wave[None])[0], y.mean(0), rtol=1e-9, atol=1e-9)


def test_the_pruned_file_is_pruned_further_with_its_proof(shared_data):
    net = zoo.build("soundnet", widths=PRUNED, num_classes=0)
    load_keras_weights(net, shared_data / "audio_models" / FILE).eval()
    x = torch.rand(4, 22_050, generator=torch.Generator().manual_seed(0)) - 0.5
    result = sc.prune(net, x[:1], method="l1-norm", macs=0.6, data=x, compensate="least-squares-once")
    assert result.verification.passed
    assert result.after.macs <= 0.6 * result.before.macs


def test_other_widths_are_refused_with_the_layer(shared_data):
    with pytest.raises(MismatchError, match=r"\(41, 32, 16\), the network has \(64, 32, 16\)"):
        load_keras_weights(zoo.build("soundnet", num_classes=0), shared_data / "audio_models" / FILE)


def test_soundnet_is_pruned_with_its_proof_and_trains():
    net = zoo.build("soundnet", widths=(4, 6, 6, 8, 8, 12, 12), num_classes=5)
    x = torch.randn(2, 22_050, generator=torch.Generator().manual_seed(0))
    result = sc.prune(net.eval(), x[:1], method="l1-norm", keep=0.5)
    assert result.verification.passed
    widths = [m.out_channels for m in result.model.modules() if isinstance(m, nn.Conv1d)]
    assert widths == [2, 3, 3, 4, 4, 6, 6]
    result.model.train()(x).sum().backward()
