"""Two-stage reconstruction (Li et al., doi 10.1016/j.eswa.2025.128930): squeeze, cut, reconstruct, without labels.

Both stages are Adam on the sum over all layers of the squared error of what a layer gives, relative to the squared
norm of what the original gives there. In the first the filters that will leave are pulled to 0, by a weight decay of
0.02 that grows by 0.02 an epoch. In the second batch norms see their batches, and a layer's learning rate is divided by
how many layers are left from it on. What is not published (the rate, the epochs of the second stage) is as below.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

import secateurs as sc
from secateurs.surgery import Plan

SAMPLES, EPOCHS, BATCH, RATE, DECAY = 2048, 20, 64, 1e-3, 0.02
LAYERS = (nn.Conv2d, nn.BatchNorm2d, nn.Linear)


@contextmanager
def heard(model: nn.Module) -> Iterator[dict[str, Tensor]]:
    """What every layer gives, by name, anew with every pass."""
    found: dict[str, Tensor] = {}

    def hook(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        def see(_: nn.Module, __: object, y: Tensor) -> None:
            found[name] = y

        return see

    handles = [m.register_forward_hook(hook(n)) for n, m in model.named_modules() if isinstance(m, LAYERS)]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def loss(found: dict[str, Tensor], wanted: dict[str, Tensor], kept: dict[str, Tensor]) -> Tensor:
    """The sum over all layers, on the channels that stay."""
    parts = []
    for name, y in found.items():
        z = wanted[name].index_select(1, kept[name]) if name in kept else wanted[name]
        parts.append((y - z).square().sum() / z.square().sum().clamp_min(1e-12))
    return torch.stack(parts).sum()


def trained_(net: nn.Module, model: nn.Module, images: Tensor, plan: Plan, squeeze: bool, seed: int) -> None:
    """One stage, in place."""
    first = {tensor: torch.tensor(axes[0]) for tensor, axes in plan.steps[-1].slices.items() if 0 in axes}
    kept = (
        {}
        if squeeze
        else {t.removesuffix(".weight"): stay for t, stay in first.items() if t.endswith("weight")}
    )
    layers = [(n, m) for n, m in net.named_modules() if isinstance(m, LAYERS)]
    rates = [RATE if squeeze else RATE / (len(layers) - k) for k in range(len(layers))]
    groups = [
        {"params": list(m.parameters()), "lr": rate} for (_, m), rate in zip(layers, rates, strict=True)
    ]
    optimizer = torch.optim.Adam(groups)
    doomed = dict(net.named_parameters())
    leaving = {n: torch.ones(len(p), dtype=torch.bool) for n, p in doomed.items() if n in first and squeeze}
    for name, mask in leaving.items():
        mask[first[name]] = False
    net.train(not squeeze)
    generator = torch.Generator().manual_seed(seed)
    with heard(net) as found, heard(model) as wanted:
        for epoch in range(EPOCHS):
            for chosen in torch.randperm(len(images), generator=generator).split(BATCH):
                with torch.no_grad():
                    model(images[chosen])
                net(images[chosen])
                optimizer.zero_grad()
                loss(found, wanted, kept).backward()  # type: ignore[no-untyped-call]
                for name, mask in leaving.items():
                    grad = doomed[name].grad
                    if grad is not None:
                        grad[mask] += DECAY * (epoch + 1) * doomed[name].detach()[mask]
                optimizer.step()
    net.eval()


def two_stage(model: nn.Module, plan: Plan, images: Tensor, seed: int = 0) -> nn.Module:
    """The pruned network of a plan, squeezed and reconstructed on unlabelled images."""
    whole = copy.deepcopy(model)
    trained_(whole, model, images[:SAMPLES], plan, squeeze=True, seed=seed)
    small = sc.remove(whole, plan)
    trained_(small, model, images[:SAMPLES], plan, squeeze=False, seed=seed)
    return small
