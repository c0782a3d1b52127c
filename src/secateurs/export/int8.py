"""ONNX in int8 by ONNX Runtime's static quantisation: weights and maps as whole numbers of 8 bits."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from secateurs.checks import check_whole
from secateurs.contracts import Loader
from secateurs.data.batches import batches
from secateurs.errors import InputError, RunError
from secateurs.export.equalise import equalise
from secateurs.export.files import new_file
from secateurs.export.mixed import kept_in_float
from secateurs.export.onnx import export_onnx, require_onnx
from secateurs.export.running import OnnxNetwork
from secateurs.running.quiet import quiet

METHODS = {"minmax": "MinMax", "entropy": "Entropy", "percentile": "Percentile"}
ACTIVATIONS = {"uint8": "QUInt8", "int8": "QInt8"}
_MEETS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


@dataclass(frozen=True)
class Int8Options:
    """How a network is brought to int8.

    Attributes:
        samples: Calibration samples, at most.
        batch_size: Samples a pass; the maps of one batch are in memory at a time.
        method: How the range of a map is found: "minmax", "entropy" or "percentile".
        percentile: Share of a map's values in its range, in percent, with that method.
        activations: "uint8", which x86 is fast with, or "int8", symmetric, for ARM.
        per_channel: A scale for every filter in place of one a layer.
        equalise: Bring the channels of each map to like ranges first, which changes nothing in float.
        reduce_range: Weights of 7 bits, which sums of a CPU without VNNI cannot saturate.
        exclude: Names of nodes of the ONNX graph to leave in float.
        most_error: Leave as many layers in float as it takes for scores on the calibration samples to differ by no more
            than this share of their norm; None for as few as possible.

    Raises:
        InputError: A value that is none of these.

    Example:
        >>> Int8Options(method="entropy").samples
        256
    """

    samples: int = 256
    batch_size: int = 32
    method: str = "minmax"
    percentile: float = 99.999
    activations: str = "uint8"
    per_channel: bool = True
    equalise: bool = True
    reduce_range: bool = False
    exclude: tuple[str, ...] = ()
    most_error: float | None = None

    def __post_init__(self) -> None:
        check_whole("samples", self.samples)
        check_whole("batch_size", self.batch_size)
        for what, value, known in (
            ("method", self.method, METHODS),
            ("activations", self.activations, ACTIVATIONS),
        ):
            if value not in known:
                raise InputError(f"int8: {what} is {value!r}; write one of {', '.join(known)}")
        if self.most_error is not None and not 0 < self.most_error <= 1:
            raise InputError(f"int8: most_error is {self.most_error}; give a share above 0, at most 1")
        if not 50 < self.percentile <= 100:
            raise InputError(f"int8: percentile is {self.percentile}; give more than 50, at most 100")


@dataclass(frozen=True)
class Int8File:
    """A written int8 file.

    Attributes:
        path: Where it is.
        samples: It was calibrated on so many.
        float_bytes: Of the float file.
        int8_bytes: Of this one.
        quantised: Layers whose weights are in int8.
        left_float: Names of those that stayed in float.
        equalised: Maps whose channels were brought to like ranges.
    """

    path: Path
    samples: int
    float_bytes: int
    int8_bytes: int
    quantised: int
    left_float: tuple[str, ...]
    equalised: int = 0

    def __str__(self) -> str:
        """One line: the file, its size and what stayed in float."""
        left = f"left in float: {', '.join(self.left_float)}" if self.left_float else "none left in float"
        return (
            f"{self.path}: {self.int8_bytes:,} bytes where float has {self.float_bytes:,}; {self.quantised} "
            f"layers in int8, {left}; calibrated on {self.samples} samples"
        )


class _Reader:
    """Calibration batches for ONNX Runtime, one at each reading, checked as they come."""

    def __init__(self, path: Path, data: Loader, options: Int8Options) -> None:
        network = OnnxNetwork(path)
        self.network = network
        self.source: Iterator[Any] = batches(data, options.batch_size, limit=options.samples)
        self.samples = 0

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        """The next batch, or None at the end."""
        batch = next(self.source, None)
        if batch is None:
            return None
        inputs = batch[0]
        shapes = ", ".join(str(tuple(x.shape)) for x in inputs)
        slots = self.network.session.get_inputs()
        fits = len(inputs) == len(slots) and all(
            x.dim() == len(slot.shape)
            and all(not isinstance(b, int) or a == b for a, b in zip(x.shape, slot.shape, strict=True))
            for x, slot in zip(inputs, slots, strict=True)
        )
        if not fits:
            wanted = ", ".join(str(slot.shape) for slot in slots)
            raise InputError(f"int8: the data have inputs of {shapes}, the network takes {wanted}")
        for x in inputs:
            if x.is_floating_point() and not bool(torch.isfinite(x).all()):
                raise InputError(
                    f"int8: the calibration data hold NaN or infinite values among samples {self.samples} to "
                    f"{self.samples + len(x) - 1}; mend or leave out those samples"
                )
        self.samples += len(inputs[0])
        return {slot.name: x.numpy() for slot, x in zip(slots, inputs, strict=True)}


def quantise_onnx(
    model: Path | str, data: Loader, path: Path | str, options: Int8Options | None = None
) -> Int8File:
    r"""Write an ONNX file in int8, by the ranges its maps have on calibration data.

    A value x is stored as $q = \mathrm{clip}(\mathrm{round}(x / s) + z)$ and stands for $s (q - z)$. Weights have
    z = 0 and a scale s for each filter; maps have one s and z each, for which their channels are first brought to
    like ranges ([nagel2019equalization], see `equalise`). The scores of a last linear layer stay in float. The file
    holds pairs of QuantizeLinear and DequantizeLinear (QDQ), which ONNX Runtime joins with what stands between them.

    Args:
        model: A float ONNX file, as `export_onnx` writes it.
        data: Unlabelled calibration data in any form that `secateurs.data.batches` reads; labels are not looked at.
        path: The file to write; it appears whole or not at all.
        options: How; None for the defaults.

    Raises:
        InputError: Packages are missing, the data hold no sample, do not fit the network or are not finite.
        RunError: ONNX Runtime cannot quantise the file.

    Cost:
        Two runs of the network over the calibration samples, which are held in memory, and the maps of one batch with
        minmax; with `most_error` a quantisation and a run for every layer, and again for every one left in float.

    Example:
        >>> import tempfile
        >>> from secateurs.export.onnx import export_onnx
        >>> net, x = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()), torch.randn(32, 3, 8, 8)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     name = export_onnx(net, x, Path(folder) / "net.onnx").path
        ...     quantise_onnx(name, x, Path(folder) / "int8.onnx").quantised
        1
    """
    _require_quantiser()
    options, model = options or Int8Options(), Path(model)
    with new_file(Path(path)) as temporary, _hushed():
        reader = _Reader(model, data, options)
        ready = temporary.with_name("ready.onnx")
        ranges = temporary.with_name("ranges.json")
        try:
            _prepare(model, ready)
            held = list(iter(reader.get_next, None))
            equalised = equalise(ready, ready, held) if options.equalise else 0
            _ranges(ready, held, options, ranges)
            if options.most_error is not None:
                options = _within(ready, ranges, held, options)
            _quantise(ready, ranges, temporary, options)
        except InputError:
            raise
        except Exception as problem:  # ONNX Runtime raises whatever its stages raise
            first = (str(problem).strip() or type(problem).__name__).splitlines()[0][:200]
            raise RunError(f"int8: ONNX Runtime could not quantise this network ({first})") from problem
        OnnxNetwork(temporary)
        done, left = _layers(temporary)
        size = temporary.stat().st_size
    return Int8File(Path(path), reader.samples, model.stat().st_size, size, done, left, equalised)


def int8_scorer(
    model: nn.Module,
    example: Tensor,
    data: Loader,
    path: Path | str,
    options: Int8Options | None = None,
    threads: int | None = None,
) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Write a network in int8 and return what maps a batch of inputs (b, ...) to the scores of the file.

    Example:
        >>> import tempfile
        >>> net, x = nn.Sequential(nn.Flatten(), nn.Linear(12, 2)), torch.randn(32, 3, 2, 2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     int8_scorer(net, x[:1], x, Path(folder) / "int8.onnx")(x.numpy()).shape
        (32, 2)
    """
    with new_file(Path(path)) as temporary:
        written = export_onnx(model, example, temporary.with_name("float.onnx"))
        quantise_onnx(written.path, data, temporary, options)
    return OnnxNetwork(path, threads).scores


def _require_quantiser() -> None:
    """Raise an `InputError` where ONNX Runtime is missing or too old to take ranges from a file."""
    require_onnx()
    try:
        from onnxruntime.quantization import save_tensors_data  # noqa: F401
    except ImportError as problem:
        raise InputError(
            "int8: this onnxruntime cannot quantise from stored ranges; install 1.27 or newer (Python 3.11), "
            'with: pip install "onnxruntime>=1.27"'
        ) from problem


def _prepare(model: Path, ready: Path) -> None:
    """Shapes and the runtime's own optimisation, as its documentation asks for before calibration."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    try:
        quant_pre_process(str(model), str(ready))
    except Exception:  # its symbolic shapes fail on some graphs with whatever error, which ONNX's own do not
        quant_pre_process(str(model), str(ready), skip_symbolic_shape=True)


def _ranges(ready: Path, held: list[dict[str, NDArray[Any]]], options: Int8Options, cache: Path) -> None:
    """Find the ranges batch by batch, as ONNX Runtime itself would hold the maps of all samples."""
    from onnxruntime.quantization import CalibrationMethod
    from onnxruntime.quantization.calibrate import create_calibrator

    extra: dict[str, Any] = {"percentile": options.percentile} if options.method == "percentile" else {}
    calibrator = create_calibrator(
        str(ready),
        augmented_model_path=str(ready.with_name("augmented.onnx")),
        calibrate_method=getattr(CalibrationMethod, METHODS[options.method]),
        extra_options=extra,
    )
    for batch in held:
        calibrator.collect_data(_Once([batch]))
    _save(calibrator.compute_data(), cache)


class _Once:
    """A reader of the batches in a list."""

    def __init__(self, held: list[dict[str, NDArray[Any]]]) -> None:
        self.held = held

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        return self.held.pop() if self.held else None


def _save(ranges: Any, cache: Path) -> None:
    from onnxruntime.quantization.quantize import save_tensors_data

    save_tensors_data(ranges, str(cache))


def _quantise(ready: Path, ranges: Path, path: Path, options: Int8Options) -> None:
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    quantize_static(
        str(ready),
        str(path),
        None,
        quant_format=QuantFormat.QDQ,
        per_channel=options.per_channel,
        reduce_range=options.reduce_range,
        activation_type=getattr(QuantType, ACTIVATIONS[options.activations]),
        weight_type=QuantType.QInt8,
        nodes_to_exclude=list(options.exclude),
        calibrate_method=getattr(CalibrationMethod, METHODS[options.method]),
        extra_options={
            "ActivationSymmetric": options.activations == "int8",
            # Scores on a grid of 8 bits have ties, so those of a last linear layer stay as they are.
            "OpTypesToExcludeOutputQuantization": ["Gemm", "MatMul"],
        },
        calibration_cache_path=str(ranges),
    )


def _within(
    ready: Path, ranges: Path, held: list[dict[str, NDArray[Any]]], options: Int8Options
) -> Int8Options:
    """The options with as many layers left in float as an error asks for."""
    import onnx

    trial = ready.with_name("trial.onnx")
    names = [node.name for node in onnx.load(str(ready)).graph.node if node.op_type in _MEETS]
    names = [name for name in names if name not in options.exclude]

    def of(path: Path) -> NDArray[Any]:
        network = OnnxNetwork(path)
        return np.concatenate([network.scores(*batch.values()) for batch in held])

    def scores(left: Sequence[str]) -> NDArray[Any]:
        _quantise(ready, ranges, trial, replace(options, exclude=(*options.exclude, *left)))
        return of(trial)

    assert options.most_error is not None
    left = kept_in_float(names, scores, of(ready), options.most_error)
    return replace(options, exclude=(*options.exclude, *left))


def _layers(path: Path) -> tuple[int, tuple[str, ...]]:
    """How many layers read an int8 weight, and the names of those that read a float one."""
    import onnx

    graph = onnx.load(str(path)).graph
    makers = {name: node.op_type for node in graph.node for name in node.output}
    done, left = 0, []
    for node in graph.node:
        if node.op_type in _MEETS:
            whole = all(makers.get(name) == "DequantizeLinear" for name in node.input[:2])
            done += whole
            if not whole:
                left.append(f"{node.name} ({node.op_type})")
    return done, tuple(left)


@contextmanager
def _hushed() -> Iterator[None]:
    """Keep ONNX Runtime's advice, which is written to the root logger, from the user."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with quiet():
            yield
    finally:
        logging.disable(before)
