"""GRAIL (arXiv 2602.23795): one linear map a layer from the channels that stay to all, folded into its reader."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from secateurs.surgery import Plan

RIDGE = 1e-3


@torch.no_grad()
def grams(model: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """E[h h^T] of the channels that each convolution and linear layer of the *unpruned* network reads, not centred."""
    found: dict[str, Tensor] = {}

    def hook(name: str) -> object:
        def seen(_: nn.Module, given: tuple[Tensor, ...]) -> None:
            h = given[0].transpose(0, 1).flatten(1) if given[0].dim() == 4 else given[0].T
            part = (h @ h.T).double() / h.shape[1]
            found[name] = part if name not in found else found[name] + part

        return seen

    layers = {n: m for n, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    hooks = [layer.register_forward_pre_hook(hook(name)) for name, layer in layers.items()]  # type: ignore[arg-type]
    for part in images.split(250):
        model(part)
    for handle in hooks:
        handle.remove()
    return found


@torch.no_grad()
def grail_(small: nn.Module, model: nn.Module, plan: Plan, known: dict[str, Tensor]) -> None:
    """Weights of every reader times B = G_{:S} (G_{SS} + ridge I)^-1, for the channels S that stay."""
    for tensor, axes in plan.steps[-1].slices.items():
        name = tensor.rpartition(".")[0]
        layer = model.get_submodule(name)
        if 1 not in axes or not isinstance(layer, nn.Conv2d | nn.Linear):  # no bias has a second axis
            continue
        gram, stay = known[name], torch.tensor(axes[1])
        own = gram[stay][:, stay]
        system = own + RIDGE * own.diagonal().mean() * torch.eye(len(stay), dtype=own.dtype)
        back = torch.linalg.solve(system, gram[stay]).T.to(layer.weight.dtype)  # (H, K)
        weight = layer.weight if 0 not in axes else layer.weight[torch.tensor(axes[0])]
        small.get_submodule(name).weight.copy_(torch.einsum("oh...,hk->ok...", weight, back))
