"""The same networks through torch-pruning, as its quick start uses it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tests" / "graph")]

import torch  # noqa: E402
from torch import nn  # noqa: E402

import networks  # noqa: E402


def peer(name: str, threads: int) -> Iterator[dict[str, Any]]:
    """torch-pruning as its quick start uses it; `works` means that the result runs and keeps its output's shape."""
    import torch_pruning as tp
    from checks import outputs

    torch.set_num_threads(threads)
    model, example = networks.build(name)
    networks.settle(model, example)
    shapes = [tuple(t.shape) for t in outputs(model, example)]
    macs, _ = tp.utils.count_ops_and_params(model, example)
    whole = widths(model)
    begun = time.process_time()
    ignored = [m for m in model.modules() if isinstance(m, nn.Linear) and m.out_features == 1000]
    pruner = tp.pruner.BasePruner(
        model,
        example,
        importance=tp.importance.GroupMagnitudeImportance(p=2),
        pruning_ratio=0.5,
        ignored_layers=ignored,
    )
    pruner.step()
    total = time.process_time() - begun
    less = widths(model)
    works = [tuple(t.shape) for t in outputs(model, example)] == shapes
    kept, _ = tp.utils.count_ops_and_params(model, example)
    yield {
        "works": works,
        "total": total,
        "macs_kept": kept / macs,
        "smaller": sum(less.get(k) != whole[k] for k in whole),
    }


def widths(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """Shapes of the weights of all convolutions and linear layers."""
    return {
        name: tuple(m.weight.shape)
        for name, m in model.named_modules()
        if isinstance(m, (nn.modules.conv._ConvNd, nn.Linear))
    }
