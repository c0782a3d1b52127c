"""What the pass of `observe` costs beside a plain forward pass over the same samples.

    python benchmarks/observing.py [--model resnet56 vgg16_bn mobilenet_v2] [--samples 1000] [--repeats 3]

Random weights and random images, which cost what real ones do. Both are run in turn and the least time counts.
"""

from __future__ import annotations

import argparse
import time

import torch

import secateurs as sc
from secateurs.statistics.units import observe
from secateurs.zoo.registry import build, entry


def main() -> None:
    """One line a network."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", nargs="*", default=["resnet56", "vgg16_bn", "mobilenet_v2"])
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    print("| network | forward s | observe s | ratio | with taps s | ratio |\n|---|---|---|---|---|---|")
    for name in args.model:
        torch.manual_seed(0)
        model, shape = build(name).eval(), entry(name).input_shape
        data = torch.randn(args.samples, *shape)
        free = sc.trace(model, data[:1]).free
        plain, channels, taps = [], [], []
        for _ in range(args.repeats):
            started = time.perf_counter()
            with torch.no_grad():
                for x in data.split(100):
                    model(x)
            plain.append(time.perf_counter() - started)
            started = time.perf_counter()
            observe(model, free, data)
            channels.append(time.perf_counter() - started)
            started = time.perf_counter()
            observe(model, free, data, taps=True)
            taps.append(time.perf_counter() - started)
        a, b, c = min(plain), min(channels), min(taps)
        print(f"| {name} | {a:.2f} | {b:.2f} | {b / a:.2f} | {c:.2f} | {c / a:.2f} |", flush=True)


if __name__ == "__main__":
    main()
