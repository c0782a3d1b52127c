"""Saved files and plans with something changed in them: bytes, keys, values, sizes; all from a seed."""

from __future__ import annotations

import copy
import json
import random
import struct
from collections.abc import Callable

HOSTILE = [
    None, True, False, 0, 1, -1, 2, 7, 8, 10**6, 10**12, 2**31, 2**62, 2**63, 2**64, 10**400, 0.5, -0.0, 1e308, 1.0,
    "", "0", "1", "a", "-1", "both", "x" * 2000, "\x1b[2J\x00\n", "é\ud800", "__class__", "weight", "head.bias",
    "evil:net", [], {}, [0], [1, 0], [0, 0], [-1], ["0"], [0.5], [[0]], {"0": [0]}, {"": {}}, {"a": {"b": 1}},
    list(range(5000)), [None] * 9, {"bias": 10**12}, {"stem.bias": 10**12}, {"forward": 1}, "F64", "BOOL", "F8_E5M2",
    [1, 10**12], [0, 10**12],
]  # fmt: skip
BIG = (
    lambda: "[" * 100_000,
    lambda: '{"a":' * 100_000,
    lambda: "[" * 50_000 + "]" * 50_000,
    lambda: "[" + "[]," * 290_000 + "0]",
    lambda: "[" + "{}," * 299_000 + "0]",
    lambda: "[" + "999," * 4_900_000 + "0]",
    lambda: "[" + '"ab",' * 4_900_000 + "0]",
    lambda: "9" * 1_000_000,
    lambda: '"' + "x" * 30_000_000 + '"',
    lambda: " " * 40_000_000,
)


def nodes(value: object, path: tuple = ()) -> list[tuple]:
    """The paths of everything inside a JSON value; of long lists a few."""
    found = [path]
    if isinstance(value, dict):
        for key, inner in value.items():
            found += nodes(inner, (*path, key))
    elif isinstance(value, list):
        for index in list(range(len(value)))[:3] + list(range(len(value)))[-1:]:
            found += nodes(value[index], (*path, index))
    return found


def with_change(value: object, draw: random.Random) -> object:
    """One node replaced, removed, renamed, doubled or wrapped."""
    value = copy.deepcopy(value)
    paths = [path for path in nodes(value) if path]
    if not paths:
        return draw.choice(HOSTILE)
    depth = draw.choice(
        sorted({len(path) for path in paths})
    )  # deep nodes are many, and high ones matter too
    *way, last = draw.choice([path for path in paths if len(path) == depth])
    parent = value
    for step in way:
        parent = parent[step]
    kind = draw.randrange(6)
    if kind == 0 or (kind == 2 and isinstance(parent, list)):
        del parent[last]
    elif kind == 1 and isinstance(parent, list):
        parent.insert(last, copy.deepcopy(parent[last]))
    elif kind == 1:
        parent[draw.choice(["", "x", "0", "weight", "é", str(last) * 2])] = parent[last]
    elif kind == 2:
        parent[draw.choice(["", "-1", "9", "x" * 3000, "stem", "head.bias", "__dict__"])] = parent.pop(last)
    elif kind == 3:
        parent[last] = [parent[last]]
    else:
        parent[last] = copy.deepcopy(draw.choice(HOSTILE))
    return value


def with_changed_bytes(data: bytes, draw: random.Random) -> bytes:
    """A few bytes flipped, cut out, doubled or put in; or the file cut off."""
    raw = bytearray(data)
    for _ in range(draw.choice([1, 1, 2, 5, 40])):
        at = draw.randrange(len(raw)) if draw.random() < 0.7 else draw.randrange(min(len(raw), 12))
        kind, length = draw.randrange(5), draw.choice([1, 2, 8, 100])
        if kind == 0:
            raw[at] ^= 1 << draw.randrange(8)
        elif kind == 1:
            del raw[at : at + length]
        elif kind == 2:
            raw[at:at] = raw[at : at + length]
        elif kind == 3:
            raw[at:at] = draw.randbytes(length)
        else:
            raw[at:] = raw[at : at + draw.randrange(len(raw))]
        if len(raw) < 13:
            break
    return bytes(raw)


def taken_apart(data: bytes) -> tuple[dict, bytes]:
    """Header and tensors of a safetensors file."""
    length = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def put_together(header: object, tensors: bytes) -> bytes:
    """A file with whatever header."""
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + tensors


def changed_file(data: bytes, draw: random.Random) -> bytes:
    """A saved file with its bytes, its plan, its other metadata or its tensors' description changed."""
    kind = draw.randrange(8)
    if kind <= 1:
        return with_changed_bytes(data, draw)
    header, tensors = taken_apart(data)
    metadata = header["__metadata__"]
    if kind <= 5:
        key = "secateurs.plan" if kind <= 4 else "secateurs.shared"
        value: object = json.loads(metadata[key])
        for _ in range(draw.choice([1, 1, 2, 4])):
            value = with_change(value, draw)
        metadata[key] = json.dumps(value)
        if draw.random() < 0.03:
            metadata[key] = draw.choice(BIG)()
        return put_together(header, tensors)
    if kind == 6:
        return put_together(with_change(header, draw), tensors)
    names = [name for name in header if name != "__metadata__"]
    header[draw.choice(names)] = with_change(header[draw.choice(names)], draw)
    return put_together(header, tensors)


def changed_text(text: str, draw: random.Random) -> str:
    """A plan.json or result.json with its characters or its values changed."""
    kind = draw.random()
    if kind < 0.03:
        return draw.choice(BIG)()
    if kind < 0.35:
        return with_changed_bytes(text.encode(), draw).decode(errors="replace")
    value: object = json.loads(text)
    for _ in range(draw.choice([1, 1, 2, 4])):
        value = with_change(value, draw)
    return json.dumps(value)


def outcome(function: Callable[[], object], ours: type[Exception]) -> str:
    """What became of a call: "read", "refused", or the error that should not have been."""
    try:
        function()
    except ours as error:
        # Names and values of a file are cut to a bounded length.
        return "refused" if len(str(error)) < 1500 else f"a message of {len(str(error))} characters"
    except BaseException as error:
        return f"{type(error).__name__}: {str(error)[:200]}"
    return "read"
