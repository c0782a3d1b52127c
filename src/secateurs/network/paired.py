"""Two networks of the same code run side by side, operation by operation: an original and its smaller self.

Repairs compare values deep inside the two. Values that are still needed are kept for all chunks of the calibration
samples, so that every operation runs about once, whatever the number of layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn

from secateurs.errors import InputError
from secateurs.network.exported import ExportedNetwork, Exports, Values
from secateurs.network.interpreter import Front, Interpreter, affordable
from secateurs.network.narrower import narrower


class PairedNetworks:
    """An original and its smaller self, both run as far as the repair has come, on all chunks that fit.

    Args:
        model: The original.
        small: The smaller network, of the same code.
        chunks: Samples in chunks of one size.
        memory: GiB for the values that are kept.
        exports: Captures that are known already.

    Raises:
        InputError: One cannot be captured, or they run different operations.
    """

    def __init__(
        self,
        model: nn.Module,
        small: nn.Module,
        chunks: Sequence[Sequence[Tensor]],
        memory: float = 6.0,
        exports: Exports | None = None,
    ) -> None:
        exports = exports or Exports()
        full, less = _captured(exports, model, small, chunks[0])
        self.plain = False  # whether inputs must lie in memory channel after channel
        if not full.alike(less):
            # a tensor of one channel may lie in memory another way, and take other operations
            chunks = [[x.contiguous() for x in chunk] for chunk in chunks]
            self.plain = True
            full, less = _captured(exports, model, small, chunks[0])
        if not full.alike(less):
            raise InputError(
                "the smaller network does not run the same operations as the original, so that they cannot be "
                "compared layer by layer; use the one-shot repair."
            )
        self.fronts = Front(full, chunks), Front(less, chunks)
        self.memory = memory
        self.samples_each = len(chunks[0][0])
        self.given = len(chunks) * self.samples_each
        self.chunks: list[tuple[Values, Values]] = []
        self.fewest = self.given
        self._admit(1)

    @property
    def full(self) -> Interpreter:
        """The original."""
        return self.fronts[0].interpreter

    @property
    def small(self) -> Interpreter:
        """The smaller network."""
        return self.fronts[1].interpreter

    @property
    def samples(self) -> int:
        """How many samples the networks run on by now."""
        return len(self.chunks) * self.samples_each

    def _admit(self, several: int) -> None:
        for front in self.fronts:
            front.admit(several)
        self.chunks = list(zip(*(front.chunks for front in self.fronts), strict=True))

    def pin(self, index: int, until: int) -> None:
        """Keep the value of a node, in both networks, until another has run."""
        for front in self.fronts:
            front.interpreter.pin(index, until)

    def advance(self, index: int) -> None:
        """Run both networks up to a node (exclusive) on as many chunks as fit in memory from there on."""
        for front in self.fronts:
            if index > front.at:
                front.advance(index)
        self._admit(max(1, affordable(self.memory, sum(front.widest(front.at) for front in self.fronts))))
        self.fewest = min(self.fewest, self.samples)


def _captured(
    exports: Exports, model: nn.Module, small: nn.Module, chunk: Sequence[Tensor]
) -> tuple[ExportedNetwork, ExportedNetwork]:
    full = exports.of(model, chunk)
    return full, exports.of(small, chunk, partial(narrower, full))
