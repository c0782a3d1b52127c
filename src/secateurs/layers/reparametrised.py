"""Weights that are computed from others (weight norm, spectral norm): which they are, and their scales after a cut."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from secateurs.contracts import IntArray
from secateurs.layers.tensors import Slices, named_tensors, take


def keep_norms(model: nn.Module, small: nn.Module, slices: Slices) -> None:
    """Reparametrised weights (weight norm, spectral norm) keep the effective weights they had.

    Weight norm w = g v / ||v||: what is left of v has another norm, so g is scaled by the ratio of the
    norms. Spectral norm w = W / (u^T W v): v is scaled so that the divisor stays what it was.
    """
    old, new = dict(named_tensors(model)), dict(named_tensors(small))
    for names in reparametrised(model):
        if not any(name in slices for name in names):
            continue
        if len(names) == 2:
            _keep_weight_norm(
                old[names[0]], old[names[1]], new[names[0]], new[names[1]], slices.get(names[1], {})
            )
        else:
            _keep_spectral_norm(*(old[n] for n in names), *(new[n] for n in names))


def reparametrised(model: nn.Module) -> Iterator[tuple[str, ...]]:
    """Names of (g, v) of every weight norm and of (W, u, v) of every spectral norm, new style and old.

    They are known by the parametrization or hook that PyTorch registers, never by their names.

    Example:
        >>> list(reparametrised(nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))))
        [('parametrizations.weight.original0', 'parametrizations.weight.original1')]
    """
    for path, module in model.named_modules():
        for names in reparametrised_by(module):
            yield tuple(f"{path}.{name}" if path else name for name in names)


def reparametrised_by(module: nn.Module) -> Iterator[tuple[str, ...]]:
    """The same of one module alone, by the names that it has for them."""
    for name, several in getattr(module, "parametrizations", {}).items():
        for kind in (type(one).__name__ for one in several):
            held = f"parametrizations.{name}"
            if kind == "_WeightNorm":
                yield f"{held}.original0", f"{held}.original1"
            elif kind == "_SpectralNorm":
                yield f"{held}.original", f"{held}.0._u", f"{held}.0._v"
    for hook in module._forward_pre_hooks.values():
        if isinstance(hook, WeightNorm):
            yield f"{hook.name}_g", f"{hook.name}_v"
        elif isinstance(hook, SpectralNorm):
            yield tuple(f"{hook.name}_{end}" for end in ("orig", "u", "v"))


def is_reparametrised(model: nn.Module, slices: Slices) -> bool:
    """Whether any of the named tensors is part of a reparametrised weight."""
    return bool(slices) and any(name in slices for names in reparametrised(model) for name in names)


@torch.no_grad()
def _keep_weight_norm(g0: Tensor, v0: Tensor, g1: Tensor, v1: Tensor, kept: Mapping[int, IntArray]) -> None:
    over = [i for i in range(g0.dim()) if g0.shape[i] == 1]
    if g0.dim() != v0.dim():  # one norm for the whole tensor
        over = list(range(v0.dim()))
    rows = {axis: positions for axis, positions in kept.items() if axis not in over}
    before = take(torch.linalg.vector_norm(v0.double(), dim=over, keepdim=g0.dim() == v0.dim()), rows)
    after = torch.linalg.vector_norm(v1.double(), dim=over, keepdim=g0.dim() == v0.dim())
    empty = after == 0
    g1.copy_(
        torch.where(empty, torch.zeros_like(after), g1.double() * after / before.clamp_min(1e-300)).to(
            g1.dtype
        )
    )
    if bool(empty.any()):  # 0 / 0 would be NaN: any direction will do where the scale is 0
        v1.copy_(torch.where(empty, torch.ones_like(v1), v1))


@torch.no_grad()
def _keep_spectral_norm(w0: Tensor, u0: Tensor, v0: Tensor, w1: Tensor, u1: Tensor, v1: Tensor) -> None:
    sigma0, sigma1 = _sigma(w0, u0, v0), _sigma(w1, u1, v1)
    if float(sigma1) != 0.0:
        v1.mul_((sigma0 / sigma1).to(v1.dtype))


def _sigma(weight: Tensor, u: Tensor, v: Tensor) -> Tensor:
    rows = weight.double()
    if rows.shape[0] != u.shape[0]:  # transposed convolutions normalise along axis 1
        rows = rows.transpose(0, 1)
    return u.double() @ (rows.reshape(u.shape[0], -1) @ v.double())
