"""The audio networks: sizes from the papers, keys and values from the public files, and pruned with their proof."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import secateurs as sc
from secateurs import zoo
from secateurs.audio import FRONTS, cut
from secateurs.audio.mel import htk_filters, slaney_filters
from secateurs.meters.costs import count_costs
from secateurs.zoo import panns_front

# Parameters and multiply-adds at the entry's input: DCASE, VGGish and CNN14 as the pruning papers state them, the
# parameters of CNN6, CNN10 and MobileNetV1 as the PANNs paper does, YAMNet and CP-Mobile as their files hold them.
SIZES = {
    "dcase2021": (46_118, 286_637_800),
    "dcase2022": (14_630, 5_369_960),
    "vggish": (55_361_162, 847_119_616),
    "vggish_released": (72_141_184, 863_895_552),
    "cnn6": (4_837_455, 11_017_973_824),
    "cnn10": (5_219_279, 14_100_459_584),
    "cnn14": (80_753_615, 21_126_466_112),
    "panns_mobilenet_v1": (4_796_303, 1_824_112_192),
    "yamnet": (3_729_481, 69_165_056),
    "cp_mobile": (126_952, 28_889_088),
}
# A tenth of a second or two for the networks that take a waveform.
SHORT = dict.fromkeys(("cnn6", "cnn10", "cnn14", "panns_mobilenet_v1"), (16_000,))


def counted_by_hand(model, shape):
    """Multiply-adds of convolutions and linear layers by their outputs, plainly, and those of the fixed front end."""
    total = []

    def note(module, _, output):
        total.append(output[0].numel() * module.weight[0].numel())

    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            module.register_forward_hook(note)
    model.eval().to("meta")(torch.zeros(1, *shape, device="meta"))
    if len(shape) > 1:
        return sum(total)
    frames, bins = 1 + shape[0] // 320, 1024 // 2 + 1
    return sum(total) + frames * bins * (2 * 1024 + 64)


@pytest.mark.parametrize("name", SIZES)
def test_sizes_are_those_of_the_papers_by_two_counts(name):
    params, macs = SIZES[name]
    shape, model = zoo.entry(name).input_shape, zoo.build(name)
    costs = count_costs(model, torch.zeros(1, *shape))
    assert sum(p.numel() for p in model.parameters()) == params == costs.params
    assert costs.macs == macs == counted_by_hand(model, shape)


def test_sizes_in_the_words_of_the_papers():
    """Keras counts the statistics of batch norms too; CNN14's multiply-adds are stated without the front end."""
    keras = zoo.build("dcase2021").state_dict()
    assert sum(v.numel() for k, v in keras.items() if "num_batches" not in k) == 46_246
    with torch.device("meta"):
        net = zoo.build("cnn14")
    fixed = {k: v.numel() for k, v in net.named_buffers() if "extractor" in k}
    assert sum(fixed.values()) == 1_083_456
    by_layer = count_costs(net.to_empty(device="cpu"), torch.zeros(1, 320_000)).by_layer
    assert round(sum(c.macs for k, c in by_layer.items() if "extractor" not in k) / 1e9, 2) == 20.04


@pytest.mark.parametrize("name", SIZES)
def test_every_audio_entry_runs_and_is_pruned_with_its_proof(name):
    entry, seed = zoo.entry(name), torch.Generator().manual_seed(0)
    shape = SHORT.get(name, entry.input_shape)
    model, x = entry.build(num_classes=7).eval(), torch.randn(2, *shape, generator=seed)
    assert entry.normalisation is None
    for scalar in (p for p in model.parameters() if p.numel() == 1):
        nn.init.constant_(scalar, 0.7)  # a response norm begins as nothing
    with torch.no_grad():
        assert model(x).shape == (2, 7)
    if "bn0" in dict(model.named_modules()):
        assert model.train()(x).shape == (2, 7)
        model.eval()
    result = sc.prune(model, x[:1], method="l1-norm", keep=0.5)
    assert result.verification.passed
    assert result.after.params < 0.7 * result.before.params
    kept = [(k, v.shape) for k, v in result.model.named_buffers() if "extractor" in k]
    assert kept == [(k, v.shape) for k, v in model.named_buffers() if "extractor" in k]


def test_keys_of_cnn14_are_those_of_the_public_checkpoint():
    with torch.device("meta"):
        keys = {k: tuple(v.shape) for k, v in zoo.build("cnn14").state_dict().items()}
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    expected = {f"bn0.{part}" for part in norm}
    for k in range(1, 7):
        expected |= {f"conv_block{k}.conv{i}.weight" for i in (1, 2)}
        expected |= {f"conv_block{k}.bn{i}.{part}" for i in (1, 2) for part in norm}
    expected |= {f"{layer}.{part}" for layer in ("fc1", "fc_audioset") for part in ("weight", "bias")}
    expected |= {f"spectrogram_extractor.stft.conv_{part}.weight" for part in ("real", "imag")}
    assert set(keys) == expected | {"logmel_extractor.melW"}
    assert keys["spectrogram_extractor.stft.conv_real.weight"] == (513, 1, 1024)
    assert keys["logmel_extractor.melW"] == (513, 64)
    assert keys["conv_block6.conv2.weight"] == (2048, 2048, 3, 3)
    assert keys["fc_audioset.weight"] == (527, 2048)


def test_keys_of_the_other_public_checkpoints():
    with torch.device("meta"):
        mobile, six = zoo.build("panns_mobilenet_v1").state_dict(), zoo.build("cnn6").state_dict()
        vggish = zoo.build("vggish_released").state_dict()
    assert mobile["features.0.0.weight"].shape == (32, 1, 3, 3)
    assert mobile["features.13.4.weight"].shape == (1024, 1024, 1, 1)
    assert "features.13.5.running_var" in mobile
    assert six["conv_block4.conv1.weight"].shape == (512, 256, 5, 5)
    weights = [k for k in vggish if k.endswith("weight")]
    assert weights == [
        *(f"features.{k}.weight" for k in (0, 3, 6, 8, 11, 13)),
        *(f"embeddings.{k}.weight" for k in (0, 2, 4)),
    ]


def test_front_end_of_the_panns_is_a_centred_hann_stft_in_decibels():
    x = torch.randn(2, 4000, generator=torch.Generator().manual_seed(1))
    spectrum = torch.stft(x, 1024, 320, window=torch.hann_window(1024), return_complex=True)
    mel = (spectrum.abs() ** 2).transpose(1, 2) @ slaney_filters(32_000, 1024, 64, 50.0, 14_000.0)
    ours = panns_front.LogMel()(panns_front.PowerSpectrogram()(x))
    torch.testing.assert_close(ours[:, 0], 10 * torch.log10(mel.clamp(min=1e-10)), rtol=1e-4, atol=1e-3)
    silence = panns_front.LogMel()(panns_front.PowerSpectrogram()(torch.zeros(1, 2000)))
    assert torch.equal(silence, torch.full_like(silence, -100.0))


def test_slaney_filters_are_librosas():
    """Values of librosa.filters.mel(sr=32000, n_fft=1024, n_mels=64, fmin=50, fmax=14000), version 0.11."""
    ours = slaney_filters(32_000, 1024, 64, 50.0, 14_000.0)
    librosa = {(2, 0): 0.0042891, (28, 14): 0.0132992, (53, 26): 0.0069564, (83, 33): 0.0020788}
    librosa |= {(116, 40): 0.0035336, (159, 45): 0.0022645, (231, 52): 0.0022512}
    for place, value in librosa.items():
        assert abs(float(ours[place]) - value) < 1e-7
    assert ours[449:].abs().sum() == 0 == ours[:2].abs().sum()  # above 14 kHz and below 50 Hz


def test_htk_filters_are_triangles_in_mels():
    rate, window, bins, low, high = 16_000, 512, 10, 125.0, 7500.0
    ours = htk_filters(rate, window, bins, low, high)
    first, last = (1127 * math.log(1 + f / 700) for f in (low, high))
    step = (last - first) / (bins + 1)
    for k in range(window // 2 + 1):
        at = 1127 * math.log(1 + k * rate / window / 700)
        for b in range(bins):
            height = max(0.0, 1 - abs(at - (first + (b + 1) * step)) / step)
            assert abs(float(ours[k, b]) - height) < 1e-6


def test_yamnet_loads_and_has_the_filters_of_its_file(shared_data):
    path = shared_data / "audio_models" / "yamnet_folded.safetensors"
    model = zoo.load_weights(zoo.build("yamnet"), path).eval()
    stored = zoo.read_weights(path)
    assert torch.equal(model.layer14.pointwise_conv.weight, stored["layer14.pointwise_conv.weight"])
    ours = htk_filters(16_000, 512, 64, 125.0, 7500.0).T
    step = float(stored["mel_weights"][stored["mel_weights"] > 0].min())  # the file holds multiples of it
    assert step < 0.01
    assert (ours - stored["mel_weights"]).abs().max() <= 0.501 * step


def test_yamnet_is_mobilenet_with_tensorflow_padding(shared_data):
    w = zoo.read_weights(shared_data / "audio_models" / "yamnet_folded.safetensors")
    model = zoo.load_weights(zoo.build("yamnet"), shared_data / "audio_models" / "yamnet_folded.safetensors")
    x = torch.randn(2, 1, 96, 64, generator=torch.Generator().manual_seed(0))
    y = F.relu(F.conv2d(F.pad(x, (0, 1, 0, 1)), w["layer1.conv.weight"], w["layer1.conv.bias"], stride=2))
    for k in range(2, 15):
        name, stride = f"layer{k}", 2 if k in (3, 5, 7, 13) else 1
        padded = F.pad(y, (0, 1, 0, 1) if stride == 2 else (1, 1, 1, 1))
        kernel, shift = w[f"{name}.depthwise_conv.weight"], w[f"{name}.depthwise_conv.bias"]
        y = F.relu(F.conv2d(padded, kernel, shift, stride=stride, groups=len(kernel)))
        y = F.relu(F.conv2d(y, w[f"{name}.pointwise_conv.weight"], w[f"{name}.pointwise_conv.bias"]))
    expected = y.mean((2, 3)) @ w["dense.weight"].T + w["dense.bias"]
    torch.testing.assert_close(model.eval()(x), expected, rtol=1e-4, atol=1e-4)


def test_yamnet_on_esc10_is_as_good_as_the_data_say(shared_data):
    """Each fifth clip; on all 400 it is 374 right, 93.5 %."""
    soundfile = pytest.importorskip("soundfile")
    import csv

    model = zoo.load_weights(zoo.build("yamnet"), shared_data / "audio_models" / "yamnet_folded.safetensors")
    with (shared_data / "audio_models" / "yamnet_classes.csv").open() as file:
        classes = [(int(r["index"]), r["esc10_class_index"]) for r in csv.DictReader(file)]
    with (shared_data / "esc10" / "esc10.csv").open() as file:
        clips = list(csv.reader(file))[1::5]
    right, hears = 0, FRONTS["yamnet"]
    for name, _, label, *_ in clips:
        wave = torch.from_numpy(soundfile.read(shared_data / "esc10" / "audio" / name, dtype="float32")[0])
        with torch.no_grad():
            scores = torch.sigmoid(model.eval()(hears.module()(cut(wave, hears)))).mean(0)
        best = max((i for i, mapped in classes if mapped), key=lambda i: float(scores[i]))
        right += dict(classes)[best] == label
    assert right >= 0.9 * len(clips)


def test_cp_mobile_is_the_published_network(shared_data):
    path = shared_data / "audio_models" / "cp_mobile_dcase2023.safetensors"
    w, model = zoo.read_weights(path), zoo.load_weights(zoo.build("cp_mobile"), path).eval()
    x = torch.randn(2, 1, 256, 64, generator=torch.Generator().manual_seed(0))

    def conv(x, name, norm, stride=1, groups=1):
        kernel = w[f"{name}.weight"]
        y = F.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2, groups=groups)
        mean, var = w[f"{norm}.running_mean"], w[f"{norm}.running_var"]
        return F.batch_norm(y, mean, var, w[f"{norm}.weight"], w[f"{norm}.bias"])

    y = F.relu(conv(x, "in_c.0.0", "in_c.0.1", 2))
    y = F.relu(conv(y, "in_c.1.0", "in_c.1.1", 2))
    for name in ("s1.b1", "s1.b2", "s1.b3", "s2.b4", "s2.b5", "s3.b6"):
        at, stride = f"stages.{name}", {"b2": (2, 2), "b4": (2, 1)}.get(name[-2:], (1, 1))
        z = F.relu(conv(y, f"{at}.block.0.0", f"{at}.block.0.1"))
        z = F.relu(conv(z, f"{at}.block.1.0", f"{at}.block.1.1", stride, z.shape[1]))
        z = conv(z, f"{at}.block.2.0", f"{at}.block.2.1")
        if z.shape[1] == y.shape[1]:
            z = z + (y if stride == (1, 1) else F.avg_pool2d(y, 3, stride, 1))
        size = z.pow(2).sum((2, 3), keepdim=True).sqrt()
        share = size / (size.mean(1, keepdim=True) + 1e-6)
        gamma, beta = w[f"{at}.after_block_norm.gamma"], w[f"{at}.after_block_norm.beta"]
        y = F.relu(gamma * z * share + beta + z)
    expected = conv(y, "feed_forward.0", "feed_forward.1").mean((2, 3))
    torch.testing.assert_close(model(x), expected, rtol=1e-4, atol=1e-4)
    assert float(gamma.abs()) > 0  # the norm takes part


def test_front_end_of_cp_mobile_is_that_of_its_authors():
    x = torch.randn(2, 32_000, generator=torch.Generator().manual_seed(0))
    loud = F.conv1d(x[:, None], torch.tensor([[[-0.97, 1.0]]]))[:, 0]
    padded = F.pad(loud[:, None], (2048, 2048), mode="reflect")[:, 0]
    window = F.pad(torch.hann_window(3072, periodic=False), (512, 512))
    power = torch.fft.rfft(padded.unfold(1, 4096, 500) * window).abs() ** 2
    mel = power @ htk_filters(32_000, 4096, 256, 0.0, 15_500.0)
    expected = ((mel + 1e-5).log() + 4.5) / 5
    ours = FRONTS["cp_mobile"].module()(x)
    torch.testing.assert_close(ours[:, 0], expected.transpose(1, 2), rtol=1e-3, atol=1e-3)
    assert ours.shape[1:] == zoo.entry("cp_mobile").input_shape


def test_front_end_of_yamnet_is_that_of_its_release():
    """Magnitudes of 400 samples each 160 under a Hann window, 64 mel filters, log(x + 0.001), patches of 96 frames."""
    x, hears = torch.randn(40_000, generator=torch.Generator().manual_seed(0)), FRONTS["yamnet"]
    ours = hears.module()(cut(x, hears))
    assert ours.shape == (4, 1, 96, 64)
    filters = htk_filters(16_000, 512, 64, 125.0, 7500.0)
    for patch, frame in ((0, 0), (1, 5), (3, 95)):
        start = (48 * patch + frame) * 160
        spectrum = torch.fft.rfft(x[start : start + 400] * torch.hann_window(400), 512).abs()
        expected = torch.log(spectrum @ filters + 0.001)
        torch.testing.assert_close(ours[patch, 0, frame], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("net", ["unpruned", "C1", "C2", "C3", "C12", "C23", "C123"])
def test_dcase_2022_networks_load(shared_data, tmp_path, net):
    from safetensors.torch import save_file

    stored = zoo.read_weights(
        shared_data / "audio_models" / "dcase2022_unpruned_and_pruned_folded.safetensors"
    )
    state = {k.removeprefix(f"{net}/"): v for k, v in stored.items() if k.startswith(f"{net}/")}
    save_file(state, tmp_path / "w.safetensors")
    widths = tuple(len(state[f"conv{k}.weight"]) for k in (1, 2, 3))
    model = zoo.load_weights(zoo.build("dcase2022", widths=widths), tmp_path / "w.safetensors")
    x = torch.randn(1, 1, 40, 51, generator=torch.Generator().manual_seed(0))
    y = torch.tanh(F.conv2d(x, state["conv1.weight"], state["conv1.bias"], padding=1))
    y = F.avg_pool2d(F.relu(F.conv2d(y, state["conv2.weight"], state["conv2.bias"], padding=1)), 5)
    y = F.avg_pool2d(torch.tanh(F.conv2d(y, state["conv3.weight"], state["conv3.bias"], padding=1)), (4, 10))
    rows = torch.stack([y[0, c, h, 0] for h in range(2) for c in range(widths[2])])  # as a Keras Flatten
    y = torch.tanh(state["dense1.weight"] @ rows + state["dense1.bias"])
    expected = state["dense2.weight"] @ y + state["dense2.bias"]
    torch.testing.assert_close(model.eval()(x)[0], expected, rtol=1e-4, atol=1e-5)
