"""What the benchmarks on CIFAR-10 begin with: a trained network and its data."""

from __future__ import annotations

import argparse
from typing import Any

from torch import Tensor, nn

from secateurs.data import resolve_data
from secateurs.data.batches import joined
from secateurs.data.normalisation import IMAGENET
from secateurs.zoo.registry import build
from secateurs.zoo.weights import load_weights


def arguments(text: str | None, model: str) -> argparse.ArgumentParser:
    """A parser that knows where the data and the weights are."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cifar10", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--model", default=model)
    return parser


def loaded(args: Any) -> tuple[nn.Module, Any]:
    """The network in evaluation, and the data."""
    model = build(args.model)
    load_weights(model, args.weights)
    return model.eval(), resolve_data(f"cifar10:{args.cifar10}", normalisation=IMAGENET)


def calibration(source: Any, count: int) -> Tensor:
    """Unlabelled training images."""
    (images,) = joined(source.calibration(count), count)
    return images
