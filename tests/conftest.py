"""What all tests share: the real data where there is some, one thread, and torchvision beside a CPU torch."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

# Small networks gain nothing from more threads; fewer (OMP_NUM_THREADS) stay fewer.
torch.set_num_threads(min(2, torch.get_num_threads()))


def _torchvision_operators():
    """Declare torchvision's operators where its own library does not load beside the installed torch.

    Its models import `nms` without ever calling it in a classifier; without the declaration the import fails.
    """
    found = importlib.util.find_spec("torchvision")
    if found is None or found.origin is None:
        return None
    for library in Path(found.origin).parent.glob("_C*.so"):
        try:
            torch.ops.load_library(str(library))
        except OSError:
            continue
        return None
    operators = torch.library.Library("torchvision", "DEF")
    operators.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    operators.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return operators


TORCHVISION_OPERATORS = _torchvision_operators()  # kept, for the declaration lasts as long as the object


@pytest.fixture(scope="session")
def shared_data():
    """The folder with real data and public checkpoints: SECATEURS_DATA, or ../shared/data beside the "
    "repository."""
    folder = Path(os.environ.get("SECATEURS_DATA") or Path(__file__).parents[2] / "shared" / "data")
    if not (folder / "unpack.py").is_file():
        pytest.skip(f"the shared data are not at {folder} (set SECATEURS_DATA)")
    return folder


@pytest.fixture(scope="session")
def cifar10(shared_data, tmp_path_factory):
    """CIFAR-10 in its official binary layout: the folder that holds data_batch_1..5.bin and "
    "test_batch.bin."""
    pytest.importorskip("PIL", reason="pillow is needed to unpack the shared CIFAR-10")
    out = tmp_path_factory.mktemp("cifar10")
    command = [sys.executable, str(shared_data / "unpack.py"), "cifar10", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"unpack.py failed: {done.stderr[-500:]}")
    yield out / "cifar-10-batches-bin"
    for file in (out / "cifar-10-batches-bin").iterdir():  # 180 MB: not left behind
        file.unlink()
