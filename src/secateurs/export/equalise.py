"""Channels of a float ONNX file brought to like ranges, so that 8 bits serve each of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_HOMOGENEOUS = {"Relu", "MaxPool", "AveragePool", "GlobalAveragePool", "ReduceMean", "Dropout", "Identity"}
_SHAPING = {"Reshape", "Flatten", "Squeeze"}
_LEAST = 1e-3  # of the largest range: a channel that hardly speaks is not blown up further


@dataclass(frozen=True)
class Link:
    """A layer whose channels only one other reads, with nothing between that a positive factor does not pass.

    Attributes:
        weight: Name of the weights that write the channels, filters first.
        bias: Name of their bias, "" where there is none.
        reader: Name of the weights that read them.
        axis: Axis of the reader's channels; 0 where each filter reads the channel of its own number.
        seen: The map that the reader reads.
    """

    weight: str
    bias: str
    reader: str
    axis: int
    seen: str


def links(model: Any) -> list[Link]:
    """The pairs of layers of an ONNX graph between which a channel can be scaled, in the order of the graph.

    Convolutions and linear layers count, with ReLU, pooling and means between them; a sum, a concatenation or a second
    reader ends the way.

    Args:
        model: An `onnx.ModelProto` with shapes.
    """
    graph = model.graph
    stored = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in graph.value_info}
    readers: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    uses = {name: len(readers.get(name, ())) for name in stored}
    ends = {out.name for out in graph.output}
    found = []
    for node in graph.node:
        if not _layer(node, stored) or uses[node.input[1]] != 1 or _axis(node, stored, writes=True) != 0:
            continue
        channels, name = stored[node.input[1]][0], node.output[0]
        while name not in ends and len(readers.get(name, ())) == 1:
            reader = readers[name][0]
            if (reader.op_type in _HOMOGENEOUS and _beside(reader, graph)) or (
                reader.op_type in _SHAPING and shapes.get(reader.output[0], [0, 0])[1:] == [channels]
            ):
                name = reader.output[0]
                continue
            axis = _reading(reader, stored, channels, name)
            if axis is not None and uses[reader.input[1]] == 1:
                bias = node.input[2] if len(node.input) > 2 and node.input[2] in stored else ""
                if (bias and uses[bias] == 1) or len(node.input) < 3:
                    found.append(Link(node.input[1], bias, reader.input[1], axis, name))
            break
    return found


def _layer(node: Any, stored: Mapping[str, tuple[int, ...]]) -> bool:
    return node.op_type in ("Conv", "Gemm") and len(node.input) > 1 and node.input[1] in stored


def _attribute(node: Any, name: str, default: int) -> int:
    return next((a.i for a in node.attribute if a.name == name), default)


def _beside(node: Any, graph: Any) -> bool:
    """Whether an operation leaves the axis of the channels alone: a mean over named axes may not."""
    from onnx import numpy_helper

    if node.op_type != "ReduceMean":
        return True
    axes = [i for a in node.attribute if a.name == "axes" for i in a.ints]
    named = node.input[1:]
    axes += [
        int(i) for t in graph.initializer if t.name in named for i in numpy_helper.to_array(t).reshape(-1)
    ]
    ranks = [len(v.type.tensor_type.shape.dim) for v in graph.value_info if v.name == node.input[0]]
    return bool(axes and ranks) and not {0, 1} & {axis % ranks[0] for axis in axes}


def _axis(node: Any, stored: Mapping[str, tuple[int, ...]], writes: bool) -> int | None:
    """The axis of the weights along which a layer writes, or reads, its channels; None where there is no single one."""
    if node.op_type == "Gemm":
        across = _attribute(node, "transB", 0) == 1
        return (0 if across else 1) if writes else (1 if across else 0)
    if writes:
        return 0
    groups, shape = _attribute(node, "group", 1), stored[node.input[1]]
    if groups == 1:
        return 1
    return 0 if shape[1] == 1 and shape[0] == groups else None


def _reading(reader: Any, stored: Mapping[str, tuple[int, ...]], channels: int, name: str) -> int | None:
    if not _layer(reader, stored) or reader.input[0] != name:
        return None
    axis = _axis(reader, stored, writes=False)
    return axis if axis is not None and stored[reader.input[1]][axis] == channels else None


def factors(seen: NDArray[Any], reader: NDArray[Any], axis: int) -> NDArray[Any]:
    r"""The factors by which the channels of one map are divided, and their readers multiplied.

    With $a_c$ the largest magnitude of channel c and $w_c$ that of the weights that read it, $s_c = \sqrt{a_c / w_c}$,
    which leaves map and weights ranges in the same proportion; where every channel has a filter, and so a scale, of
    its own, $s_c = a_c$. All are divided by the largest.

    Args:
        seen: $a$, shape (c,).
        reader: The weights that read the map.
        axis: Axis of its channels there, 0 where each filter reads one channel.

    Returns:
        Shape (c,), in (0, 1].

    Example:
        >>> factors(np.array([4.0, 1.0]), np.ones((3, 2)), 1).tolist()
        [1.0, 0.5]

    References:
        [nagel2019equalization] Data-free quantization through weight equalization and bias correction, ICCV 2019.
    """
    a = np.maximum(seen, _LEAST * seen.max())
    if reader.ndim == 4 and axis == 0:
        s = a
    else:
        w = np.abs(np.moveaxis(reader, axis, 0)).reshape(len(a), -1).max(axis=1)
        s = np.sqrt(a / np.maximum(w, _LEAST * w.max()))
    return np.asarray(np.maximum(s / s.max(), _LEAST))


def equalise(source: Path, path: Path, batches: Iterable[dict[str, NDArray[Any]]]) -> int:
    """Write a float ONNX file in which the ranges of the channels of a map are alike; it computes the same.

    Args:
        source: The float file, with shapes, batch norms folded.
        path: The file to write, which may be the same.
        batches: Calibration batches, inputs by name.

    Returns:
        How many maps were brought to like ranges.

    Raises:
        RuntimeError: The file does not compute the same, to rounding.

    Cost:
        One pass over the batches, which are held in memory, with the maps of one.
    """
    import onnx
    from onnx import numpy_helper

    before = source.read_bytes()
    model = onnx.load(str(source))
    chosen = links(model)
    held = list(batches)
    largest = _largest(model, [link.seen for link in chosen], held)
    weights = {t.name: numpy_helper.to_array(t).copy() for t in model.graph.initializer}
    done = 0
    for link in chosen:
        seen, reader = largest[link.seen], weights[link.reader]
        if not seen.max() > 0 or not np.isfinite(seen).all() or not reader.any():
            continue
        s = factors(seen, reader, link.axis).astype(reader.dtype)
        along = [1] * reader.ndim
        along[link.axis] = -1
        weights[link.weight] /= s.reshape(-1, *[1] * (weights[link.weight].ndim - 1))
        if link.bias:
            weights[link.bias] /= s
        weights[link.reader] *= s.reshape(along)
        done += 1
    for tensor in model.graph.initializer:
        if tensor.name in weights:
            tensor.CopyFrom(numpy_helper.from_array(weights[tensor.name], tensor.name))
    onnx.save(model, str(path))
    _same(before, path, held[:1])
    return done


def _session(model: Any) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _largest(model: Any, names: list[str], batches: Iterable[Any]) -> dict[str, NDArray[Any]]:
    """The largest magnitude of every channel of some maps."""
    import onnx

    asked = list(dict.fromkeys(names))
    if not asked:
        return {}
    told = onnx.ModelProto()
    told.CopyFrom(model)
    told.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in asked)
    session = _session(told.SerializeToString())
    found: dict[str, NDArray[Any]] = {}
    for batch in batches:
        for name, value in zip(asked, session.run(asked, batch), strict=True):
            most = np.abs(np.moveaxis(value, 1, 0)).reshape(value.shape[1], -1).max(axis=1)
            found[name] = np.maximum(found.get(name, most), most)
    return found


def _same(before: bytes, path: Path, held: list[Any]) -> None:
    for batch in held:
        old, new = (_session(file).run(None, batch)[0] for file in (before, str(path)))
        spread = float(np.abs(old).max()) or 1.0
        if not float(np.abs(old - new).max()) <= 1e-3 * spread:
            raise RuntimeError("the equalised network does not compute the same")
