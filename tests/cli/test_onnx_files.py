"""ONNX files on the command line: evaluated as networks are, by every metric, and mistakes named."""

import json
import sys

import pytest
from cli_support import mistake

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
OWN = ("own:net", "--input", "1,2,8,8")


def numbers(done):
    assert done.status == 0, done.err
    return json.loads(done.out)


def test_a_float_and_an_int8_file_are_evaluated_as_their_network_is(cli, work):
    pytest.importorskip("onnxruntime", minversion="1.27")
    assert cli("export", *OWN, "--onnx", "net.onnx", "--int8", "--data", "own:data").status == 0
    for ways in ((), ("--metric", "class-accuracy"), ("--metric", "log-loss")):
        asked = ("--data", "own:data", *ways, "--json", "-")
        whole = numbers(cli("evaluate", *OWN, *asked))
        found = numbers(cli("evaluate", "net.onnx", *asked))
        if ways:
            assert found["accuracy"] is None
            assert found["metric"]["value"] == pytest.approx(whole["metric"]["value"], abs=1e-5)
        else:
            assert [found[k] for k in ("accuracy", "accuracy_error", "samples")] == [
                whole[k] for k in ("accuracy", "accuracy_error", "samples")
            ]
        assert found["bytes"] == (work / "net.onnx").stat().st_size
    recorded = json.loads((work / "net.int8.json").read_text())["int8_accuracy"]["value"]
    int8 = numbers(cli("evaluate", "net.int8.onnx", "--data", "own:data", "--json", "-"))
    assert (int8["accuracy"], int8["samples"]) == (recorded, 32)
    shown = cli("evaluate", "net.int8.onnx", "--data", "own:data")
    assert f"{100 * recorded:.2f} ±" in shown.out
    assert f"{int8['bytes']:,}" in shown.out


def test_mistakes_with_a_file_are_one_sentence(cli, work, monkeypatch):
    assert cli("export", *OWN, "--onnx", "net.onnx").status == 0
    (work / "bad.onnx").write_text("no network")
    own = ("--data", "own:data")
    mistake(cli("evaluate", "none.onnx", *own), 2, "none.onnx", "no such file")
    mistake(cli("evaluate", "bad.onnx", *own), 2, "bad.onnx", "cannot open this file")
    mistake(cli("evaluate", "net.onnx", "--data", "digits"), 2, "(2, 8, 8)")
    (work / "other.py").write_text(
        "import torch\n\ndef data():\n    pair = (torch.zeros(8, 3, 8, 8), torch.zeros(8, dtype=torch.long))\n"
        "    return [pair], [pair]\n"
    )
    mistake(cli("evaluate", "net.onnx", "--data", "other:data"), 2, "(any, 2, 8, 8)", "(any, 3, 8, 8)")
    mistake(cli("evaluate", "net.onnx", *own, "--weights", "w.safetensors"), 2, "--weights", "ONNX file")
    mistake(cli("evaluate", "net.onnx", *own, "--input", "1,2,8,8"), 2, "--input", "ONNX file")
    mistake(cli("evaluate", "net.onnx", *own, "--device", "cuda"), 2, "--device", "CPU")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    mistake(cli("evaluate", "net.onnx", *own), 2, "onnxruntime is missing", "pip install")


def test_the_normalisation_is_that_of_the_network_that_is_named(cli, work):
    Image = pytest.importorskip("PIL.Image")

    for name, level in (("dark", 40), ("light", 200)):
        for part in ("train", "val"):
            (work / "images" / part / name).mkdir(parents=True)
            for k in range(3):
                Image.new("RGB", (8, 8), (level + k, level, level)).save(
                    work / "images" / part / name / f"{k}.png"
                )
    # Says "light" where the mean of the normalised pixels is above 1: light ones with ImageNet's, none in [-1, 1].
    make = onnx.helper
    slot = make.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["b", 3, 224, 224])
    out = make.make_tensor_value_info("z", onnx.TensorProto.FLOAT, ["b", 2])
    held = [
        onnx.helper.make_tensor("w", onnx.TensorProto.FLOAT, [3, 2], [0.0, 1 / 3] * 3),
        onnx.helper.make_tensor("c", onnx.TensorProto.FLOAT, [2], [0.0, -1.0]),
    ]
    nodes = [
        make.make_node("GlobalAveragePool", ["x"], ["m"]),
        make.make_node("Flatten", ["m"], ["f"]),
        make.make_node("Gemm", ["f", "w", "c"], ["z"]),
    ]
    graph = make.make_graph(nodes, "g", [slot], [out], held)
    onnx.save(make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=8), "net.onnx")
    asked = ("--data", "imagefolder:images", "--json", "-")
    assert numbers(cli("evaluate", "net.onnx", *asked))["accuracy"] == 1.0
    told = numbers(cli("evaluate", "net.onnx", *asked, "--model", "mobilenet_v2_folded"))
    assert told["accuracy"] == 0.5


def test_an_empty_test_part_leaves_the_files_and_says_so(cli, work):
    pytest.importorskip("onnxruntime", minversion="1.27")
    (work / "empty.py").write_text(
        "import own\n\ndef data():\n    train, test = own.data()\n"
        "    return train, own.torch.utils.data.Subset(test, [])\n"
    )
    done = cli("export", *OWN, "--onnx", "net.onnx", "--int8", "--data", "empty:data")
    assert done.status == 0, done.err
    assert "agreement and accuracy not measured: The data hold no sample" in done.out
    assert "agreement" not in json.loads((work / "net.int8.json").read_text())


def test_widths_that_int8_is_slow_with_are_remarked_on(cli, work):
    pytest.importorskip("onnxruntime", minversion="1.27")
    assert cli("prune", *OWN, "--method", "l1-norm", "--keep", "0.55", "--out", "a").status == 0
    assert (
        cli("prune", *OWN, "--method", "l1-norm", "--keep", "0.55", "--round-to", "4", "--out", "b").status
        == 0
    )
    told = {}
    for name in ("a", "b"):
        given = (name, "--model", "own:net", "--data", "own:data", "--int8", "--onnx", f"{name}.onnx")
        done = cli("export", *given)
        assert done.status == 0, done.err
        told[name] = "prune with --round-to 4" in done.err
    assert told == {"a": True, "b": False}
