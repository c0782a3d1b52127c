"""Train VGG-16-BN or MobileNetV2 on CIFAR-10 from scratch, for a network to prune that papers prune.

    python examples/train_cifar10.py vgg16_bn cifar-10-batches-bin --device cuda --out vgg16_bn.safetensors
    secateurs prune vgg16_bn --weights vgg16_bn.safetensors --data cifar10:cifar-10-batches-bin --macs 0.35 --out small

`pip install ".[tune]"` brings Lightning Fabric. The goals are 93.9 % (VGG-16-BN) and 94.2 % (MobileNetV2) of the test
images; neither recipe has been run in full yet, which takes a GPU. Stopped, the same command goes on from its last
epoch; under `torchrun` several devices share every batch.

All 50,000 training images are trained on and the last epoch is kept, so nothing is chosen: the test images are looked
at once, at the end. `--held-out 0.1` keeps the best epoch of a tenth of the training images instead.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

import secateurs as sc
from secateurs import zoo
from secateurs.data import DataSource, resolve_data
from secateurs.errors import SecateursError
from secateurs.export import new_file
from secateurs.recover import Epoch, Tuned, tune_
from secateurs.recover.processes import processes
from secateurs.tuning import TuneConfig

# The largest learning rates; VGG has no shortcuts that carry gradients, so it takes half.
RATES = {"vgg16_bn": 0.05, "mobilenet_v2": 0.1}


def recipe(network: str, **settings: Any) -> TuneConfig:
    """Crops and mirror images; SGD, warm-up and cosine; label smoothing; mixed precision as `precision` says."""
    return TuneConfig(
        **{
            "epochs": 200,
            "batch": 128,
            "learning_rate": RATES[network],
            "momentum": 0.9,
            "weight_decay": 5e-4,
            "schedule": "cosine",
            "warmup": 5.0,
            "label_smoothing": 0.1,
            "augment": "crop-flip",
            "held_out": 0.0,
            **settings,
        }
    )


def trained(
    network: str, data: Any, config: TuneConfig, device: torch.device, to: Path | None
) -> tuple[nn.Module, Tuned]:
    """The network after its training, and what came of every epoch.

    Args:
        network: A name of `RATES`.
        data: Images (n, 3, 32, 32) with classes, as `tune_` takes them.
        config: The settings.
        device: Where to train.
        to: The folder of checkpoints; None for none.
    """
    torch.manual_seed(config.seed)
    model = zoo.build(network).to(device)
    return model, tune_(model, data, config=config, to=to, each=told)


def told(epoch: Epoch) -> None:
    """Say what came of an epoch."""
    apart = "" if epoch.accuracy is None else f", {100 * epoch.accuracy:.2f} % of the images kept apart"
    print(f"epoch {epoch.number}: loss {epoch.loss:.4f}{apart}, {epoch.seconds:.0f} s", file=sys.stderr)


def asked(argv: Sequence[str] | None) -> argparse.Namespace:
    """The arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", choices=RATES)
    parser.add_argument("path", help="the folder of CIFAR-10, binary version")
    parser.add_argument("--out", type=Path, required=True, help="the .safetensors file to write")
    parser.add_argument("--epochs", type=int, default=200, help="passes over the training images (200)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, or cuda:1 (cpu)")
    parser.add_argument("--precision", help="32, bf16 or 16 (bf16 on cuda, else 32)")
    parser.add_argument(
        "--held-out", type=float, default=0.0, help="share that decides the epoch (0: the last)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of weights, order and views (0)")
    return parser.parse_args(argv)


def run(args: argparse.Namespace) -> None:
    """Train, write, measure.

    Raises:
        InputError: A folder or a number that cannot be used.
        RunError: The training came to nothing, or the disk is full.
    """
    on_cuda = args.device.startswith("cuda")
    config = recipe(
        args.network,
        epochs=args.epochs,
        precision=args.precision or ("bf16" if on_cuda else "32"),
        channels_last=on_cuda,
        held_out=args.held_out,
        seed=args.seed,
    )
    config.check()
    data: DataSource = resolve_data(f"cifar10:{args.path}")
    model, done = trained(
        args.network, data.train, config, torch.device(args.device), args.out.with_suffix(".tuning")
    )
    if processes()[0] > 0:
        return
    with new_file(args.out) as temporary:
        save_file({name: x.cpu().contiguous() for name, x in model.state_dict().items()}, temporary)
    print(f"{args.out}: {done}; test images: {sc.evaluate(model, data.test)}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the example; bad input is one sentence and exit status 2."""
    try:
        run(asked(argv))
    except SecateursError as error:
        print(error, file=sys.stderr)
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
