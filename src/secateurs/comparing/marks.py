"""Which of the test samples a network has right, packed for a file."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import numpy as np

from secateurs.contracts import FloatArray


@dataclass(frozen=True)
class Marks:
    """How right the answer to each test sample is, packed: a bit a sample, or a float32 where shares can be right.

    Example:
        >>> Marks.of(np.array([1.0, 0.0, 1.0])).values().tolist()
        [1.0, 0.0, 1.0]
    """

    coding: str
    samples: int
    packed: str

    @classmethod
    def of(cls, scores: FloatArray) -> Marks:
        """Pack scores (n,) in [0, 1]."""
        whole = bool(np.isin(scores, (0.0, 1.0)).all())
        raw = np.packbits(scores == 1) if whole else scores.astype("<f4")
        coding = "bits" if whole else "float32"
        return cls(coding, len(scores), base64.b64encode(raw.tobytes()).decode())

    def values(self) -> FloatArray:
        """The scores, shape (n,), float64.

        Raises:
            ValueError: They are damaged.
        """
        raw = base64.b64decode(self.packed, validate=True)
        if self.coding == "bits":
            found = np.unpackbits(np.frombuffer(raw, dtype=np.uint8))
            if len(raw) != -(-self.samples // 8):
                raise ValueError(f"{len(raw)} bytes for {self.samples} samples")
            return found[: self.samples].astype(np.float64)
        scores = np.frombuffer(raw, dtype="<f4").astype(np.float64)
        if len(scores) != self.samples:
            raise ValueError(f"{len(scores)} scores for {self.samples} samples")
        return scores
