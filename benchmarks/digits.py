"""Train the digits network whose weights are part of the package, and write them to its place.

    python benchmarks/digits.py

It sees the training samples that are not held out (`DataSource.calibration`), never the held-out or test samples.
One thread and a seed: the same machine and torch write the same file.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

import secateurs
from secateurs.data import batches, resolve_data
from secateurs.meters import evaluate
from secateurs.recover.train import train_
from secateurs.zoo import build
from secateurs.zoo.digits import WEIGHTS

EPOCHS, SEED = 12, 0
ALL = 10_000  # more samples than there are digits


def main() -> None:
    """Train, say how good it is, and write the file."""
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    data = resolve_data("digits")
    (inputs,), labels = next(batches(data.calibration(ALL, SEED), ALL))
    assert labels is not None
    model = build("digits_cnn")
    train_(model, inputs, labels, epochs=EPOCHS, seed=SEED)
    print("held out:", evaluate(model, data.holdout(ALL)), "test:", evaluate(model, data.test), sep="\n")
    path = Path(secateurs.__file__).parent / "zoo" / WEIGHTS
    # One entry: safetensors writes several in any order, and the file would not be the same again.
    save_file(model.state_dict(), path, metadata={"about": "digits_cnn, trained by benchmarks/digits.py"})
    path.chmod(0o644)
    print(f"wrote {path.name}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
