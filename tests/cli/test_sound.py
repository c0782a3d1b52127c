"""Sound on the command line: evaluated by a metric, pruned by a floor with several labels."""

import json

import numpy as np
import pytest

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("soxr")
pytest.importorskip("torchmetrics")

from cli_support import mistake  # noqa: E402


def put(path, number):
    """A second of a tone with noise, a kind for each number."""
    random = np.random.RandomState(number)
    time = np.arange(44_100) / 44_100
    clip = 0.3 * np.sin(2 * np.pi * 300 * (1 + number % 10) * time) + 0.1 * random.standard_normal(44_100)
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, clip.astype(np.float32), 44_100)


@pytest.fixture
def audioset(tmp_path):
    """AudioSet with ten labels and a second a clip."""
    folder = tmp_path / "AudioSet"
    for part, count in (("balanced_train", 30), ("eval", 20)):
        rows = [f'{part}{k}, 0.0, 1.0, "/m/{k % 10},/m/{(k + 3) % 10}"' for k in range(count)]
        for k in range(count):
            put(folder / part / f"{part}{k}.wav", k)
        (folder / f"{part}_segments.csv").write_text("# YTID, ...\n" + "\n".join(rows) + "\n")
    names = "\n".join(f"{k},/m/{k},sound {k}" for k in range(10))
    (folder / "class_labels_indices.csv").write_text(f"index,mid,display_name\n{names}\n")
    return folder


def test_a_network_of_the_zoo_is_evaluated_by_name_on_several_labels(cli, audioset):
    done = cli("evaluate", "dcase2022", "--data", f"audioset:{audioset}", "--metric", "map", "--json", "-")
    assert done.status == 0, done.err
    found = json.loads(done.out)["metric"]
    assert (found["name"], found["samples"]) == ("map", 20)
    assert list(found["by_class"]) == [f"sound {k}" for k in range(10)]
    assert abs(np.mean(list(found["by_class"].values())) - found["value"]) < 1e-9
    shown = cli("evaluate", "dcase2022", "--data", f"audioset:{audioset}", "--metric", "map")
    assert "  sound 9" in shown.out
    mistake(
        cli("evaluate", "dcase2022", "--data", f"audioset:{audioset}", "--metric", "mpa"),
        2,
        "did you mean map",
    )


def test_a_network_of_the_zoo_is_pruned_to_a_floor_of_several_labels(cli, audioset, tmp_path):
    out = tmp_path / "small"
    floor = ["--method", "l1-norm", "--accuracy-drop", "60", "--metric", "map"]
    done = cli("prune", "dcase2022", "--data", f"audioset:{audioset}", *floor, "--out", str(out))
    assert done.status == 0, done.err
    record = json.loads((out / "result.json").read_text())
    assert record["asked"]["config"]["metric"] == "map"
    assert record["after"]["params"] < record["before"]["params"]
    assert any(remark.startswith("map of the test part: ") for remark in record["remarks"])
    again = cli("evaluate", str(out), "--data", f"audioset:{audioset}", "--metric", "log-loss")
    assert "nats" in again.out


def test_a_metric_of_ones_own_that_a_file_names_needs_trust(cli, tmp_path):
    (tmp_path / "mine.py").write_text("raise SystemExit('run')\n")
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"accuracy_drop": 5.0, "metric": f"{tmp_path / 'mine.py'}:fn"}))
    done = cli("prune", "dcase2022", "--config", str(config), "--out", str(tmp_path / "small"))
    mistake(done, 2, "which would run code", "--metric")


def test_networks_of_the_zoo_are_compared_on_what_they_hear(cli, audioset, tmp_path):
    ways = ["--method", "l1-norm", "--macs", "0.6", "--against", "none", "--to", str(tmp_path / "compared")]
    done = cli("compare", "dcase2022", "--data", f"audioset:{audioset}", *ways)
    assert done.status == 0, done.err
    record = json.loads((tmp_path / "compared" / "result.json").read_text())
    assert record["original"]["samples"] == 20
    assert [row["reason"] for row in record["rows"]] == [None]
    other = cli("compare", "digits_cnn", "--data", f"audioset:{audioset}", *ways)
    mistake(other, 2, "write front=NAME after the path")


def test_an_onnx_file_hears_by_the_front_end_that_is_named(cli, audioset, work):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    assert cli("export", "dcase2022", "--onnx", "net.onnx").status == 0
    asked = ("--data", f"audioset:{audioset}", "--metric", "map", "--json", "-")
    whole = json.loads(cli("evaluate", "dcase2022", *asked).out)["metric"]
    mistake(cli("evaluate", "net.onnx", *asked), 2, "write front=NAME after the path")
    front = ("--data", f"audioset:{audioset}:front=dcase2022", *asked[2:])
    for ways in (front, (*asked, "--model", "dcase2022")):
        found = json.loads(cli("evaluate", "net.onnx", *ways).out)["metric"]
        assert found["value"] == pytest.approx(whole["value"], abs=1e-6)
        assert list(found["by_class"]) == list(whole["by_class"])
    other = ("--data", f"audioset:{audioset}:front=yamnet", *asked[2:])
    mistake(cli("evaluate", "net.onnx", *other), 2, "front end gives inputs of shape (1, 96, 64)")
