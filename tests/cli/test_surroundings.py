"""What is not the user's mistake: closed and odd streams, full disks, no memory, hostile names, signals."""

import errno
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from cli_support import mistake
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from secateurs.cli import app as application
from secateurs.cli.listing import Listing, lines
from secateurs.errors import VerificationError
from secateurs.report import folder as folders

OWN = ("own:net", "--input", "1,2,8,8")
RUN = ("prune", *OWN, "--macs", "0.5", "--out", "out")
WATCH = """
import sys
class Watch:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "{module}":
            open("up", "w").close()
sys.meta_path.insert(0, Watch)
"""
LONG = "features.denseblock4.denselayer16.a_very_long_name_of_a_layer.conv2"


def test_help_and_version_do_not_wait_for_torch():
    code = "import sys; from secateurs.cli.app import status; status(['--help']); assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["Graph", "prune", "plan", "remove", "load", "methods", "zoo"])
def test_a_public_name_can_be_the_first_that_is_asked_for(name):
    code = f"import secateurs; secateurs.{name}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_completion_is_offered(process):
    settings = {"_SECATEURS_COMPLETE": "complete_bash", "COMP_WORDS": "secateurs ev", "COMP_CWORD": "1"}
    out, _ = process(variables=settings).communicate(timeout=60)
    assert out.split() == ["evaluate"]


def test_the_version_has_a_short_option(cli):
    assert cli("-V").out == cli("--version").out


@pytest.mark.parametrize(
    ("module", "wait"),
    [("secateurs.cli.app", 0.0), ("typer", 0.0), ("torch", 0.0), ("torch", 0.4), ("torch", 1.0)],
)
@pytest.mark.parametrize(
    ("kill", "status", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_an_interruption_of_the_imports_shows_no_traceback(process, work, module, wait, kill, status, word):
    # The user's sitecustomize runs before everything else: it says when the import of the module begins.
    (work / "sitecustomize.py").write_text(WATCH.format(module=module))
    path = os.pathsep.join([str(work), str(Path(application.__file__).parents[2])])
    running = process("inspect", "resnet56", variables={"PYTHONPATH": path})
    while not (work / "up").exists() and running.poll() is None:
        time.sleep(0.01)
    time.sleep(wait)
    running.send_signal(kill)
    _, err = running.communicate(timeout=60)
    assert "Traceback" not in err
    assert running.returncode == status
    assert err.splitlines()[-1].startswith(f"secateurs: {word}")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_an_encoding_without_our_signs_gets_plainer_ones(process, encoding):
    running = process("prune", "own:net", "--data", "own:data", "--macs", "0.5", "--out", "out",
                      variables={"PYTHONIOENCODING": encoding}, encoding=encoding)  # fmt: skip
    out, err = running.communicate(timeout=120)
    assert running.returncode == 0, err
    assert "points" in out
    assert "\N{MINUS SIGN}" not in out


def test_a_closed_output_is_no_error(process, work):
    reading, writing = os.pipe()
    os.close(reading)
    running = process(*RUN, stdout=writing)
    os.close(writing)
    _, err = running.communicate(timeout=120)
    assert running.returncode == 0, err
    assert "Error" not in err
    assert (work / "out" / "model.safetensors").exists()


def test_a_command_without_any_output_stream_runs(work):
    command = f"{shlex.quote(sys.executable)} -m secateurs methods >&-"
    environment = {**os.environ, "PYTHONPATH": str(Path(application.__file__).parents[2])}
    done = subprocess.run(command, shell=True, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a system without /dev/full")
def test_a_full_output_says_so(process):
    with open("/dev/full", "w") as full:
        running = process("methods", stdout=full)
        _, err = running.communicate(timeout=60)
    assert running.returncode == 1
    assert err.startswith("secateurs: the standard output cannot be written (No space left on device)")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    "problem",
    [OSError(errno.ENOSPC, "No space left on device"), SafetensorError("I/O error: (os error 28)")],
    ids=["python", "safetensors"],
)
def test_a_full_disk_does_not_lose_the_finished_network(cli, work, monkeypatch, tmp_path_factory, problem):
    spare = tmp_path_factory.mktemp("spare")
    monkeypatch.setattr(folders.tempfile, "tempdir", str(spare))
    original = folders._fill

    def full(folder, *rest):
        if spare not in folder.parents:
            raise problem
        original(folder, *rest)

    monkeypatch.setattr(folders, "_fill", full)
    mistake(cli(*RUN), 1, "out: the disk is full", "MB are free", "the finished network is in", str(spare))
    assert not (work / "out").exists()
    (kept,) = spare.glob("secateurs-*")
    found = cli("inspect", str(kept), "--trust", "--json")
    assert json.loads(found.out)["macs"] == json.loads((kept / "result.json").read_text())["after"]["macs"]


def test_two_full_disks_say_that_nothing_was_written(cli, work, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(folders, "_fill", full)
    mistake(cli(*RUN), 1, "the disk is full", "cannot take it either", "nothing was written")
    assert not (work / "out").exists()


def test_a_saved_file_that_is_not_the_network_is_not_called_done(cli, work, monkeypatch):
    original = folders.save_model

    def off_by_one_bit(model, plan, path, extra=None):
        original(model, plan, path, extra)
        wrong = torch.nn.Module.state_dict(model)
        name = next(iter(wrong))
        with torch.no_grad():
            wrong[name].view(torch.int32).reshape(-1)[0] ^= 1

    monkeypatch.setattr(folders, "save_model", off_by_one_bit)
    mistake(cli(*RUN), 1, "not those of the network in memory", "first.weight")
    assert not (work / "out").exists()


def test_what_does_not_load_is_not_called_done(tmp_path):
    with pytest.raises(VerificationError, match="does not load"):
        folders.check_saved(tmp_path / "missing.safetensors", torch.nn.Linear(3, 2), "digits_cnn")


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (MemoryError(), "out of memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "DefaultCPUAllocator"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB\nmore"), "CUDA out of memory"),
        (OSError(errno.ENOSPC, "No space left on device", "calibration.bin"), "calibration.bin: No space"),
    ],
)
def test_only_our_own_mistakes_are_to_be_reported(cli, monkeypatch, problem, words):
    def fail(*_, **__):
        raise problem

    monkeypatch.setattr(application, "app", fail)
    outcome = cli("methods")
    mistake(outcome, 1, words)
    assert "report" not in outcome.err


def test_control_characters_of_a_file_or_a_model_reach_no_terminal(cli, work):
    save_file({"first\x1b[31m.weight": torch.zeros(2)}, work / "w.safetensors")
    refused = cli("prune", *OWN, "--weights", "w.safetensors", "--macs", "0.5", "--out", "out")
    mistake(refused, 2, r"first\x1b[31m.weight")
    (work / "odd.py").write_text(
        "from torch import nn\n"
        "def net():\n"
        "    model = nn.Sequential()\n"
        "    model.add_module('a\\x1b[31m\\u202e', nn.Conv2d(2, 12, 3))\n"
        "    model.add_module('b', nn.Conv2d(12, 4, 3))\n"
        "    return model\n"
    )
    found = cli("inspect", "odd:net", *OWN[1:])
    assert found.status == 0, found
    assert r"a\x1b[31m\u202e" in found.out
    assert not {"\x1b", "\u202e"} & set(refused.err + found.out + found.err)


def test_the_line_that_converts_a_pickle_runs_nothing_else(cli, work, monkeypatch):
    name = "w'; touch owned; '$(touch owned).pth"
    torch.save({"a": torch.ones(3)}, work / name)
    refused = cli("prune", *OWN, "--weights", name, "--macs", "0.5", "--out", "out")
    mistake(refused, 2, "pickle")
    command = refused.err.partition("once, safely: ")[2].strip()
    done = subprocess.run(
        command.replace("python -c", f"{shlex.quote(sys.executable)} -c", 1),
        shell=True, cwd=work, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not (work / "owned").exists()
    assert torch.equal(load_file(work / f"{name[:-4]}.safetensors")["a"], torch.ones(3))


def test_the_line_that_converts_a_pickle_never_overwrites_its_source(cli, work):
    torch.save({"a": torch.ones(3)}, work / "w.safetensors")
    refused = cli("prune", *OWN, "--weights", "w.safetensors", "--macs", "0.5", "--out", "out")
    mistake(refused, 2, "w-converted.safetensors")


def test_export_refuses_an_existing_file(cli, work):
    (work / "net.onnx").write_text("mine")
    mistake(cli("export", "digits_cnn", "--onnx", "net.onnx"), 2, "net.onnx", "exists already")
    assert (work / "net.onnx").read_text() == "mine"


def test_json_is_one_convention(cli, work):
    for command in (("methods",), ("inspect", *OWN), ("evaluate", "own:net", "--data", "own:data")):
        printed = cli(*command, "--json")
        assert printed.status == 0, printed
        first = cli(command[0], "--json", *command[1:])
        written = cli(*command, "--json", "found.json")
        assert written.out
        keys = [set(x) if isinstance(x, dict) else len(x) for x in map(json.loads, (printed.out, first.out))]
        assert keys[0] == keys[1]
        assert type(json.loads((work / "found.json").read_text())) is type(json.loads(printed.out))
    done = cli(*RUN, "--json")
    assert json.loads(done.out) == json.loads((work / "out" / "result.json").read_text())


@pytest.mark.parametrize("width", [30, 60, 80, 200])
def test_no_name_is_cut_or_broken_at_any_width(width):
    rows = ((LONG, "conv1, conv2 + 3", "12"), ("stem", "is an output of the model", "1,234"))
    listing = Listing("title", ("group", "leaves together with", "channels"), rows, left=2)
    text = "\n".join(line for line, _ in lines(listing, width))
    words = " ".join(text.split())
    for cell in (LONG, "stem", "12", "1,234"):
        assert cell in text
    assert "leaves together with" in words
    if width > len(LONG) + 30:
        assert all(len(line) <= width for line in text.splitlines())


def test_without_a_terminal_a_row_is_a_line_whatever_columns_says(process):
    running = process("inspect", "resnet20", variables={"COLUMNS": "60"})
    out, _ = running.communicate(timeout=120)
    assert any("layer1.2.conv2" in line and "layer1.0.conv2" in line for line in out.splitlines())


def test_a_network_of_several_inputs_is_inspected_pruned_and_loaded(cli, work):
    (work / "several.py").write_text(
        "import torch\n"
        "from torch import nn\n"
        "class Two(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        torch.manual_seed(0)\n"
        "        self.image, self.vector = nn.Conv2d(3, 12, 3), nn.Linear(10, 8)\n"
        "        self.head = nn.Linear(20, 4)\n"
        "    def forward(self, x, y):\n"
        "        return self.head(torch.cat([self.image(x).relu().mean((2, 3)), self.vector(y).relu()], 1))\n"
    )
    shapes = ("--input", "1,3,16,16", "--input", "1,10")
    done = cli("prune", "several:Two", *shapes, "--params", "0.6", "--out", "out")
    assert done.status == 0, done
    result = json.loads((work / "out" / "result.json").read_text())
    assert (result["input_shape"], result["more_inputs"]) == ([1, 3, 16, 16], [[1, 10]])
    assert "(3, 16, 16) and (10,)" in (work / "out" / "report.html").read_text()
    again = json.loads(cli("inspect", "out", "--trust", "--json").out)
    assert again["params"] == result["after"]["params"] <= 0.6 * result["before"]["params"]
    assert again["more_inputs"] == [[1, 10]]
