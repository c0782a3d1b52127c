"""What a layer is given to read of one group: feature maps, and what each channel contributes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from secateurs.contracts import Group, Slot
from secateurs.layers.linear_map import linear_map, matrix, rows
from secateurs.layers.types import layer_type

_PLACES = 64  # output positions of one sample that contributions are taken at


@dataclass(frozen=True, eq=False)
class FeatureMaps:
    """One batch at the input of one layer that reads a group (or at the output of one that makes it).

    `gradient` is that of a loss with respect to `x`, where one was asked for.
    """

    layer: nn.Module
    slot: Slot
    x: Tensor
    gradient: Tensor | None = None

    @property
    def plain(self) -> bool:
        """Whether the layer is linear in its input, so that contributions can be told apart."""
        return self.slot.role == "consumer" and linear_map(self.layer) is not None

    def maps(self, of: Tensor | None = None) -> Tensor:
        """Feature maps of the units, shape (b, n, h, w); places that belong to one unit lie below each other."""
        x = self.x if of is None else of
        if layer_type(self.layer).channels_last:
            x = x.movedim(-1, 1)
        x = x.reshape(*x.shape[:2], *_plane(x.shape[2:]))
        picked = x[:, torch.as_tensor(self._places(x.shape[1]), device=x.device)]  # (b, n, m, h, w)
        return picked.reshape(*picked.shape[:2], -1, picked.shape[-1])

    def contributions(self) -> Tensor:
        r"""Gram matrix of what the units contribute to the layer's outputs, shape (n, n).

        $C_{ij} = \sum_s \langle x_{si} * V_i, x_{sj} * V_j \rangle$ over samples and some output positions:
        with rows r and weights M, the blocks of $(R^T R) \odot (M^T M)$, summed. Cost O(rows d^2).
        """
        form = linear_map(self.layer)
        assert form is not None
        read = rows(self.layer, self.x, self._sampled()).double()
        weights = matrix(self.layer).double()
        gram = torch.einsum("sgi,sgj->gij", read, read) * torch.einsum("goi,goj->gij", weights, weights)
        blocks = gram.reshape(form.groups, form.inputs, form.taps, form.inputs, form.taps).sum(dim=(0, 2, 4))
        index = torch.as_tensor(self.slot.positions, device=blocks.device)
        n, m = index.shape
        return blocks[index.ravel()][:, index.ravel()].reshape(n, m, n, m).sum(dim=(1, 3))

    def _places(self, channels: int) -> Tensor:
        """Input channels of every unit: a grouped layer stores those of its first group only."""
        index = torch.as_tensor(self.slot.positions)
        groups = getattr(self.layer, "groups", 1)
        stored = channels // groups
        if self.slot.role == "consumer" and groups > 1 and int(index.max()) < stored:
            index = torch.cat([index + g * stored for g in range(groups)], dim=1)
        return index

    def _sampled(self) -> Tensor | None:
        if layer_type(self.layer).form not in ("conv", "transposed"):
            return None
        with torch.no_grad():
            count = math.prod(self.layer.forward(self.x[:1]).shape[2:])  # no hooks
        step = max(1, count // _PLACES)
        return torch.arange(step // 2, count, step)


def hook_points(model: nn.Module, group: Group) -> Iterator[tuple[nn.Module, Slot, bool]]:
    """Where the maps of a group can be seen: (layer, slot, at its input?).

    The inputs of all plain layers that read the group; where there are none, the output of a layer that
    makes it.
    """
    found = False
    for slot in group.slots_as("consumer"):
        layer = _owner(model, slot)
        if layer_type(layer).form or _first_weight(layer, slot):
            found = True
            yield layer, slot, True
    for slot in () if found else group.slots_as("producer"):
        layer = _owner(model, slot)
        if layer_type(layer).form:
            yield layer, slot, False
            return


def _first_weight(layer: nn.Module, slot: Slot) -> bool:
    """Whether a recurrent layer reads its input with this weight; the others read hidden states."""
    return isinstance(layer, nn.RNNBase) and slot.tensor.rpartition(".")[2].startswith("weight_ih_l0")


def _owner(model: nn.Module, slot: Slot) -> nn.Module:
    return model.get_submodule(slot.tensor.rpartition(".")[0].split(".parametrizations")[0])


def _plane(sizes: torch.Size) -> tuple[int, int]:
    """Any number of spatial axes as two."""
    return (math.prod(sizes[:-1]), sizes[-1]) if len(sizes) else (1, 1)
