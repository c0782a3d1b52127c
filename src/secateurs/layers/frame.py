r"""The papers' frame: identity 1x1 convolutions around a layer, so that both its sides can shrink.

A k x k convolution W becomes 1x1 (identity, c -> c), W, 1x1 (identity, n -> n): the same function, but
now its inputs and outputs lie between linear layers and are coupled with nothing else. [purohit2022accurate]

Linear layers in a row are one layer, so a frame can be folded again where that is cheaper: with E, W and L the
three weights, $W'_{o i} = \sum_{a b} L_{o a} W_{a b} E_{b i}$ is a k x k convolution once more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from secateurs.running.copies import copy_model

ENTER, CONV, LEAVE = "enter", "conv", "leave"
FOLDS = ("", "enter", "leave", "both")


def frameable(model: nn.Module) -> tuple[str, ...]:
    """Names of the plain convolutions larger than 1x1, all but the first, in the order of definition.

    Example:
        >>> frameable(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 3)))
        ('2',)
    """
    convs = [(n, m) for n, m in model.named_modules() if isinstance(m, nn.Conv2d)]
    return tuple(
        n for n, m in convs[1:] if m.groups == 1 and max(m.kernel_size) > 1 and isinstance(m.padding, tuple)
    )


def is_frame(module: nn.Module) -> bool:
    """Whether a module is a convolution between two 1x1 ones, as `insert_frames` makes them.

    Example:
        >>> is_frame(nn.Conv2d(1, 1, 3))
        False
    """
    return isinstance(module, nn.Sequential) and [n for n, _ in module.named_children()] == [
        ENTER,
        CONV,
        LEAVE,
    ]


def missing_frame(model: nn.Module, names: Iterable[str]) -> str | None:
    """The first of these names that is neither a plain convolution nor a frame of the model.

    Example:
        >>> missing_frame(nn.Sequential(nn.Conv2d(1, 1, 3)), ["0", "1"])
        '1'
    """
    modules = dict(model.named_modules())
    for name in names:
        if name not in modules or not (isinstance(modules[name], nn.Conv2d) or is_frame(modules[name])):
            return name
    return None


def insert_frames(model: nn.Module, names: Iterable[str]) -> nn.Module:
    """A copy of `model` in which each named convolution sits between two identity 1x1 convolutions.

    The layer keeps its place: `name` becomes a Sequential of `enter`, `conv`, `leave`; a bias moves to
    `leave`, where it is added after the mixing, as before. What is a frame already stays as it is.

    Example:
        >>> net, x = nn.Sequential(nn.Conv2d(1, 2, 3)), torch.ones(1, 1, 4, 4)
        >>> framed = insert_frames(net, ["0"])
        >>> is_frame(framed[0]), torch.allclose(framed(x), net(x))
        (True, True)
    """
    framed = copy_model(model)
    for name in names:
        module = framed.get_submodule(name)
        if not is_frame(module):
            _put(framed, name, _framed(module))
    return framed


def fold_frames(model: nn.Module, folds: Mapping[str, str]) -> nn.Module:
    """A copy of `model` in which frames have given up one or both of their 1x1 convolutions.

    Args:
        model: With frames.
        folds: "enter", "leave" or "both" by the name of the frame; after "both" a plain convolution is left.

    Returns:
        The same function up to rounding: products of the weights are made in float64.

    Example:
        >>> framed = insert_frames(nn.Sequential(nn.Conv2d(1, 2, 3)), ["0"])
        >>> fold_frames(framed, {"0": "both"})
        Sequential(
          (0): Conv2d(1, 2, kernel_size=(3, 3), stride=(1, 1))
        )
    """
    folded = copy_model(model)
    for name, fold in folds.items():
        frame = folded.get_submodule(name)
        if is_frame(frame) and fold:
            _put(folded, name, _folded(frame, fold))
    return folded


def fold_weight(enter: Tensor | None, conv: Tensor, leave: Tensor | None) -> Tensor:
    """One k x k weight for a k x k convolution between two 1x1 ones, computed in float64.

    Args:
        enter: (c, i, 1, 1), or None for none.
        conv: (n, c, k, k).
        leave: (o, n, 1, 1), or None.

    Returns:
        (o, i, k, k), in the type of `conv`.

    Cost:
        O(n c i k^2 + o n i k^2).

    Example:
        >>> eye = torch.eye(2)[:, :, None, None]
        >>> w = torch.randn(2, 2, 3, 3)
        >>> torch.equal(fold_weight(eye, w, eye), w)
        True
    """
    weight = conv.double()
    if enter is not None:
        weight = torch.einsum("abhw,bi->aihw", weight, enter.double()[:, :, 0, 0])
    if leave is not None:
        weight = torch.einsum("oa,aihw->oihw", leave.double()[:, :, 0, 0], weight)
    return weight.to(conv.dtype)


def cheapest_fold(whole: tuple[float, float, float], entering: float, leaving: float) -> tuple[str, float]:
    """Which fold leaves the fewest multiply-adds, and how many.

    Args:
        whole: Multiply-adds of `enter`, `conv` and `leave` before anything was removed.
        entering: Share of the channels between `enter` and `conv` that is left.
        leaving: The same between `conv` and `leave`.

    Returns:
        One of `FOLDS` and its multiply-adds. Of equally cheap ones, the one that folds most.

    Example:
        >>> cheapest_fold((1.0, 9.0, 1.0), 1.0, 0.5)
        ('enter', 5.0)
        >>> cheapest_fold((1.0, 9.0, 1.0), 0.5, 0.5)
        ('', 3.25)
    """
    enter, conv, leave = whole
    macs = {
        "both": conv,
        "leave": entering * (enter + conv),
        "enter": leaving * (conv + leave),
        "": entering * enter + entering * leaving * conv + leaving * leave,
    }
    best = min(macs, key=lambda fold: macs[fold])
    return best, macs[best]


def _put(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, module)


def _framed(conv: nn.Module) -> nn.Sequential:
    if not isinstance(conv, nn.Conv2d):
        raise TypeError("only two-dimensional convolutions can be framed")
    enter = _identity(conv.in_channels, conv.weight, bias=False)
    leave = _identity(conv.out_channels, conv.weight, bias=conv.bias is not None)
    if conv.bias is not None and leave.bias is not None:
        leave.bias.data.copy_(conv.bias.data)
        conv.bias = None
    frame = nn.Sequential()
    for name, layer in ((ENTER, enter), (CONV, conv), (LEAVE, leave)):
        frame.add_module(name, layer)
    return frame.train(conv.training)


def _identity(width: int, like: Tensor, bias: bool) -> nn.Conv2d:
    layer = nn.Conv2d(width, width, 1, bias=bias, device=like.device, dtype=like.dtype)
    with torch.no_grad():
        layer.weight.copy_(torch.eye(width, device=like.device, dtype=like.dtype)[:, :, None, None])
    return layer


@torch.no_grad()
def _folded(frame: nn.Module, fold: str) -> nn.Module:
    enter, conv, leave = (getattr(frame, name) for name in (ENTER, CONV, LEAVE))
    first = enter.weight if fold in ("enter", "both") else None
    last = leave.weight if fold in ("leave", "both") else None
    if last is not None and (conv.bias is not None or leave.bias is not None):
        bias = torch.zeros(len(last), dtype=torch.float64, device=last.device)
        bias += 0.0 if conv.bias is None else last[:, :, 0, 0].double() @ conv.bias.double()
        bias += 0.0 if leave.bias is None else leave.bias.double()
        conv.bias = nn.Parameter(bias.to(last.dtype), conv.weight.requires_grad)
    weight = fold_weight(first, conv.weight, last)
    _resize(conv, weight)
    if fold == "both":
        return conv  # type: ignore[no-any-return]
    rest = nn.Sequential()
    rest.add_module(*((ENTER, enter) if fold == "leave" else (CONV, conv)))
    rest.add_module(*((CONV, conv) if fold == "leave" else (LEAVE, leave)))
    return rest.train(conv.training)


def _resize(conv: nn.Conv2d, weight: Tensor) -> None:
    conv.weight = nn.Parameter(weight, conv.weight.requires_grad)
    conv.out_channels, conv.in_channels = weight.shape[:2]
