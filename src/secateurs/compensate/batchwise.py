"""Batch norms of a network that is trained as a capture: every batch by its own statistics, whose average is kept."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from secateurs.network.exported import ExportedNetwork, is_batch_norm
from secateurs.network.interpreter import Instead


class Batchwise:
    """All batch norms of a network, as they are in training.

    Args:
        net: The network; its own statistics stay as they are.
        momentum: What the statistics of a batch weigh in the running average; None leaves all as in evaluation.

    Attributes:
        running: Copies of the statistics by node, brought up to date with every batch.
        instead: How each batch norm is computed from a batch.
    """

    def __init__(self, net: ExportedNetwork, momentum: float | None) -> None:
        self.net, self.momentum = net, momentum or 0.0
        norms = [] if momentum is None else [i for i, node in enumerate(net.nodes) if is_batch_norm(node)]
        self.running: dict[int, Tensor] = {}
        for i in norms:
            for position in (3, 4):
                at = net.given(i, position)
                if at is not None and at in net.weights:
                    self.running[at] = net.weights[at].detach().clone()
        known = [i for i in norms if all(net.given(i, position) in self.running for position in (3, 4))]
        self.instead: Instead = {i: partial(self._normalised, i) for i in known}

    def _normalised(self, i: int, values: Mapping[int, Any]) -> Tensor:
        given = [self.net.given(i, position) for position in range(3)]
        x, gamma, beta = (None if at is None else self.net.read(at, values) for at in given)
        mean, var = (self.running[at] for at in map(partial(self.net.given, i), (3, 4)) if at is not None)
        assert x is not None
        eps = float(self.net.nodes[i].args[7])  # type: ignore[arg-type]
        return F.batch_norm(x, mean, var, gamma, beta, True, self.momentum, eps)
