"""The newcomer's example on a tiny ESC-50 of tones, as a script."""

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import secateurs

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("soxr")
pytest.importorskip("onnxruntime", minversion="1.27")

SCRIPT = Path(__file__).parents[2] / "examples" / "dcase_esc10.py"
CLASSES = ("dog", "rain")


@pytest.fixture(scope="module")
def esc(tmp_path_factory):
    """Two classes of two tones, two folds, clips of a second."""
    folder = tmp_path_factory.mktemp("ESC-50-master")
    (folder / "meta").mkdir()
    (folder / "audio").mkdir()
    with (folder / "meta" / "esc50.csv").open("w", newline="") as file:
        write = csv.writer(file)
        write.writerow(["filename", "fold", "target", "category", "esc10", "src_file", "take"])
        for number in range(12):
            fold, target = number % 2 + 1, (number // 2) % 2
            name = f"{fold}-{number}-A-{target}.wav"
            noise = np.random.RandomState(number).standard_normal(22_050)
            tone = 0.3 * np.sin(2 * np.pi * (400 + 2000 * target) * np.arange(22_050) / 22_050) + 0.02 * noise
            soundfile.write(folder / "audio" / name, tone, 22_050)
            write.writerow([name, fold, target, CLASSES[target], "True", number, "A"])
    return folder


def example(*arguments):
    source = str(Path(secateurs.__file__).parents[1])
    return subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": source},
    )


def test_the_example_trains_prunes_and_classifies(esc):
    clip = esc / "audio" / "1-0-A-0.wav"
    done = example(esc, "--epochs", "1", "--clip", clip)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line[:26].strip() for line in lines[1:5]] == [
        "whole",
        "l1-norm, none",
        "similarity, merge",
        "moments, least-squares",
    ]
    macs = [float(line[35:44]) for line in lines[1:5]]
    assert all(pruned <= 0.5 * macs[0] + 0.1 for pruned in macs[1:])
    assert re.match(r"int8: a file of [\d.]+ kB \(float [\d.]+\), [\d.]+ % right", lines[-2])
    assert lines[-1].startswith(("1-0-A-0.wav: dog (", "1-0-A-0.wav: rain ("))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--fold", "7"), "fold=7"),
        (("--epochs", "0"), "--epochs is 0; give a whole number from 1."),
    ],
)
def test_bad_input_is_one_sentence(esc, arguments, words):
    done = example(esc, *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
