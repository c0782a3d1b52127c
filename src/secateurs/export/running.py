"""An ONNX file run by ONNX Runtime where a network is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from secateurs.contracts import Loader
from secateurs.data.batches import batches
from secateurs.errors import InputError
from secateurs.export.onnx import require_onnx
from secateurs.meters.scoring import answer_of, right, several


class OnnxNetwork(nn.Module):
    """An ONNX file run by ONNX Runtime on the CPU, in the place of a network.

    A file whose batch size is fixed is run in parts of that size, the last of them filled with its last sample.

    Args:
        path: The file.
        threads: Of one operation; None for the runtime's own choice.

    Raises:
        InputError: The file is missing or ONNX Runtime refuses it, or onnxruntime itself is missing.
    """

    def __init__(self, path: Path | str, threads: int | None = None) -> None:
        super().__init__()
        require_onnx("onnxruntime")
        import onnxruntime

        if not Path(path).is_file():
            raise InputError(f"{path}: there is no such file; name an ONNX file")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads or 0
        try:
            self.session: Any = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as problem:  # onnxruntime's exceptions have no common public base
            raise InputError(f"{path}: ONNX Runtime cannot open this file ({_first(problem)})") from problem
        self.path = Path(path)
        slots = self.session.get_inputs()
        self.slots = tuple(slot.name for slot in slots)
        self.shapes = tuple(
            tuple(size if isinstance(size, int) else None for size in slot.shape) for slot in slots
        )
        """The shape of every input, None where a size is free."""

    @property
    def sample_shape(self) -> tuple[int, ...] | None:
        """Shape of one first input without the batch axis, None where a size in it is free."""
        sizes = [size for size in self.shapes[0][1:] if size is not None] if self.shapes else []
        return tuple(sizes) if sizes and len(sizes) == len(self.shapes[0]) - 1 else None

    def check(self, *inputs: Any) -> None:
        """Make sure that arrays or tensors (b, ...) are of the shapes that the file takes, whatever the batch size.

        Raises:
            InputError: There are too many or too few, or one is of another shape.
        """
        given = [tuple(x.shape) for x in inputs]
        fits = (
            len(given) == len(self.shapes)
            and all(
                not slot  # nothing is said of it
                or (
                    len(shape) == len(slot)
                    and all(b in (None, a) for a, b in zip(shape[1:], slot[1:], strict=True))
                )
                for shape, slot in zip(given, self.shapes, strict=True)
            )
        )
        if not fits:
            wanted = ", ".join(_as_text((None, *slot[1:])) for slot in self.shapes)
            found = ", ".join(_as_text((None, *shape[1:])) for shape in given)
            raise InputError(f"{self.path}: takes inputs of shape {wanted}, the data have {found}")

    def scores(self, *inputs: NDArray[Any]) -> NDArray[Any]:
        """The first output, (b, ...), for one array (b, ...) an input."""
        self.check(*inputs)
        fixed = next((slot[0] for slot in self.shapes if slot and slot[0] is not None), None)
        if not fixed:
            return self._run(*inputs)
        filled = [np.concatenate([x, np.repeat(x[-1:], -len(x) % fixed, axis=0)]) for x in inputs]
        parts = [self._run(*(x[k : k + fixed] for x in filled)) for k in range(0, len(filled[0]), fixed)]
        return np.concatenate(parts)[: len(inputs[0])]

    def _run(self, *inputs: NDArray[Any]) -> NDArray[Any]:
        found: NDArray[Any] = self.session.run(None, dict(zip(self.slots, inputs, strict=True)))[0]
        return found

    def forward(self, *inputs: Tensor) -> Tensor:
        """The first output as a tensor."""
        try:
            return torch.from_numpy(self.scores(*(x.cpu().numpy() for x in inputs)))
        except InputError:
            raise
        except Exception as problem:  # as above
            raise ValueError(_first(problem)) from problem


def agreement(first: nn.Module, second: nn.Module, data: Loader, *, batch_size: int = 64) -> float:
    r"""Share of the answers that two networks give alike.

    .. math:: \frac{1}{n} \sum_i [\arg\max_k z_{ik} = \arg\max_k \hat z_{ik}] \quad \text{or} \quad
              \frac{1}{n m} \sum_i \sum_k [(z_{ik} > 0) = (\hat z_{ik} > 0)]

    The latter where the data have m labels of zeros and ones a sample, each an answer of its own, as in `evaluate`;
    what the labels are is not looked at.

    Args:
        first: Gives scores (b, classes), alone or as the first of several outputs.
        second: The same of the other.
        data: Samples in any form that `secateurs.data.batches` reads.
        batch_size: Samples a pass, where `data` does not come in batches.

    Raises:
        InputError: The data hold no sample, or the outputs are of different shapes.

    Example:
        >>> agreement(nn.Identity(), nn.Identity(), torch.eye(3))
        1.0
        >>> two_labels = (torch.tensor([[1.0, -1.0], [1.0, 1.0]]), torch.tensor([[1, 1], [0, 1]]))
        >>> agreement(nn.Identity(), nn.ReLU(), two_labels), agreement(nn.Identity(), nn.Hardtanh(1, 2), two_labels)
        (1.0, 0.75)
    """
    same, total = 0.0, 0
    with torch.inference_mode():
        for inputs, labels in batches(data, batch_size):
            a, b = answer_of(first(*inputs)), answer_of(second(*inputs))
            if a.shape != b.shape:
                raise InputError(f"the networks give outputs of shapes {tuple(a.shape)} and {tuple(b.shape)}")
            own = labels is not None and several(a, labels)
            same += float(right(b, (a > 0).long() if own else a.argmax(1)).sum())
            total += len(a)
    return same / total


def _first(problem: BaseException) -> str:
    return (str(problem).strip() or type(problem).__name__).splitlines()[0][:200]


def _as_text(shape: tuple[int | None, ...]) -> str:
    return f"({', '.join('any' if size is None else str(size) for size in shape)})"
