"""Clips from files: what is read against soundfile and soxr called plainly, and one sentence for what is wrong."""

import numpy as np
import pytest
import soundfile
import soxr
import torch

from secateurs.audio import FRONTS, Reading, blocks, inputs_of, read_clip
from secateurs.errors import InputError


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "mp3"])
def test_formats_are_read_as_libsndfile_decodes_them(write, noise, ending):
    path = write(f"a.{ending}", noise(16_000))
    stored, rate = soundfile.read(path, dtype="float32")
    assert rate == 16_000
    assert np.allclose(read_clip(path, 16_000).numpy(), stored, rtol=0, atol=1e-6)
    if ending in ("wav", "flac"):
        assert np.abs(stored - noise(16_000)).max() < 1e-4


def test_channels_are_mixed_and_rates_brought_to_one_another(write, noise):
    stereo = noise(22_050, channels=2)
    path = write("a.wav", stereo, 22_050, subtype="FLOAT")
    ours = read_clip(path, 16_000)
    assert ours.shape == (16_000,)
    expected = soxr.resample(stereo.mean(axis=1), 22_050, 16_000)
    torch.testing.assert_close(ours, torch.from_numpy(expected), rtol=0, atol=1e-5)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
def test_parts_of_a_clip_are_the_whole(write, noise, rate):
    path = write("a.wav", noise(20_011), rate, subtype="FLOAT")
    whole = read_clip(path, 32_000)
    parts = list(blocks(path, 32_000, seconds=0.05))
    assert len(parts) > 5
    assert whole.shape == (20_011 * 32_000 // rate,)
    torch.testing.assert_close(torch.cat(parts), whole, rtol=0, atol=1e-6)


def test_a_tone_keeps_its_pitch_and_height(write):
    time = np.arange(44_100) / 44_100
    path = write("tone.wav", 0.5 * np.sin(2 * np.pi * 1000 * time), 44_100, subtype="FLOAT")
    ours = read_clip(path, 16_000)[2000:-2000].double()
    expected = 0.5 * torch.sin(2 * torch.pi * 1000 * torch.arange(16_000).double() / 16_000)[2000:-2000]
    assert float((ours - expected).abs().max()) < 1e-3


def refused(path, sentence, rate=16_000, least=1, **reading):
    with pytest.raises(InputError, match=sentence) as caught:
        read_clip(path, rate, Reading(**reading), least)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_clips_that_cannot_be_read_get_one_sentence(tmp_path, write, noise):
    refused(tmp_path / "no.wav", "cannot be found")
    refused(tmp_path, "is not a file")
    (tmp_path / "text.wav").write_text("no sound at all, but a text that goes on for a while")
    refused(tmp_path / "text.wav", "is no sound that can be read")
    (tmp_path / "bytes.mp4").write_bytes(bytes(range(200)))
    refused(tmp_path / "bytes.mp4", "give wav, flac, ogg or mp3")
    refused(write("empty.wav", np.zeros(0)), "is empty")
    whole = write("whole.flac", noise(16_000)).read_bytes()
    (tmp_path / "half.flac").write_bytes(whole[: len(whole) // 2])
    refused(tmp_path / "half.flac", "is cut off|is damaged")


def test_samples_that_are_no_numbers_are_refused(write, noise):
    clip = noise(16_000)
    clip[[700, 900]] = np.nan, np.inf
    refused(write("nan.wav", clip, subtype="FLOAT"), "NaN or infinite samples, the first at sample 700")


def test_what_is_refused_only_as_asked(write, noise):
    stereo = write("stereo.wav", noise(16_000, channels=2))
    refused(stereo, "has 2 channels and one is wanted", stereo="refuse")
    with pytest.raises(InputError, match=r"has 16,000 samples a second and 8,000 are wanted"):
        read_clip(stereo, 8_000, Reading(rate="refuse"))
    silence = write("silence.wav", np.zeros(16_000))
    assert not read_clip(silence, 16_000).any()
    refused(silence, "is silent: all its samples are 0", silence="refuse")
    steady = write("steady.wav", np.full(16_000, 0.25), subtype="FLOAT")
    refused(steady, "is silent: all its samples are 0.25", silence="refuse")
    with pytest.raises(InputError, match="short=cut: write short=pad or repeat, or short=refuse"):
        Reading(short="cut")


def test_clips_shorter_than_an_input(write, noise):
    short = write("short.wav", noise(1000), subtype="FLOAT")
    refused(short, r"shorter than one input: 1,000 of 2,500 samples", least=2500)
    stored = torch.from_numpy(noise(1000))
    padded = read_clip(short, 16_000, Reading(short="pad"), 2500)
    assert torch.equal(padded, torch.cat([stored, torch.zeros(1500)]))
    again = read_clip(short, 16_000, Reading(short="repeat"), 2500)
    assert torch.equal(again, torch.cat([stored, stored, stored[:500]]))


def test_inputs_of_a_short_file_follow_the_reading(write, noise):
    short, front = write("short.wav", noise(8000)), FRONTS["yamnet"]
    with pytest.raises(InputError, match=r"shorter than one input: 8,000 of 15,600 samples"):
        list(inputs_of(short, front))
    (padded,) = inputs_of(short, front, Reading(short="pad"))
    expected = front.module()(read_clip(short, 16_000, Reading(short="pad"), front.samples)[None])
    assert torch.equal(padded, expected)
