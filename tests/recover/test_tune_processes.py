"""Two processes train, measure and lose each other as one process would, or say so."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import secateurs as sc

pytest.importorskip("lightning_fabric")
pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or not torch.distributed.is_available(), reason="no gloo here"
)
SOURCE = Path(sc.__file__).parents[1]

SCRIPT = """
import json, os, sys
import torch
from torch import nn
import secateurs as sc
from secateurs.recover import tune_

torch.set_num_threads(1)
torch.manual_seed(0)
net = nn.Sequential(nn.Conv2d(1, 6, 3), nn.GroupNorm(2, 6), nn.ReLU(), nn.Flatten(), nn.Linear(216, 3))
generator = torch.Generator().manual_seed(1)
x = torch.randn(90, 1, 8, 8, generator=generator)
y = (x.mean((1, 2, 3)) * 8).round().clamp(-1, 1).long() + 1


def each(epoch):
    print("epoch", epoch.number, flush=True)


def main():
    how = {"epochs": EPOCHS, "batch": 20, "learning_rate": 0.05, "augment": "crop-flip"}
    done = tune_(net, (x, y), to=sys.argv[1], each=each, **how)
    found = [sc.evaluate(net, (x, y), batch_size=7, metric=m, processes=True) for m in (None, "log-loss")]
    name = f"{sys.argv[1]}/{os.environ.get('RANK', '0')}"
    with open(f"{name}.json", "w") as file:
        numbers = [found[0].value, found[0].correct, found[0].total, found[0].loss, found[0].standard_error]
        losses = [epoch.loss for epoch in done.epochs]
        json.dump([numbers, [found[1].value, found[1].standard_error], losses, done.best], file)
    from safetensors.torch import save_file
    save_file({k: v.contiguous() for k, v in net.state_dict().items()}, f"{name}.safetensors")


if __name__ == "__main__":
    try:
        main()
    except sc.RunError as problem:
        print("RunError:", problem, flush=True)
        os._exit(3)
"""


def start(folder, world, epochs=3, script=SCRIPT):
    """The processes of a run, as `torchrun` starts them, but with nobody who ends the others when one is lost."""
    (folder / "run.py").write_text(script.replace("EPOCHS", str(epochs)))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    several = []
    for rank in range(world):
        place = {
            "RANK": rank,
            "LOCAL_RANK": rank,
            "WORLD_SIZE": world,
            "LOCAL_WORLD_SIZE": world,
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": port,
            "TORCHELASTIC_RUN_ID": "test",
        }
        variables = {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}
        variables.update({k: str(v) for k, v in place.items()} if world > 1 else {})
        several.append(
            subprocess.Popen(
                [sys.executable, str(folder / "run.py"), str(folder)],
                env=variables,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    return several


def test_two_processes_end_where_one_does(tmp_path):
    import json

    found = {}
    for world in (1, 2):
        folder = tmp_path / str(world)
        folder.mkdir()
        runs = start(folder, world)
        for run in runs:
            out, _ = run.communicate(timeout=120)
            assert run.returncode == 0, out
        for rank in range(world):
            found[world, rank] = (
                json.loads((folder / f"{rank}.json").read_text()),
                load_file(folder / f"{rank}.safetensors"),
            )
    numbers, weights = found[1, 0]
    for rank in range(2):
        told, tensors = found[2, rank]
        assert told[0][1:3] == numbers[0][1:3]  # how many are right, and of how many
        assert told[0] == pytest.approx(numbers[0], rel=1e-4)
        assert told[1] == pytest.approx(numbers[1], rel=1e-3)
        assert told[2] == pytest.approx(numbers[2], rel=1e-4)
        assert told[3] == numbers[3]
        for name, tensor in weights.items():
            torch.testing.assert_close(tensors[name], tensor, rtol=1e-3, atol=1e-5)
            assert torch.equal(tensors[name], found[2, 0][1][name])


STEPS = """
import json, os, sys
import torch
from torch import nn
import secateurs as sc
from secateurs.recover import processes
from secateurs.stepping import prune_in_steps
from secateurs.tuning import TuneConfig

torch.set_num_threads(1)
torch.manual_seed(0)
net = nn.Sequential(
    nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(128, 3)
)
x = torch.randn(90, 1, 8, 8, generator=torch.Generator().manual_seed(1))
y = (x.mean((1, 2, 3)) * 8).round().clamp(-1, 1).long() + 1
rank, _ = processes.processes()
ask = sc.PruneConfig(macs=0.5, calibrate=60, effort="fast", seed=rank)  # other draws where each pruned by itself
made = prune_in_steps(
    net, x[:1], (x, y), steps=2, config=ask, tune=TuneConfig(epochs=2, batch=20, learning_rate=0.05), teacher=net
)
sc.save(made.result, f"{sys.argv[1]}/{rank}.safetensors")
apart = [[epoch.accuracy for epoch in one.epochs] for one in made.tuned]
numbers = [made.result.after.macs, made.result.config.seed, apart]
open(f"{sys.argv[1]}/{rank}.json", "w").write(json.dumps(numbers))
"""


def test_the_first_process_prunes_for_all_and_all_end_with_the_same_network(tmp_path):
    import json

    for run in start(tmp_path, 2, script=STEPS):
        out, _ = run.communicate(timeout=120)
        assert run.returncode == 0, out
    files = [(tmp_path / f"{rank}.safetensors").read_bytes() for rank in range(2)]
    assert files[0] == files[1]  # plan, weights and running statistics
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    assert (first[0], first[2]) == (second[0], second[2])
    assert (first[1], second[1]) == (0, 1)


def test_a_lost_process_is_one_sentence_and_the_checkpoint_stays(tmp_path):
    first, second = start(tmp_path, 2, epochs=100_000)
    for line in first.stdout:
        if line.startswith("epoch 2"):
            break
    second.send_signal(signal.SIGKILL)
    second.wait()
    out, _ = first.communicate(timeout=120)
    assert first.returncode == 3, out
    said = next(line for line in out.splitlines() if line.startswith("RunError: "))
    assert "another process was lost in epoch" in said
    assert f"is in {tmp_path}: run the same command again" in said
    tensors = load_file(tmp_path / "checkpoint.safetensors")
    assert all(torch.isfinite(t).all() for t in tensors.values())
