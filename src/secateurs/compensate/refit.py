"""The least-squares refit of a layer, from moments alone."""

from __future__ import annotations

import torch
from torch import Tensor

from secateurs.errors import InputError


def refit(
    gram: Tensor, cross: Tensor, toward: Tensor, *, ridge: float = 1e-5, constant: bool = True
) -> tuple[Tensor, Tensor]:
    r"""Weights and bias that come nearest to wanted outputs.

    $(W, b) = \arg\min E\lVert y - W x - b \rVert^2 + \rho\, \lVert W - W_0 \rVert^2$ with $\rho$ = `ridge` times
    the mean diagonal entry of $E[x x^T]$: for $s = (x, 1)$ the solution of
    $(E[s s^T] + \rho D)\,(W, b)^T = E[s y^T] + \rho D\,(W_0, 0)^T$, D the identity without the constant's entry.

    Dead and constant inputs, and fewer samples than inputs, leave directions of which the data say nothing:
    there the weights stay what they were.

    Args:
        gram: $E[s s^T]$, shape (g, d + 1, d + 1), float64; g problems at once.
        cross: $E[s y^T]$, shape (g, d + 1, o).
        toward: $W_0$, shape (g, o, d).
        ridge: Relative strength of the pull toward $W_0$, above 0.
        constant: Whether there is a bias to fit; without it b is 0.

    Returns:
        W of shape (g, o, d) and b of shape (g, o), float64.

    Raises:
        InputError: A ridge not above 0, or moments that are not finite.

    Cost:
        O(g (d^3 + d^2 o)).

    Example:
        >>> x = torch.tensor([[1.0, 1.0], [2.0, 1.0], [3.0, 1.0]], dtype=torch.float64)  # rows s = (x, 1)
        >>> y = 2 * x[:, :1] + 5
        >>> w, b = refit((x.T @ x / 3)[None], (x.T @ y / 3)[None], torch.zeros(1, 1, 1).double(), ridge=1e-12)
        >>> round(float(w), 6), round(float(b), 6)
        (2.0, 5.0)
    """
    if not ridge > 0:
        raise InputError(f"ridge is {ridge}; give a number above 0 (1e-5 suits most)")
    if not bool(torch.isfinite(gram).all()) or not bool(torch.isfinite(cross).all()):
        raise InputError("moments: some are NaN or infinite; check the normalisation of the calibration data")
    width = gram.shape[1] - 1
    size = gram.diagonal(dim1=1, dim2=2)[:, :width].mean(1) if width else gram.new_ones(len(gram))
    rho = ridge * torch.where(size > 0, size, torch.ones_like(size))
    system, right = gram.clone(), cross.clone()
    system.diagonal(dim1=1, dim2=2)[:, :width] += rho[:, None]
    right[:, :width] += rho[:, None, None] * toward.transpose(1, 2)
    if not constant:
        system, right = system[:, :width, :width], right[:, :width]
    start = torch.cat([toward.transpose(1, 2).to(right), torch.zeros_like(right[:, width:])], 1)
    solution = _solve(system, right, start[:, : len(system[0])])
    weights = solution[:, :width].transpose(1, 2)
    bias = solution[:, width] if constant else torch.zeros_like(cross[:, 0])
    return weights, bias


def _solve(system: Tensor, right: Tensor, start: Tensor) -> Tensor:
    factor, info = torch.linalg.cholesky_ex(system)
    if not bool(info.any()):
        return torch.cholesky_solve(right, factor)
    # Rounding has made it indefinite: directions that are lost in it stay where they start.
    values, vectors = torch.linalg.eigh(system)
    floor = values.amax(1, keepdim=True) * 1e-13
    inverse = torch.where(values > floor, 1.0 / values.clamp_min(1e-300), torch.zeros_like(values))
    step = vectors.transpose(1, 2) @ (right - system @ start)
    solution: Tensor = start + vectors @ (inverse[:, :, None] * step)
    return solution


def unexplained(gram: Tensor, cross: Tensor, energy: Tensor, weights: Tensor, bias: Tensor) -> Tensor:
    r"""$E\lVert y - W x - b \rVert^2$ summed over outputs, from the same moments and $E[y^2]$ of shape (g, o).

    Returns:
        Shape (g,); never below 0.

    Example:
        >>> one = torch.ones(1, 1, 1).double()
        >>> float(unexplained(torch.ones(1, 2, 2).double(), torch.zeros(1, 2, 1).double(), one[0], one, 0 * one[0]))
        2.0
    """
    x = torch.cat([weights, bias[:, :, None]], 2)
    quadratic = (x @ gram * x).sum((1, 2))
    linear = (x.transpose(1, 2) * cross).sum((1, 2))
    return (energy.sum(1) - 2 * linear + quadratic).clamp_min(0.0)
