"""Normalisations that leave channels out, against loops over the channels, and in the proof."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from secateurs import prune
from secateurs.errors import InputError
from secateurs.graph import Tracer
from secateurs.layers.cut import cut
from secateurs.surgery import verify
from secateurs.surgery.masked_norm import MaskedNorms

KEPT = [0, 2, 3]


def _loop(norm, x):
    """One position at a time: mean and variance of the kept channels, then every channel."""
    eps = norm.eps if norm.eps is not None else torch.finfo(x.dtype).eps
    out = torch.empty_like(x)
    for b in range(len(x)):
        seen = [x[b, c].item() for c in KEPT]
        mean = 0.0 if isinstance(norm, nn.RMSNorm) else sum(seen) / len(seen)
        var = sum((v - mean) ** 2 for v in seen) / len(seen)
        for c in range(x.shape[1]):
            bias = 0.0 if isinstance(norm, nn.RMSNorm) else norm.bias[c].item()
            out[b, c] = (x[b, c].item() - mean) / math.sqrt(var + eps) * norm.weight[c].item() + bias
    return out


@pytest.mark.parametrize(
    "norm", [nn.LayerNorm(5), nn.RMSNorm(5), nn.GroupNorm(1, 5)], ids=lambda n: type(n).__name__
)
def test_statistics_are_those_of_the_kept_channels(norm):
    draw = torch.Generator().manual_seed(0)
    norm = norm.double()
    with torch.no_grad():
        for p in norm.parameters():
            p.copy_(torch.randn(p.shape, generator=draw, dtype=p.dtype))
    x = torch.randn(4, 5, generator=draw, dtype=torch.float64)
    with torch.no_grad(), MaskedNorms(norm, {"weight": {0: np.array(KEPT)}}) as mode:
        found = norm(x)
    assert mode.used
    assert torch.allclose(found, _loop(norm, x), rtol=1e-12, atol=1e-12)
    assert not torch.allclose(found, norm(x), rtol=1e-3)


def _mixer(norm):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), norm, nn.Linear(8, 7), nn.ReLU(), nn.Linear(7, 3)).eval()


@pytest.mark.parametrize(
    "norm", [nn.LayerNorm(8), nn.RMSNorm(8), nn.GroupNorm(1, 8)], ids=lambda n: type(n).__name__
)
def test_embedding_widths_leave_on_request(norm):
    net, x = _mixer(norm), torch.randn(4, 6, generator=torch.Generator().manual_seed(1))
    assert [g.name for g in Tracer(net, x).graph().free] == ["2"]
    result = prune(net, x, method="l1-norm", keep=0.5, normalised="recompute")
    assert result.model[0].out_features == 4
    assert "see the kept channels only" in str(result)
    kept, first = list(result.plan.kept["0"]), net[0](x)
    small = result.model[1](first[:, kept])
    assert torch.allclose(result.model[:2](x), small, atol=1e-6)


def test_proof_fails_where_the_norm_sees_all_channels():
    """Without the recomputed statistics the smaller network is another function, which the proof has to see."""
    net, x = _mixer(nn.LayerNorm(8)), torch.randn(4, 6, generator=torch.Generator().manual_seed(1))
    graph = Tracer(net, x, "recompute").graph()
    keep = {"0": np.arange(4)}
    small = cut(net, graph.slices(keep), graph.attributes(keep))
    assert verify(net, small, graph.silenced(keep), x, kept=graph.slices(keep)).passed
    blind = {k: v for k, v in graph.slices(keep).items() if not k.startswith("1.")}
    assert not verify(net, small, graph.silenced(keep), x, kept=blind).passed


def test_other_words_are_refused():
    with pytest.raises(InputError, match="neither 'lock' nor 'recompute'"):
        Tracer(nn.Linear(1, 1), torch.ones(1, 1), "ignore")
