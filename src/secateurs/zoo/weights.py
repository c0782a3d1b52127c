"""Weights from a file, without ever reading a pickle."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from secateurs.checks import shown
from secateurs.errors import InputError, MismatchError
from secateurs.surgery.stored import check_header

_PICKLED = (".pt", ".pth", ".th", ".bin", ".ckpt", ".pkl", ".pickle", ".tar")
_PREFIXES = ("module.", "_orig_mod.")  # left by DataParallel and by torch.compile
_SHOWN = 5


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors file, on the CPU, by name.

    Raises:
        InputError: no such file, a pickle (with the safe way to convert it), a truncated or unreadable file.

    Example:
        >>> read_weights("old.pth")
        Traceback (most recent call last):
        ...
        secateurs.errors.InputError: The weights 'old.pth' cannot be found.
    """
    path = Path(path)
    if not path.is_file():
        kind = "are a folder, not a file" if path.is_dir() else "cannot be found"
        raise InputError(f"The weights '{path}' {kind}.")
    _refuse_pickle(path)
    try:
        check_header(path)
        return dict(load_file(path, device="cpu"))
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"The weights '{path}' ({path.stat().st_size:,} bytes) are not a whole safetensors file "
            f"({shown(str(error), 160)}): truncated, damaged, or of another format; get or convert the file again."
        ) from error


def _refuse_pickle(path: Path) -> None:
    with path.open("rb") as file:
        head = file.read(9)
    # A safetensors file starts with the length of its header (8 bytes) and the header's brace.
    safe = len(head) == 9 and head[8:9] == b"{"
    pickled = head[:2] in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
    if path.suffix.lower() in _PICKLED or (pickled and not safe):
        raise InputError(
            f"The weights '{path}' are a pickle, which can run any code when read, so it is refused. Convert it once, "
            f"safely: {_conversion(path)}"
        )


def _conversion(path: Path) -> str:
    """A command for any shell of Unix; whatever is in the name, it runs nothing else, and never writes over it."""
    target = path.with_suffix(".safetensors").name
    if target == path.name:
        target = f"{path.stem}-converted.safetensors"
    source, made = (json.dumps(name).replace("  ", " \\u0020") for name in (str(path), target))
    code = (
        "import torch, safetensors.torch as s; "
        f'w = torch.load(open({source}, "rb"), map_location="cpu", weights_only=True); w = w.get("state_dict", w); '
        f"s.save_file({{k: v.contiguous().clone() for k, v in w.items()}}, {made})"
    )
    return f"python -c {shlex.quote(code)}"


def load_weights(model: nn.Module, path: str | Path) -> nn.Module:
    """Fill a network with the weights of a .safetensors file, all of them or none.

    A leading `module.` or `_orig_mod.` of the names is dropped. `num_batches_tracked` may be missing, and so
    may the second name of a tied parameter. Values are converted to the dtype and device of the network.

    Names that a network lists as its `unused_keys` may be in the file and are left out.

    Args:
        model: Filled in place; untouched where an error is raised.
        path: The file.

    Returns:
        The same `model`.

    Raises:
        InputError: the file cannot be read (see `read_weights`), or a tensor holds NaN or infinite values.
        MismatchError: names or shapes do not belong to this network; says which.

    Example:
        >>> load_weights(nn.Linear(2, 2), "missing.safetensors")
        Traceback (most recent call last):
        ...
        secateurs.errors.InputError: The weights 'missing.safetensors' cannot be found.
    """
    return fill_(model, _without_prefix(read_weights(path), model.state_dict(keep_vars=True)), path)


def fill_(model: nn.Module, state: Mapping[str, Tensor], path: str | Path) -> nn.Module:
    """Fill a network with tensors by name, all of them or none; as `load_weights`, with tensors already read.

    Args:
        model: Filled in place; untouched where an error is raised.
        state: Tensors by the names of the network.
        path: Where they came from, for the messages.

    Returns:
        The same `model`.

    Raises:
        InputError: A tensor holds NaN or infinite values.
        MismatchError: Names or shapes do not belong to this network; says which.

    Example:
        >>> fill_(nn.Linear(1, 1), {"weight": torch.ones(1, 1), "bias": torch.ones(1)}, "memory").bias
        Parameter containing:
        tensor([1.], requires_grad=True)
    """
    spare = getattr(model, "unused_keys", ())
    state = {name: tensor for name, tensor in state.items() if name not in spare}
    _check_fit(model.state_dict(keep_vars=True), state, path, type(model).__name__)
    _check_finite(state, path)
    model.load_state_dict(state, strict=False)
    return model


def _without_prefix(state: dict[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    for prefix in _PREFIXES:
        if state and all(k.startswith(prefix) for k in state) and not any(k.startswith(prefix) for k in own):
            state = {k.removeprefix(prefix): v for k, v in state.items()}
    return state


def _check_fit(own: Mapping[str, Tensor], state: Mapping[str, Tensor], path: str | Path, kind: str) -> None:
    tied = {id(own[key]) for key in state if key in own}
    missing = [k for k in own if k not in state and not _is_counter(k) and id(own[k]) not in tied]
    unexpected = [k for k in state if k not in own and not _is_counter(k)]
    shapes = [
        f"{_name(k)} is {tuple(state[k].shape)}, the network has {tuple(own[k].shape)}"
        for k in own
        if k in state and own[k].shape != state[k].shape
    ]
    kinds = [
        f"{_name(k)} is {state[k].dtype}, the network has {own[k].dtype}"
        for k in own
        if k in state and own[k].is_floating_point() != state[k].is_floating_point()
    ]
    problems = [
        _list("missing", missing),
        _list("not in the network", unexpected),
        _list("of another shape", shapes),
        _list("of another kind", kinds),
    ]
    if any(problems):
        found = "; ".join(p for p in problems if p)
        raise MismatchError(
            f"The weights '{path}' do not fit the network {kind}: {found}. Name the network that they were "
            "saved from."
        )


def _is_counter(key: str) -> bool:
    return key.rpartition(".")[2] == "num_batches_tracked"


def _list(what: str, entries: list[str]) -> str:
    if not entries:
        return ""
    more = f", and {len(entries) - _SHOWN} more" if len(entries) > _SHOWN else ""
    return f"{len(entries)} {what} ({', '.join(map(_name, entries[:_SHOWN]))}{more})"


def _name(text: str) -> str:
    """A key may be as long as its file; printed it is not."""
    return text if len(text) <= 160 else text[:157] + "..."


def _check_finite(state: Mapping[str, Tensor], path: str | Path) -> None:
    bad = []
    for key, tensor in state.items():
        # Eight-bit floats have no isfinite of their own.
        values = tensor.float() if tensor.is_floating_point() and tensor.element_size() == 1 else tensor
        wrong = int((~torch.isfinite(values)).sum())
        if wrong:
            bad.append(f"{key}: {wrong} of {tensor.numel()}")
    if bad:
        raise InputError(
            f"The weights '{path}' hold NaN or infinite values in {_list('tensors', bad)}: the training that "
            "wrote them diverged; use an earlier checkpoint."
        )
