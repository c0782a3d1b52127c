"""The moments of all consumers of a network: merge them, share them, keep them in a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from secateurs.errors import InputError
from secateurs.running.together import place, summed
from secateurs.statistics.moments import Moments

_FORMAT = "secateurs.statistics"


@dataclass(frozen=True, eq=False)
class Statistics:
    """What one pass over the data has left: everything here adds up.

    Attributes:
        samples: How many samples were seen.
        channels: Moments of the input channels of every consumer, over samples and places, by layer name.
        taps: The same of whole rows (all channels at all taps), where asked for.
        warnings: What looked wrong with the data, in words.
    """

    samples: int
    channels: Mapping[str, Moments] = field(default_factory=dict)
    taps: Mapping[str, Moments] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def __add__(self, other: Statistics) -> Statistics:
        """Statistics of both sets of samples together.

        Raises:
            InputError: They come from different networks.
        """
        if set(self.channels) != set(other.channels) or set(self.taps) != set(other.taps):
            raise InputError("statistics: these two come from different networks and cannot be merged")
        return Statistics(
            self.samples + other.samples,
            {k: v + other.channels[k] for k, v in self.channels.items()},
            {k: v + other.taps[k] for k, v in self.taps.items()},
            tuple(dict.fromkeys(self.warnings + other.warnings)),
        )

    def all_reduce(self) -> Statistics:
        """The sum over all processes of the default group; unchanged where there is only one.

        Every process gets the same result. Cost: one all-reduce of all moments.
        """
        if place()[1] == 1:
            return self
        samples = summed(torch.tensor([float(self.samples)], dtype=torch.float64))
        return Statistics(
            int(samples),
            {k: _reduced(v) for k, v in sorted(self.channels.items())},
            {k: _reduced(v) for k, v in sorted(self.taps.items())},
            self.warnings,
        )

    def save(self, path: str | Path) -> None:
        """Write a safetensors file (no pickle)."""
        tensors, counts = {}, {}
        for part, table in (("channels", self.channels), ("taps", self.taps)):
            for name, moments in table.items():
                tensors[f"{part}/{name}/first"] = moments.first.cpu().contiguous()
                tensors[f"{part}/{name}/second"] = moments.second.cpu().contiguous()
                counts[f"{part}/{name}"] = moments.count
        header = {
            "format": _FORMAT,
            "version": "1",
            "samples": str(self.samples),
            "counts": json.dumps(counts),
            "warnings": json.dumps(self.warnings),
        }
        save_file(tensors, str(path), metadata=header)

    @classmethod
    def load(cls, path: str | Path) -> Statistics:
        """Read a file back.

        Raises:
            InputError: It is missing, or no file of statistics.
        """
        try:
            with safe_open(str(path), framework="pt") as file:
                header = file.metadata() or {}
                if header.get("format") != _FORMAT:
                    raise InputError(f"{path}: not a file of statistics; write one with Statistics.save")
                counts = json.loads(header["counts"])
                tables: dict[str, dict[str, Moments]] = {"channels": {}, "taps": {}}
                for key, count in counts.items():
                    part, _, name = key.partition("/")
                    first, second = file.get_tensor(f"{key}/first"), file.get_tensor(f"{key}/second")
                    tables[part][name] = Moments(float(count), first, second)
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise InputError(f"{path}: statistics cannot be read from it ({error})") from error
        warnings = tuple(json.loads(header.get("warnings", "[]")))
        return cls(int(header["samples"]), tables["channels"], tables["taps"], warnings)


def _reduced(moments: Moments) -> Moments:
    flat = torch.cat(
        [moments.first.new_tensor([moments.count]), moments.first.ravel(), moments.second.ravel()]
    )
    flat = summed(flat)
    split = 1 + moments.first.numel()
    return Moments(float(flat[0]), flat[1:split].view_as(moments.first), flat[split:].view_as(moments.second))
