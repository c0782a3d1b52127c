"""Train the DCASE 2021 baseline on ESC-10, prune it in several ways, and classify a clip with the smallest.

    python examples/dcase_esc10.py ESC-50-master --fold 1 --epochs 30 --clip my_dog.wav

ESC-50 is at https://github.com/karolpiczak/ESC-50; `pip install ".[audio,onnx]"` brings what reads it and what
writes int8. The clips of one fold are for testing: nothing is trained, chosen or calibrated on them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

import secateurs as sc
from secateurs import zoo
from secateurs.audio import Reading, front_named, read_clip
from secateurs.data import DataSource, batches, resolve_data
from secateurs.errors import SecateursError
from secateurs.export import export_onnx, quantise_onnx
from secateurs.export.running import OnnxNetwork
from secateurs.meters import measure_latency

# The baseline takes 10 s; a clip of ESC-50 lasts 5 s, and is heard twice.
SETTINGS = "subset=esc10,front=dcase2021,short=repeat,normalise=none"
WAYS = (("l1-norm", "none"), ("similarity", "merge"), ("moments", "least-squares"))


def asked(argv: Sequence[str] | None) -> argparse.Namespace:
    """The arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", help="the folder of ESC-50, which holds audio and meta")
    parser.add_argument("--fold", type=int, default=1, help="the fold for testing (1)")
    parser.add_argument("--epochs", type=int, default=30, help="passes over the other folds (30)")
    parser.add_argument("--macs", type=float, default=0.5, help="share of the multiply-adds that stays (0.5)")
    parser.add_argument(
        "--clip", type=Path, help="a sound of your own to classify; else the first for testing"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the weights and the order of clips (0)")
    found = parser.parse_args(argv)
    if found.epochs < 1:
        raise sc.InputError(f"--epochs is {found.epochs}; give a whole number from 1.")
    return found


def whole(data: object) -> tuple[Tensor, Tensor]:
    """All spectrograms (n, 1, 40, 500) and classes (n,) of one part."""
    read = [(inputs[0], labels) for inputs, labels in batches(data, 16)]
    return torch.cat([x for x, _ in read]), torch.cat([y for _, y in read])


def trained(x: Tensor, y: Tensor, classes: int, epochs: int, seed: int) -> nn.Module:
    """The baseline after some passes of Adam."""
    torch.manual_seed(seed)
    model = zoo.build("dcase2021", num_classes=classes).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    for epoch in range(epochs):
        total = 0.0
        for index in torch.randperm(len(x)).split(16):
            loss = nn.functional.cross_entropy(model(x[index]), y[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += float(loss.detach()) * len(index)
        print(f"epoch {epoch + 1}: loss {total / len(x):.3f}", file=sys.stderr)
    return model.eval()


def row(name: str, model: nn.Module, x: Tensor, test: tuple[Tensor, Tensor]) -> str:
    """One line of the table: what a board has to hold and do, and how often the network is right."""
    costs, time = sc.count_costs(model, x[:1]), measure_latency(model, x[:1])
    return (
        f"{name:<26}{costs.params:>9,}{costs.macs / 1e6:>9.1f}{4 * costs.params / 1000:>9.1f}"
        f"{time.median_ms:>9.1f}{100 * sc.evaluate(model, test).value:>10.1f}"
    )


def int8(model: nn.Module, x: Tensor, test: tuple[Tensor, Tensor]) -> str:
    """What a file of 8 bits is, and how often it is right in ONNX Runtime."""
    with tempfile.TemporaryDirectory() as folder:
        written = export_onnx(model, x[:1], Path(folder) / "net.onnx")
        made = quantise_onnx(written.path, x, Path(folder) / "net.int8.onnx")
        right = 100 * sc.evaluate(OnnxNetwork(made.path), test).value
    sizes = f"{made.int8_bytes / 1000:.1f} kB (float {made.float_bytes / 1000:.1f})"
    return f"int8: a file of {sizes}, {right:.1f} % right"


def classify(model: nn.Module, clip: Path, mean: Tensor, spread: Tensor, classes: Sequence[str]) -> str:
    """Spectrogram in, class out: one clip of any rate and length, of which the first 10 s are heard."""
    front = front_named("dcase2021")
    wave = read_clip(clip, front.rate, Reading(short="repeat"), front.samples)[: front.samples]
    with torch.no_grad():
        scores = model((front.module()(wave[None]) - mean) / spread).softmax(1)[0]
    best = int(scores.argmax())
    return f"{clip.name}: {classes[best]} ({100 * float(scores[best]):.0f} %)"


def run(args: argparse.Namespace) -> None:
    """Train, prune, measure, classify.

    Raises:
        InputError: A folder, fold, clip or number that cannot be used.
    """
    data: DataSource = resolve_data(f"esc50:{args.path}:fold={args.fold},{SETTINGS}")
    (x, y), (test_x, test_y) = whole(data.train), whole(data.test)
    mean, spread = x.mean((0, 1, 3))[:, None], x.std((0, 1, 3))[:, None].clamp(min=1e-6)
    x, test = (x - mean) / spread, ((test_x - mean) / spread, test_y)
    model = trained(x, y, len(data.classes), args.epochs, args.seed)
    print(f"{'':<26}{'params':>9}{'M MACs':>9}{'kB':>9}{'ms':>9}{'right, %':>10}")
    print(row("whole", model, x, test))
    small = model
    for method, repair in WAYS:
        result = sc.prune(
            model,
            x[:1],
            method=method,
            compensate=repair,
            macs=args.macs,
            data=x,
            calibrate=64,
            seed=args.seed,
        )
        small = result.model
        print(row(f"{method}, {repair}", small, x, test))
    print(int8(small, x, test))
    print(classify(small, args.clip or data.test.files[0], mean, spread, data.classes))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the example; bad input is one sentence and exit status 2."""
    try:
        run(asked(argv))
    except SecateursError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
