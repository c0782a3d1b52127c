"""Branches by sizes: where the code that ran on an example would do something else on an input of another size."""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Iterable, Iterator
from types import CodeType, FrameType
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode

from secateurs.graph.places import user_line
from secateurs.network import chance

_SIZES = {"shape", "size", "ndim", "dim", "numel"}
_READS = {Tensor.shape.__get__, Tensor.ndim.__get__, Tensor.size, Tensor.dim}  # type: ignore[attr-defined]
_SHOWN = 3
_HANDED_ON = {chance.__file__, __file__}  # modes that pass a call on to the next


class SizesRead(TorchFunctionMode):
    """Inside, remembers the code outside PyTorch that asks tensors for their sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.codes: dict[CodeType, None] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """The function itself; who called it is noted."""
        if func in _READS:
            frame: FrameType | None = sys._getframe(1)
            while frame is not None and frame.f_code.co_filename in _HANDED_ON:
                frame = frame.f_back
            if frame is not None and user_line([(frame.f_code.co_filename, 1)]):
                self.codes[frame.f_code] = None
        return func(*args, **(kwargs or {}))


def branches_by_size(codes: Iterable[CodeType]) -> tuple[str, ...]:
    """One remark with the lines at which code chooses by a size; none where it does not, or only to raise.

    Args:
        codes: Functions that have run, as `SizesRead` has them.

    Example:
        >>> def pick(x):
        ...     return x.relu() if x.shape[-1] > 8 else x
        >>> branches_by_size([])
        ()
    """
    places = sorted({place for code in codes for place in _places(code)})
    if not places:
        return ()
    shown, more = ", ".join(places[:_SHOWN]), len(places) - _SHOWN
    rest = f" and {more} more places" if more > 1 else " and one more place" if more == 1 else ""
    return (
        f"the code at {shown}{rest} chooses by sizes: the proof holds for the path that the example takes",
    )


def _places(code: CodeType) -> Iterator[str]:
    try:
        lines, first = inspect.getsourcelines(code)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    # code that has no source, or a lambda amid an expression
    except (OSError, SyntaxError, TypeError, IndexError):
        return
    sizes = _names_of_sizes(tree)
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.If | ast.IfExp | ast.While | ast.Match)
            and _speaks_of(_asked_by(node), sizes)
            and not (isinstance(node, ast.If) and _only_raises(node))
        ):
            yield user_line([(code.co_filename, first + _asked_by(node).lineno - 1)])


def _asked_by(node: ast.If | ast.IfExp | ast.While | ast.Match) -> ast.expr:
    return node.subject if isinstance(node, ast.Match) else node.test


def _names_of_sizes(tree: ast.AST) -> set[str]:
    """Names that were given a size, or something computed from one, in the order of the code."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign) or node.value is None:
            continue
        if _speaks_of(node.value, names) and not _made_of_tensors(node.value):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)}
    return names


def _speaks_of(node: ast.AST, names: set[str]) -> bool:
    return any(
        (isinstance(n, ast.Attribute) and n.attr in _SIZES) or (isinstance(n, ast.Name) and n.id in names)
        for n in ast.walk(node)
    )


def _made_of_tensors(node: ast.AST) -> bool:
    """Whether what is assigned comes out of a call that is not a size or plain arithmetic: a reshaped tensor, say."""
    plain = {"int", "min", "max", "len", "round", "abs", "tuple", "list"}
    return any(
        isinstance(n, ast.Call)
        and not (isinstance(n.func, ast.Attribute) and n.func.attr in _SIZES)
        and not (isinstance(n.func, ast.Name) and n.func.id in plain)
        for n in ast.walk(node)
    )


def _only_raises(node: ast.If) -> bool:
    return not node.orelse and all(isinstance(s, ast.Raise | ast.Assert) for s in node.body)
