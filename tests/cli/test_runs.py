"""Whole runs: prune, look at the folder, use it wherever a model is accepted."""

import json
import re
import signal
import time
from pathlib import Path

import pytest
import torch
from cli_support import mistake
from safetensors.torch import save_file

FILES = ["model.safetensors", "plan.json", "report.html", "result.json"]
OWN = ("own:net", "--data", "own:data", "--method", "l1-norm")


def own_net():
    import own

    return own.net().eval()


def test_prune_writes_a_folder_that_every_command_accepts(cli, work: Path):
    done = cli("prune", *OWN, "--macs", "0.5", "--recalibrate", "--out", "out")
    assert done.status == 0, done
    assert "secateurs: evaluate after: " in done.err
    for words in (
        "50 % of the MACs stay",
        "accuracy",
        "proof: passed; before repair",
        "loaded anew, is bit-equal to the network in memory",
        "is an output of the model",
        "Wrote out",
    ):
        assert words in done.out, words
    assert sorted(path.name for path in (work / "out").iterdir()) == FILES

    result = json.loads((work / "out" / "result.json").read_text())
    assert result["target"] == {"macs": 0.5}
    assert 0.45 <= result["after"]["macs"] / result["before"]["macs"] <= 0.5
    assert result["verification"]["passed"]
    assert result["verification"]["max_rel_diff"] < 1e-9
    assert {group["status"] for group in result["groups"]} == {"pruned", "locked"}
    assert result["recalibrated"] is True
    assert (result["model"], result["data"], result["input_shape"]) == ("own:net", "own:data", [1, 2, 8, 8])

    again = cli("evaluate", "out", "--model", "own:net", "--data", "own:data", "--json", "-")
    assert again.status == 0, again
    found = json.loads(again.out)
    for key in ("params", "macs", "accuracy", "accuracy_error", "samples"):
        assert found[key] == result["after"][key]

    assert "second" in cli("inspect", "out", "--trust").out
    (work / "out" / "report.html").unlink()
    assert cli("report", "out").status == 0
    assert "own:net" in (work / "out" / "report.html").read_text()


def test_the_weights_of_a_folder_load_in_plain_python_and_compute_the_same(cli, work: Path):
    import secateurs

    assert cli("prune", *OWN, "--keep", "0.5", "--out", "out").status == 0
    small = secateurs.load(work / "out" / "model.safetensors", into=own_net())
    direct = secateurs.prune(own_net(), torch.randn(1, 2, 8, 8), method="l1-norm", keep=0.5).model
    x = torch.randn(5, 2, 8, 8)
    assert torch.equal(small.eval()(x), direct.eval()(x))
    plan = secateurs.Plan.from_json((work / "out" / "plan.json").read_text())
    assert torch.equal(secateurs.remove(own_net(), plan).eval()(x), small(x))


def test_a_folder_is_pruned_again_and_still_loads_from_the_original_class(cli, work: Path):
    import secateurs

    assert cli("prune", *OWN, "--macs", "0.6", "--out", "one").status == 0
    twice = cli("prune", "one", "--model", "own:net", "--data", "own:data", "--macs", "0.6", "--out", "two")
    assert twice.status == 0, twice
    one, two = (json.loads((work / name / "result.json").read_text()) for name in ("one", "two"))
    assert two["before"]["macs"] == one["after"]["macs"]
    assert two["before"]["accuracy"] == one["after"]["accuracy"]
    assert two["original"]["macs"] == one["before"]["macs"]
    assert two["model"] == "own:net"
    assert "first original" in (work / "two" / "report.html").read_text()
    assert secateurs.load(work / "two" / "model.safetensors", into=own_net())(
        torch.zeros(1, 2, 8, 8)
    ).shape == (1, 3)
    assert cli("evaluate", "two", "--trust", "--data", "own:data").status == 0


def test_the_same_command_gives_the_same_plan_and_weights(cli, work: Path):
    for out in ("one", "two"):
        assert cli("prune", "own:net", "--input", "1,2,8,8", "--method", "random", "--params", "0.5",
                   "--seed", "3", "--out", out).status == 0  # fmt: skip
    assert (work / "one" / "plan.json").read_bytes() == (work / "two" / "plan.json").read_bytes()
    one, two = ((work / name / "model.safetensors").read_bytes() for name in ("one", "two"))
    assert one == two


def test_weights_are_read_and_without_data_accuracy_is_null(cli, work: Path):
    save_file(
        {f"module.{name}": value for name, value in own_net().state_dict().items()}, work / "w.safetensors"
    )
    done = cli(
        "prune",
        "own:net",
        "--weights",
        "w.safetensors",
        "--input",
        "1,2,8,8",
        "--params",
        "0.5",
        "--out",
        "out",
    )
    assert done.status == 0, done
    result = json.loads((work / "out" / "result.json").read_text())
    assert result["before"]["accuracy"] is None
    assert result["after"]["accuracy"] is None
    assert result["after"]["latency_ms"] > 0
    assert "no data was given" in (work / "out" / "report.html").read_text()


def test_a_named_network_without_weights_is_said_to_be_random(cli):
    done = cli("prune", "digits_cnn", "--macs", "0.5", "--out", "out")
    assert done.status == 0, done
    assert "random weights" in done.err


def test_rounding_and_exceptions_are_kept(cli, work: Path):
    done = cli("prune", *OWN, "--macs", "0.6", "--round-to", "4", "--layer", "first=1", "--out", "out")
    assert done.status == 0, done
    kept = {g["name"]: g["kept"] for g in json.loads((work / "out" / "result.json").read_text())["groups"]}
    assert kept["first"] == 12
    assert kept["second"] % 4 == 0
    assert kept["second"] < 16


def test_rounding_is_automatic_unless_free_widths_are_asked_for(cli, work: Path):
    for given in ("auto", "1"):
        done = cli("prune", *OWN, "--macs", "0.6", "--round-to", given, "--out", given)
        assert done.status == 0, done
    asked = [
        json.loads((work / given / "result.json").read_text())["asked"]["config"] for given in ("auto", "1")
    ]
    assert [config.get("round_to") for config in asked] == [None, 1]


def test_an_accuracy_floor_is_a_target_too(cli, work: Path):
    done = cli("prune", *OWN, "--accuracy-drop", "50", "--recalibrate", "--out", "out")
    assert done.status == 0, done
    assert "at most 50 points of accuracy" in done.out
    result = json.loads((work / "out" / "result.json").read_text())
    assert result["target"] == {"accuracy_drop": 50.0}
    assert result["after"]["macs"] < result["before"]["macs"]


def test_similarity_needs_no_target(cli, work: Path):
    done = cli("prune", *OWN[:-1], "similarity", "--out", "out")
    assert done.status == 0, done
    assert "the method's own rule decides" in done.out
    assert json.loads((work / "out" / "result.json").read_text())["target"] == {}


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("prune", *OWN, "--macs", "0.0001", "--out", "out"), 1, ("macs", "smallest")),
        (("prune", "own:net", "--input", "1,3,8,8", "--macs", "0.5", "--out", "out"), 2, ("3",)),
        (("prune", "digits_cnn", "--data", "own:data", "--macs", "0.5", "--out", "out"), 2, ("2, 8, 8",)),
    ],
)
def test_a_run_that_fails_leaves_no_folder(cli, work: Path, arguments, status, words):
    mistake(cli(*arguments), status, *words)
    assert [path.name for path in work.iterdir() if path.name not in ("own.py", "__pycache__")] == []


def test_weights_that_are_not_numbers_are_named(cli, work: Path):
    state = own_net().state_dict()
    state["first.weight"][0, 0, 0, 0] = float("nan")
    save_file(state, work / "w.safetensors")
    arguments = ("--weights", "w.safetensors", "--input", "1,2,8,8", "--macs", "0.5", "--out", "out")
    mistake(cli("prune", "own:net", *arguments), 2, "first.weight", "NaN")
    assert not (work / "out").exists()


def test_onnx_is_written_beside_the_weights_and_by_export(cli, work: Path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    done = cli("prune", *OWN, "--macs", "0.5", "--onnx", "--out", "out")
    assert done.status == 0, done
    assert "out/model.onnx: free batch size" in done.out
    assert sorted(path.name for path in (work / "out").iterdir()) == sorted([*FILES, "model.onnx"])
    exported = cli("export", "out", "--model", "own:net", "--onnx", "small.onnx")
    assert exported.status == 0, exported
    x = torch.randn(7, 2, 8, 8)
    import secateurs

    small = secateurs.load(work / "out" / "model.safetensors", into=own_net()).eval()
    for path in ("out/model.onnx", "small.onnx"):
        session = onnxruntime.InferenceSession(path)
        (got,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        assert torch.allclose(torch.from_numpy(got), small(x), atol=1e-5)


def test_a_process_prints_no_bars_into_a_pipe_and_leaves_with_zero(process, work: Path):
    running = process("prune", *OWN, "--macs", "0.5", "--out", "out")
    out, err = running.communicate(timeout=120)
    assert running.returncode == 0, err
    assert all(re.fullmatch(r"secateurs: [a-z ]+: \d+\.\d s", line) for line in err.splitlines()), err
    assert not set("\x1b\r") & set(out + err)
    assert "proof: passed" in out


SLOW = """
import time
from own import data as quick


def data():
    time.sleep(60)
    return quick()
"""


@pytest.mark.parametrize(
    ("kill", "status", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_an_interruption_ends_in_one_line_and_leaves_nothing(process, work: Path, kill, status, word):
    (work / "slow.py").write_text("open('started', 'w').close()\n" + SLOW)
    running = process("prune", "own:net", "--data", "slow:data", "--macs", "0.5", "--out", "out")
    deadline = time.monotonic() + 60
    while not (work / "started").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.2)
    running.send_signal(kill)
    _, err = running.communicate(timeout=30)
    assert running.returncode == status
    assert err.splitlines() == [f"secateurs: {word}; nothing half-written was left"]
    names = {path.name for path in work.iterdir()}
    assert names <= {"own.py", "slow.py", "started", "__pycache__"}, names
