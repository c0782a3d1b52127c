"""ONNX with a free batch size, compared with the network it came from before anyone is told it is done."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from secateurs.checks import check_example, check_model
from secateurs.errors import InputError, RunError, VerificationError
from secateurs.export.files import new_file
from secateurs.running.quiet import quiet

BATCHES = (1, 3)
"""The two batch sizes at which a written file is compared with its network."""


@dataclass(frozen=True)
class OnnxFile:
    """A written ONNX file and how far it is from the network.

    `max_rel_diff` is the largest difference of any output value at any of the `batches`, divided by the
    largest absolute output value of that batch.
    """

    path: Path
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    batches: tuple[int, ...]
    max_rel_diff: float
    tolerance: float

    def __str__(self) -> str:
        """One line: the file, the batch sizes tried and the largest difference."""
        tried = " and ".join(str(size) for size in self.batches)
        return (
            f"{self.path}: free batch size; equals the network at batch {tried} within "
            f"{self.max_rel_diff:.1e} of the largest output (limit {self.tolerance:.0e})"
        )


def export_onnx(
    model: nn.Module,
    example: Tensor | Sequence[Tensor],
    path: Path | str,
    *,
    tolerance: float = 1e-3,
    seed: int = 0,
) -> OnnxFile:
    r"""Write `model` as ONNX, its first axis free, and prove the file with ONNX Runtime.

    The file is run on random input at the batch sizes $b$ of `BATCHES` and
    $\max_i |y_i - \hat y_i| / \max_i |y_i|$ has to stay within `tolerance`. It appears at `path` only
    then; what was there before stays otherwise. The model is used in evaluation mode, on the CPU, in a copy.

    Args:
        model: Any network whose inputs and outputs have the batch as their first axis.
        example: One input, or one tensor per argument of `forward`, each (batch, ...).
        path: The file to write.
        tolerance: The largest relative difference allowed; float32 against float32.
        seed: Of the random input.

    Returns:
        What was written and how far it is from the model.

    Raises:
        InputError: The packages of the extra `onnx` are missing.
        RunError: The network cannot be expressed in ONNX with a free batch size.
        VerificationError: ONNX Runtime computes something else.

    Example:
        >>> import tempfile
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     written = export_onnx(net, torch.zeros(1, 3, 8, 8), Path(folder) / "net.onnx")
        >>> written.batches, written.max_rel_diff < 1e-5
        ((1, 3), True)
    """
    check_model(model)
    check_example(example)
    require_onnx()
    arguments = _arguments(example)
    network = copy.deepcopy(model).cpu().eval()
    inputs = tuple(["input"] if len(arguments) == 1 else [f"input_{i}" for i in range(len(arguments))])
    with new_file(Path(path)) as temporary:
        with quiet():
            outputs = _convert(network, arguments, inputs, temporary)
        difference = max(_difference(network, arguments, inputs, temporary, size, seed) for size in BATCHES)
        if not difference <= tolerance:
            raise VerificationError(
                f"ONNX: ONNX Runtime's output differs from the network's by {difference:.1e} of the largest "
                f"output, more than {tolerance:.0e}; {path} was not written"
            )
    return OnnxFile(Path(path), inputs, outputs, BATCHES, difference, tolerance)


def require_onnx(*packages: str) -> None:
    """Raise an `InputError` that names the extra where ONNX's packages are missing, all of them or those named.

    Example:
        >>> require_onnx()
    """
    for package in packages or ("onnx", "onnxscript", "onnxruntime"):
        try:
            __import__(package)
        except ImportError as problem:
            raise InputError(
                f'ONNX: the package {package} is missing; install it with: pip install "secateurs[onnx]"'
            ) from problem


def _convert(
    network: nn.Module, arguments: tuple[Tensor, ...], inputs: tuple[str, ...], path: Path
) -> tuple[str, ...]:
    """Write the file and return the names of its outputs."""
    batch = torch.export.Dim("batch")
    # A batch of one would be taken for a constant, so the capture sees two.
    pair = tuple(_sized(argument, 2) for argument in arguments)
    try:
        with torch.no_grad():
            leaves = len(_leaves(network(*pair)))
            outputs = tuple(["output"] if leaves == 1 else [f"output_{i}" for i in range(leaves)])
            program = torch.onnx.export(
                network,
                pair,
                dynamo=True,
                dynamic_shapes=tuple({0: batch} for _ in pair),
                input_names=list(inputs),
                output_names=list(outputs),
                verbose=False,
            )
        if program is None:
            raise RunError("ONNX: PyTorch's exporter returned nothing")
        program.save(str(path))
    except RunError:
        raise
    except Exception as problem:  # the exporter raises whatever its many stages raise
        raise RunError(
            f"ONNX: PyTorch's exporter could not express this network with a free batch size "
            f"({type(problem).__name__}: {_first_line(problem)})"
        ) from problem
    return outputs


def _difference(
    network: nn.Module,
    arguments: tuple[Tensor, ...],
    inputs: tuple[str, ...],
    path: Path,
    size: int,
    seed: int,
) -> float:
    """Largest difference between file and network on one random batch, relative to the largest output."""
    import onnxruntime

    generator = torch.Generator().manual_seed(seed + size)
    batch = tuple(_random_like(_sized(argument, size), generator) for argument in arguments)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        # An input that the network never reads is not in the file.
        slots = {slot.name: slot for slot in session.get_inputs()}
        fixed = [slot.shape[0] for slot in slots.values() if slot.shape and isinstance(slot.shape[0], int)]
        if fixed:
            raise RunError(
                f"ONNX: the network's own code fixes the batch size (here at {fixed[0]}), so a file with a "
                "free batch size cannot be written; let forward() take the size from its input"
            )
        feeds = {name: value.numpy() for name, value in zip(inputs, batch, strict=True) if name in slots}
        got = session.run(None, feeds)
    except RunError:
        raise
    except Exception as problem:  # onnxruntime's exceptions have no common public base
        raise RunError(
            f"ONNX: ONNX Runtime refuses the file at batch size {size} ({_first_line(problem)})"
        ) from problem
    with torch.no_grad():
        expected = _leaves(network(*batch))
    if [tuple(value.shape) for value in expected] != [value.shape for value in got]:
        return float("inf")
    return max(
        _relative(torch.from_numpy(g).double(), e.double()) for g, e in zip(got, expected, strict=True)
    )


def _relative(got: Tensor, expected: Tensor) -> float:
    """Largest difference over the largest absolute value; infinite where one side is not finite."""
    if not expected.numel():
        return 0.0
    difference, scale = (got - expected).abs().max().item(), expected.abs().max().item()
    if difference != difference:
        return float("inf")
    return difference / scale if scale else difference


def _arguments(example: Tensor | Sequence[Tensor]) -> tuple[Tensor, ...]:
    arguments = (example,) if isinstance(example, Tensor) else tuple(example)
    for i, argument in enumerate(arguments):
        if not isinstance(argument, Tensor) or argument.dim() == 0 or argument.shape[0] == 0:
            raise InputError(
                f"ONNX: input {i} of the example has no batch axis; give tensors of shape (batch, ...)"
            )
    return tuple(argument.detach().cpu() for argument in arguments)


def _sized(tensor: Tensor, size: int) -> Tensor:
    """The first entry of the batch, `size` times."""
    return tensor[:1].expand(size, *tensor.shape[1:]).clone()


def _random_like(tensor: Tensor, generator: torch.Generator) -> Tensor:
    """Normal noise where the input is of real numbers; indices and masks stay as the example has them."""
    return (
        torch.randn(tensor.shape, generator=generator).to(tensor.dtype)
        if tensor.is_floating_point()
        else tensor
    )


def _leaves(output: Any) -> list[Tensor]:
    """The tensors of an output, however nested, in the order of the exporter."""
    if isinstance(output, Tensor):
        return [output]
    if isinstance(output, Mapping):
        return [leaf for value in output.values() for leaf in _leaves(value)]
    if isinstance(output, Sequence) and not isinstance(output, str):
        return [leaf for value in output for leaf in _leaves(value)]
    return []


def _first_line(problem: BaseException) -> str:
    """The first line of the innermost cause: what the exporter wraps around it is its own log."""
    while problem.__cause__ is not None:
        problem = problem.__cause__
    lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(problem).__name__
