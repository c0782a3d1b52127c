"""ESC-50, TAU 2020, AudioSet and folders of sound: tiny ones of the official layouts, and what a mistake gets."""

import csv

import numpy as np
import pytest
import torch

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("soxr")

from secateurs.audio import FRONTS, cut, read_clip  # noqa: E402
from secateurs.data import batches, resolve_data  # noqa: E402
from secateurs.data.audioset import segments  # noqa: E402
from secateurs.data.hearing import parted  # noqa: E402
from secateurs.errors import InputError, RunError  # noqa: E402

RATE = 16_000
ESC = ("dog", "rooster", "rain", "sea_waves")
SCENES = ("airport", "bus", "tram")


def tone(number, samples=RATE, rate=RATE):
    """A tone of its own for each number, with a little noise."""
    time = np.arange(samples) / rate
    noise = np.random.RandomState(number).standard_normal(samples)
    return (0.4 * np.sin(2 * np.pi * (200 + 37 * number) * time) + 0.01 * noise).astype(np.float32)


def put(path, number, samples=RATE, rate=RATE, **settings):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, tone(number, samples, rate), rate, **settings)
    return path


@pytest.fixture
def esc(tmp_path):
    """ESC-50 with four classes, three folds, and two clips of each recording; rooster and rain are of ESC-10."""
    folder = tmp_path / "ESC-50-master"
    (folder / "meta").mkdir(parents=True)
    with (folder / "meta" / "esc50.csv").open("w", newline="") as file:
        write = csv.writer(file)
        write.writerow(["filename", "fold", "target", "category", "esc10", "src_file", "take"])
        for number in range(24):
            fold, recording, target = number // 8 + 1, number // 2, (number // 2) % 4
            name = f"{fold}-{recording}-{'AB'[number % 2]}-{target}.wav"
            put(folder / "audio" / name, number, 2 * RATE)
            write.writerow([name, fold, target, ESC[target], target in (1, 2), recording, "AB"[number % 2]])
    return folder


def test_esc50_has_its_folds_classes_and_windows(esc):
    source = resolve_data(f"esc50:{esc}:fold=2", network="yamnet", input_shape=(1, 96, 64))
    assert source.classes == ESC
    assert len(source.test.files) == 8
    assert len(source.train.files) == 16
    assert all(file.name.startswith("2-") for file in source.test.files)
    assert not any(file.name.startswith("2-") for file in source.train.files)
    assert len(source.test) == 8 * FRONTS["yamnet"].windows(2 * RATE) == 8 * 3
    front = FRONTS["yamnet"]
    (inputs,), labels = next(batches(source.test, 24))
    for k, file in enumerate(source.test.files):
        expected = front.module()(cut(read_clip(file, RATE), front))
        torch.testing.assert_close(inputs[3 * k : 3 * k + 3], expected)
        assert labels[3 * k : 3 * k + 3].tolist() == [int(file.stem.split("-")[3])] * 3
    assert not source.remarks


def test_samples_in_any_order_are_those_of_the_clips(esc):
    part = resolve_data(f"esc50:{esc}:front=yamnet").train
    order = [5, 5, *np.random.RandomState(0).permutation(len(part))[:20].tolist()]
    inputs, labels = part.batch(order)
    for k, index in enumerate(order):
        assert torch.equal(inputs[k], part[index][0])
        assert labels[k] == part[index][1]


def test_recordings_are_never_parted(esc):
    source = resolve_data(f"esc50:{esc}", network="yamnet")
    aside, rest = source.holdout(1000).indices, source.calibration(1000).indices
    assert sorted([*aside, *rest]) == list(range(len(source.train)))
    assert len(aside) >= len(source.train) // 5

    def recordings(chosen):
        return {source.train.files[source.train.places[i, 0]].name.split("-")[1] for i in chosen}

    assert not recordings(aside) & recordings(rest)


def test_esc10_is_numbered_anew(esc):
    source = resolve_data(f"esc50:{esc.parent}:subset=esc10,fold=3", network="yamnet")
    assert source.classes == ("rooster", "rain")
    assert {int(label) for label in source.test.labels} == {0, 1}
    assert {ESC.index("rooster") + k for k in (0, 1)} == {
        int(f.stem.split("-")[3]) for f in source.test.files
    }


def test_whole_clips_are_samples_of_all_their_windows(esc):
    source = resolve_data(f"esc50:{esc}:per=clip", network="yamnet", input_shape=(1, 96, 64))
    inputs, labels = source.test.batch([1, 0])
    assert inputs.shape == (2, 3, 1, 96, 64)
    windows = resolve_data(f"esc50:{esc}", network="yamnet").test
    assert torch.equal(inputs[0], windows.batch(range(3, 6))[0])
    assert torch.equal(labels, source.test.labels[[1, 0]])


def test_bins_are_brought_to_the_statistics_of_training(esc):
    plain = resolve_data(f"esc50:{esc}:front=dcase2021,seconds=1,normalise=none")
    source = resolve_data(f"esc50:{esc}:front=dcase2021,seconds=1")
    raw, made = (part.train.batch(range(len(part.train)))[0].double() for part in (plain, source))
    assert made.shape[1:] == (1, 40, 50)
    expected = (raw - raw.mean((0, 1, 3), keepdim=True)) / raw.std((0, 1, 3), keepdim=True, unbiased=False)
    torch.testing.assert_close(made, expected, rtol=1e-3, atol=1e-3)
    test = plain.test.batch([0])[0].double()
    expected = (test - raw.mean((0, 1, 3), keepdim=True)) / raw.std((0, 1, 3), keepdim=True, unbiased=False)
    torch.testing.assert_close(source.test.batch([0])[0].double(), expected, rtol=1e-3, atol=1e-3)
    assert "24 of 24 clips have fewer than the 44,100 samples a second" in plain.remarks[0]
    assert "nothing above 8,000 Hz" in plain.remarks[0]


def test_networks_that_take_the_waveform_get_it(esc):
    source = resolve_data(f"esc50:{esc}:seconds=1", network="cnn14", input_shape=(32_000,))
    inputs, _ = source.test.batch([1])
    expected = read_clip(source.test.files[0], 32_000)[32_000:]
    assert torch.equal(inputs[0], expected)


def refused(spec, sentence, **settings):
    with pytest.raises(InputError, match=sentence) as caught:
        resolve_data(spec, **({"network": "yamnet"} | settings))
    assert "\n" not in str(caught.value)


def test_mistakes_about_esc50_get_one_sentence(esc, tmp_path):
    refused(f"esc50:{esc}:fold=7", r"fold=7: .*has no such fold; its folds are 1, 2, 3")
    refused(f"esc50:{esc}:fold=one", r"fold=one: .*its folds are 1, 2, 3")
    refused(f"esc50:{esc}:subset=esc9", "write subset=esc10")
    refused(f"esc50:{esc}:folds=2", "no setting 'folds': known are fold, subset, front")
    refused(f"esc50:{esc}:fold=1,fold=2", "fold is given twice")
    refused(f"esc50:{esc}", "is not known; write front=NAME after the path", network="resnet20")
    refused(f"esc50:{esc}:front=yamnot", "no front end 'yamnot': did you mean yamnet")
    refused(f"esc50:{esc}", r"\(1, 96, 64\), the model takes \(1, 256, 64\)", input_shape=(1, 256, 64))
    refused(f"esc50:{esc}:seconds=long", "seconds=long: write how long")
    refused(f"esc50:{esc}:per=second", "write per=window or per=clip")
    refused(f"esc50:{esc}:bad=drop", "write bad=refuse or bad=skip")
    refused(f"esc50:{esc}:short=cut", "write short=pad or repeat")
    refused(f"esc50:{esc}:normalise=yes", "write normalise=train or normalise=none")
    refused("esc50:", "lack the folder: write esc50:PATH")
    (tmp_path / "empty").mkdir()
    refused(f"esc50:{tmp_path / 'empty'}", "does not hold ESC-50")
    table = esc / "meta" / "esc50.csv"
    text = table.read_text()
    table.write_text(text.replace("filename,fold,", "filename,part,"))
    refused(f"esc50:{esc}", r"lacks the column fold; its columns are filename, part, target")
    table.write_text(text.replace("1-0-A-0.wav,1,", "1-0-A-0.wav,first,"))
    refused(f"esc50:{esc}", r"line 2: fold is 'first', no whole number")
    table.write_text(text.splitlines()[0] + "\n")
    refused(f"esc50:{esc}", "has no rows")
    table.unlink()
    refused(f"esc50:{esc}", "does not hold ESC-50")


@pytest.mark.parametrize(
    ("samples", "settings", "sentence"),
    [
        (np.zeros(2 * RATE), {}, None),
        (np.zeros(2 * RATE), {"silence": "refuse"}, "is silent: all its samples are 0"),
        (
            np.where(np.arange(2 * RATE) == 9, np.nan, 0.1),
            {},
            "NaN or infinite samples, the first at sample 9",
        ),
        (np.tile(tone(1, 2 * RATE)[:, None], 2), {"stereo": "refuse"}, "has 2 channels and one is wanted"),
        (np.tile(tone(1, 2 * RATE)[:, None], 2), {}, None),
        (tone(1, 999), {}, "shorter than one input: 999 of 15,600 samples"),
        (tone(1, 999), {"short": "pad"}, None),
    ],
)
def test_a_clip_that_is_not_as_wanted_gets_one_sentence_or_is_left_out(esc, samples, settings, sentence):
    name = esc / "audio" / "1-0-A-0.wav"
    soundfile.write(name, samples, RATE, subtype="FLOAT")
    text = "".join(f",{key}={value}" for key, value in settings.items())

    def read(more=""):
        source = resolve_data(f"esc50:{esc}:fold=1{text}{more}", network="yamnet")
        return source, source.test.batch(range(len(source.test)))

    if sentence is None:
        assert len(read()[0].test.files) == 8
        return
    with pytest.raises(InputError, match=sentence) as caught:
        read()
    assert str(name) in str(caught.value)
    source, (inputs, _) = read(",bad=skip")
    assert len(source.test.files) == 7
    assert len(inputs) == 21
    assert source.remarks[0].startswith(f"1 of 24 clips are left out: The clip '{name}'")


def test_a_rate_is_refused_as_asked(esc):
    put(esc / "audio" / "1-0-A-0.wav", 0, 88_200, 44_100)
    refused(f"esc50:{esc}:rate=refuse", "has 44,100 samples a second and 16,000 are wanted")


def test_damaged_and_missing_clips_are_named_or_left_out(esc):
    names = sorted((esc / "audio").glob("2-*"))
    names[0].write_text("no sound")
    names[1].unlink()
    refused(f"esc50:{esc}", f"'{names[0]}' is no sound that can be read")
    source = resolve_data(f"esc50:{esc}:bad=skip", network="yamnet")
    assert len(source.train.files) == 14
    assert source.remarks[0].startswith("2 of 24 clips are left out: ")
    assert str(names[0]) in source.remarks[0]
    assert str(names[1]) in source.remarks[0]
    for file in (esc / "audio").glob("1-*"):
        file.write_text("")
    refused(f"esc50:{esc}:bad=skip", "The test part of 'esc50' has no clip that can be used")


def test_features_are_kept_where_the_user_says(esc, tmp_path):
    cache = tmp_path / "kept"
    spec = f"esc50:{esc}:cache={cache}"
    first = resolve_data(spec, network="yamnet").test
    assert not cache.exists()  # nothing is written before it is needed
    made = first.batch(range(len(first)))[0]
    files = sorted(cache.rglob("*.*"))
    assert len(files) == 8
    assert {file.suffix for file in files} == {".npy"}
    times = [file.stat().st_mtime_ns for file in files]
    again = resolve_data(spec, network="yamnet").test
    assert torch.equal(again.batch(range(len(again)))[0], made)
    assert [file.stat().st_mtime_ns for file in files] == times
    files[0].write_bytes(files[0].read_bytes()[:50])  # damaged: made anew
    assert torch.equal(again.batch(range(len(again)))[0], made)
    assert files[0].stat().st_size == files[1].stat().st_size
    put(first.files[0], 99, 2 * RATE)  # another sound under the same name
    changed = again.batch(range(len(again)))[0]
    assert not torch.equal(changed[:3], made[:3])
    assert torch.equal(changed[3:], made[3:])
    other = resolve_data(spec, network="vggish").test  # other settings
    expected = resolve_data(f"esc50:{esc}", network="vggish").test
    assert torch.equal(other.batch([4])[0], expected.batch([4])[0])


def test_a_cache_that_cannot_be_written_gets_one_sentence(esc, tmp_path):
    (tmp_path / "file").write_text("")
    part = resolve_data(f"esc50:{esc}:cache={tmp_path / 'file'}", network="yamnet").test
    with pytest.raises(RunError, match="features cannot be written there"):
        part.batch([0])


@pytest.fixture
def tau(tmp_path):
    """The development set of TAU 2020 with three scenes, two places each, and two devices."""
    folder = tmp_path / "TAU-urban-acoustic-scenes-2020-mobile-development"
    (folder / "evaluation_setup").mkdir(parents=True)
    meta, split = [], {"train": [], "evaluate": []}
    for number in range(24):
        scene, place, device = SCENES[number % 3], f"barcelona-{(number // 3) % 4}", "ab"[number // 12]
        name = f"audio/{scene}-{place}-{number}-{device}.wav"
        put(folder / name, number, 44_100, 44_100)
        meta.append(f"{name}\t{scene}\t{place}\t{device}")
        split["evaluate" if place.endswith("3") else "train"].append(f"{name}\t{scene}")
    (folder / "meta.csv").write_text(
        "filename\tscene_label\tidentifier\tsource_label\n" + "\n".join(meta) + "\n"
    )
    for part, lines in split.items():
        text = "filename\tscene_label\n" + "\n".join(lines) + "\n"
        (folder / "evaluation_setup" / f"fold1_{part}.csv").write_text(text)
    return folder


def test_tau2020_has_the_split_of_its_authors(tau):
    source = resolve_data(f"tau2020:{tau.parent}", network="dcase2022", input_shape=(1, 40, 51))
    assert source.classes == SCENES
    assert (len(source.train), len(source.test)) == (18, 6)
    assert all("barcelona-3" in file.name for file in source.test.files)
    inputs, labels = source.test.batch(range(6))
    assert inputs.shape == (6, 1, 40, 51)
    assert [SCENES[k] for k in labels] == [file.name.split("-")[0] for file in source.test.files]
    aside, rest = (
        {source.train.files[source.train.places[i, 0]].name.split("-")[2] for i in chosen.indices}
        for chosen in (source.holdout(99), source.calibration(99))
    )
    assert not aside & rest
    assert not source.remarks


def test_mistakes_about_tau2020_get_one_sentence(tau, tmp_path):
    refused(f"tau2020:{tau}:fold=2", "fold=2: .*has no such fold; its folds are 1", network="dcase2022")
    refused(f"tau2020:{tau}", "shorter than one input: 44,100 of 441,000", network="dcase2021")
    (tmp_path / "empty").mkdir()
    refused(f"tau2020:{tmp_path / 'empty'}", "does not hold TAU Urban Acoustic Scenes")
    table = tau / "evaluation_setup" / "fold1_evaluate.csv"
    text = table.read_text()
    table.write_text(text.replace("filename\tscene_label", "filename\tlabel"))
    refused(f"tau2020:{tau}", "lacks the column scene_label", network="dcase2022")
    table.write_text(text.replace("\tairport", "\tferry"))
    refused(f"tau2020:{tau}", "which meta.csv has not", network="dcase2022")
    (tau / "meta.csv").unlink()
    refused(f"tau2020:{tau}", "meta.csv' cannot be found", network="dcase2022")


@pytest.fixture
def audioset(tmp_path):
    """AudioSet with four labels; files named as different tools name them, one of a segment missing."""
    folder = tmp_path / "AudioSet"
    folder.mkdir()
    labels = ["index,mid,display_name"]
    labels += [f'{k},/m/0{k},"{name}"' for k, name in enumerate(["Speech", "Dog", "Music, loud", "Bell"])]
    (folder / "class_labels_indices.csv").write_text("\n".join(labels) + "\n")
    head = ["# Segments csv created Sun Mar  5 10:54:31 2017", "# num_ytids=4", "# YTID, start_seconds, ..."]
    train = [
        '--a_b, 30.000, 40.000, "/m/00,/m/02"',
        '-x9, 0.000, 10.000, "/m/01"',
        'gone, 5.000, 15.000, "/m/03"',
    ]
    train += [f'v{k}, 10.000, 20.000, "/m/0{k}"' for k in range(3)]
    (folder / "balanced_train_segments.csv").write_text("\n".join([*head, *train]) + "\n")
    rows = [f'e{k}, 0.000, 10.000, "/m/0{k % 4}{",/m/00" if k % 4 else ""}"' for k in range(8)]
    (folder / "eval_segments.csv").write_text("\n".join([*head, *rows]) + "\n")
    names = ["balanced/Y--a_b.wav", "-x9_0.000.flac", "v0_10_20.wav", "deep/er/v1_10000_20000.ogg", "v2.wav"]
    for k, name in enumerate([*names, *(f"eval/e{k}.wav" for k in range(8))]):
        put(folder / name, k)
    return folder


def test_audioset_has_several_labels(audioset):
    source = resolve_data(f"audioset:{audioset}", network="yamnet")
    assert source.classes == ("Speech", "Dog", "Music, loud", "Bell")
    assert [file.stem[:4] for file in source.train.files] == ["Y--a", "-x9_", "v0_1", "v1_1", "v2"]
    assert source.train.labels.tolist() == [
        [1, 0, 1, 0],
        [0, 1, 0, 0],
        [1, 0, 0, 0],
        [0, 1, 0, 0],
        [0, 0, 1, 0],
    ]
    inputs, labels = source.test.batch([0, 1])
    assert inputs.shape == (2, 1, 96, 64)
    assert labels.tolist() == [[1, 0, 0, 0], [1, 1, 0, 0]]
    assert source.remarks[0] == (
        "1 of the 6 segments of balanced_train_segments.csv have no file and are left out."
    )


def test_segments_are_read_as_they_are_published(audioset):
    first, second, *_ = segments(audioset / "balanced_train_segments.csv")
    assert (first.video, first.start, first.end, first.labels) == ("--a_b", 30.0, 40.0, ("/m/00", "/m/02"))
    assert {"-x9", "Y-x9", "-x9_0", "-x9_0.000_10.000", "-x9_0_10000"} <= set(second.stems())


def test_mistakes_about_audioset_get_one_sentence(audioset):
    refused(f"audioset:{audioset}:train=unbalanced_train", "unbalanced_train_segments.csv' cannot be read")
    table = audioset / "eval_segments.csv"
    text = table.read_text()
    table.write_text(text.replace('"/m/00"', '"/m/99"'))
    refused(f"audioset:{audioset}", "has the label /m/99, which no class has")
    table.write_text(text + "broken, 1.0\n")
    refused(f"audioset:{audioset}", "line 12: 2 fields, where a video")
    table.write_text('nowhere, 0.0, 10.0, "/m/00"\n')
    refused(f"audioset:{audioset}", "holds no file of the 1 segments of eval_segments.csv")
    labels = audioset / "class_labels_indices.csv"
    kept = labels.read_text()
    labels.write_text(kept.replace("index,mid,", "index,id,"))
    refused(f"audioset:{audioset}", "lacks the column mid")
    labels.write_text(kept.replace("3,/m", "4,/m"))
    refused(f"audioset:{audioset}", "does not number its 4 labels from 0")


def test_folders_of_sound_are_split_by_class_or_as_they_are(tmp_path):
    for k in range(20):
        put(tmp_path / "all" / "bc"[k % 2] / f"{k}.flac", k)
    source = resolve_data(f"audiofolder:{tmp_path / 'all'}", network="yamnet")
    assert source.classes == ("b", "c")
    assert (len(source.train), len(source.test)) == (16, 4)
    assert sorted(source.test.labels.tolist()) == [0, 0, 1, 1]
    assert source.test[0][0].shape == (1, 96, 64)
    for k in range(4):
        put(tmp_path / "two" / ("train", "test")[k // 2] / "bc"[k % 2] / f"{k}.mp3", k)
    source = resolve_data(f"audiofolder:{tmp_path / 'two'}", network="yamnet")
    assert [file.parent.name for file in source.test.files] == ["b", "c"]
    assert source.test.labels.tolist() == [0, 1]
    refused(f"audiofolder:{tmp_path / 'two' / 'train'}", "holds 2 sound files; at least 5")
    refused(f"audiofolder:{tmp_path / 'nowhere'}", "cannot be found")
    (tmp_path / "none" / "a").mkdir(parents=True)
    refused(f"audiofolder:{tmp_path / 'none'}", "holds no sound files in class folders")


def test_settings_are_told_from_paths():
    assert parted("/a/b:fold=1") == ("/a/b", {"fold": "1"})
    assert parted("/a/b") == ("/a/b", {})
    assert parted("C:/clips") == ("C:/clips", {})
    assert parted("x:cache=/a/b-c.d,bad=skip") == ("x", {"cache": "/a/b-c.d", "bad": "skip"})
