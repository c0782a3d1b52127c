"""What a group looks like in a model: its filters and batch-norm entries as matrices and vectors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor, nn

from secateurs.contracts import Group, Role, Slot
from secateurs.layers.frame import ENTER, is_frame
from secateurs.layers.reparametrised import reparametrised_by


@dataclass(frozen=True)
class NormEntries:
    """Batch-norm entries of the units of a group, each of shape (n,); variance and mean are the running ones."""

    gamma: Tensor
    beta: Tensor
    mean: Tensor
    var: Tensor
    eps: float


@dataclass(frozen=True, eq=False)
class GroupView:
    """One group of one model, as the formulas see it. Everything is float64 and a copy.

    `norms_after` names the batch norm that reads a layer's output, by the layer's weight (`Graph.norms`).
    Between the first 1x1 convolution of a frame and its k x k one, what is compared is what the latter does with
    the channels: producers and consumers change places there.
    """

    model: nn.Module
    group: Group
    norms_after: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def producers(self) -> list[Tensor]:
        """Filters of every layer that makes the channels of the group: (n, c, taps) each."""
        return self._matrices("consumer" if self.entering else "producer")

    @cached_property
    def carriers(self) -> list[Tensor]:
        """Depthwise filters and the like that go along with the channels: (n, c, taps) each."""
        return [self._rows(slot) for slot in self.group.slots_as("carrier") if self.tensor(slot).dim() > 2]

    @cached_property
    def consumers(self) -> list[Tensor]:
        """The weights that read the channels: (n, outputs, taps) each."""
        return self._matrices("producer" if self.entering else "consumer")

    @cached_property
    def entering(self) -> bool:
        """Whether the channels are those between a frame's first 1x1 convolution and its k x k one."""
        producers = [slot.tensor for slot in self.group.slots_as("producer")]
        frame, _, leaf = producers[0].rpartition(f".{ENTER}.") if len(producers) == 1 else ("", "", "")
        return leaf == "weight" and is_frame(self.model.get_submodule(frame))

    @cached_property
    def norms(self) -> list[NormEntries]:
        """Entries of the batch norms on the way, in the order of the forward pass."""
        return [entries for _, entries in self._norms()]

    def norm_of(self, position: int) -> NormEntries | None:
        """The batch norm that reads the output of the `position`-th producer's layer, if any."""
        if self.entering:
            return None
        slots = [s for s in self.group.slots_as("producer") if self.tensor(s).dim() > 1]
        owner = self.norms_after.get(slots[position].tensor)
        return dict(self._norms()).get(owner) if owner is not None else None

    def _matrices(self, role: Role) -> list[Tensor]:
        return [self._rows(slot) for slot in self.group.slots_as(role) if self.tensor(slot).dim() > 1]

    def _norms(self) -> list[tuple[str, NormEntries]]:
        modules = dict(self.model.named_modules(remove_duplicate=False))
        found = []
        for slot in self.group.slots_as("carrier"):
            owner, _, leaf = slot.tensor.rpartition(".")
            module = modules.get(owner)
            if leaf == "running_var" and isinstance(module, nn.modules.batchnorm._BatchNorm):
                entries = (module.weight, module.bias, module.running_mean, module.running_var)
                found.append((owner, _entries(module, slot, *entries)))
        return found

    def tensor(self, slot: Slot) -> Tensor:
        """The tensor that a slot lies on, or the weight that a reparametrisation makes of it."""
        return effective(self.model, slot.tensor)

    def _rows(self, slot: Slot) -> Tensor:
        """Units in front, then what one unit holds: (n, channels, taps)."""
        tensor = self.tensor(slot).detach().to(torch.float64).movedim(slot.axis, 0)
        index = torch.as_tensor(slot.positions, device=tensor.device)
        rows = tensor[index]
        rows = rows.reshape(*rows.shape[:2], tensor.shape[1], -1)
        return rows.reshape(rows.shape[0], rows.shape[1] * rows.shape[2], rows.shape[3])


def _entries(
    module: nn.Module,
    slot: Slot,
    gamma: Tensor | None,
    beta: Tensor | None,
    mean: Tensor | None,
    var: Tensor | None,
) -> NormEntries:
    first = slot.positions[:, 0]

    def pick(tensor: Tensor | None, default: float) -> Tensor:
        if tensor is None:
            return torch.full((len(first),), default, dtype=torch.float64)
        return tensor.detach().to(torch.float64)[torch.as_tensor(first, device=tensor.device)]

    return NormEntries(pick(gamma, 1.0), pick(beta, 0.0), pick(mean, 0.0), pick(var, 1.0), float(module.eps))  # type: ignore[arg-type]


def effective(model: nn.Module, name: str) -> Tensor:
    """The tensor of that name, or the weight a reparametrisation makes of it."""
    owner, _, leaf = name.rpartition(".")
    if ".parametrizations." in f".{name}":
        path, _, rest = f".{name}".partition(".parametrizations.")
        weight = getattr(model.get_submodule(path[1:]), rest.split(".")[0])
    else:
        module = model.get_submodule(owner)
        if any(leaf == names[-1] and len(names) == 2 for names in reparametrised_by(module)):
            weight = getattr(module, leaf.removesuffix("_v"))
        else:
            weight = module._parameters.get(leaf)
            weight = module._buffers[leaf] if weight is None else weight
    if not isinstance(weight, Tensor):
        raise TypeError(f"{name} is no tensor")
    return weight
