"""In what each method differs from the code that its authors have published, a row a method.

Methods that are not here follow a formula, a reading or nothing that was published. All methods but those that are
`faithful` let dead filters and exact copies leave first (`contracts.Redundant`), which no published code does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """Where a method leaves the published code.

    Attributes:
        short: In what, in a few words; "" where it does not.
        words: One sentence; "" where it does not.
    """

    short: str = ""
    words: str = ""


_ALIKE = Difference()
_DENSE = "hidden dense layers are ranked as well, where the code prunes convolutions only"
_PAIRS = Difference(
    "neighbours and 1x1 filters",
    "The neighbour of a filter is the nearest other one (the code takes the second smallest distance, rounded to 5 "
    f"decimals), the direction of a 1x1 filter is that of its weights (there 1 or -1), and {_DENSE}.",
)
_FRAME = (
    "without --frame the convolutions themselves are pruned (the code puts 1x1 convolutions around each and prunes "
    "between them); nothing is trained between two layers"
)
_TRAINED = Difference(
    "tuning", "Nothing is trained between two layers (the code tunes for an epoch after each)."
)
_OMP = Difference(
    "ridge and frame",
    f"Fits without the code's ridge of 1 and combines by least squares of the filters themselves; {_FRAME}.",
)
_SEARCH = Difference(
    "the scores of a step",
    "Scores on training samples by divergence of the outputs a multiply-add saved, lazily, of channels in one fixed "
    f"order (the code: accuracy on the test set, every layer at every step, channels chosen anew); {_FRAME}.",
)
_LAYERS = Difference(
    "data and frame",
    "Scores on training samples, lazily, of channels in one fixed order (the code: test samples, every layer at every "
    f"step); {_FRAME}.",
)
_OUTPUTS = Difference(
    "data, error and frame",
    "Compares the network's outputs (the code: the last batch norm's) and scores"
    + _LAYERS.words.removeprefix("Scores"),
)
_UNTUNED = "trains nothing between two steps (the code tunes for an epoch after each)"
_TRANSPOSED = "coefficients of inputs are transposed (the code reshapes them, which mixes channels up)"
_SEARCHED = Difference(
    "data and tuning",
    f"Scores on training samples (the code: the test set), and {_UNTUNED}; where both sides of every layer score alike "
    "the first is cut (there nothing, until tuning has told them apart).",
)
_OWN_LAYER = (
    "Scores on training samples, all at once (the code: test samples, errors of batches of 400 summed), and "
    + _UNTUNED
)
_SHORTCUT = "a layer is given what reaches it, shortcuts included (the code leaves them out)"
DIFFERENCES: Mapping[str, tuple[Difference, Difference]] = {
    "similarity": (_PAIRS, _ALIKE),
    "similarity-nystrom": (
        Difference(
            "columns, neighbours and 1x1 filters",
            "Takes the fewest columns that lose nothing (the paper finds m by trying, one for each layer); otherwise "
            "as similarity.",
        ),
        _ALIKE,
    ),
    "centrality": (
        Difference(
            "1x1 filters",
            f"The direction of a 1x1 filter is that of its weights (there 1 or -1), and {_DENSE}.",
        ),
        _ALIKE,
    ),
    "centrality-betweenness": (
        Difference(
            "the length of an edge",
            "An edge is as long as the cosine is below 1 (the code takes the cosine itself, so that paths run through "
            f"unlike filters), and {_DENSE}.",
        ),
        Difference(
            "negative cosines",
            "Negative cosines count as 1e-5, as no shortest path is defined over negative lengths, and "
            + _DENSE
            + ".",
        ),
    ),
    "operator-norm": (
        Difference(
            "squares of a sum",
            "Squares are summed over the input channels (the script squares the sum, which depends on the filter that "
            "comes first).",
        ),
        _ALIKE,
    ),
    "geometric-mean": (
        Difference(
            "its origin",
            "The score is in the code of later work by the same authors; that the paper's baseline is the same is "
            "inferred.",
        ),
        _ALIKE,
    ),
    "fp-omp": (_OMP, _TRAINED),
    "fp-omp-search": (_SEARCH, _SEARCHED),
    "fp-backward": (
        Difference("frame", f"{_FRAME[0].upper()}{_FRAME[1:]}."),
        Difference(
            "tuning and the inputs' coefficients",
            f"Nothing is trained between two layers (the code tunes for an epoch after each), and {_TRANSPOSED}.",
        ),
    ),
    "hbgs": (_LAYERS, Difference("data, tuning and shortcuts", f"{_OWN_LAYER}; {_SHORTCUT}.")),
    "hbgs-b": (
        _LAYERS,
        Difference(
            "data, tuning, shortcuts and the inputs' coefficients",
            f"{_OWN_LAYER}; {_SHORTCUT}; {_TRANSPOSED}.",
        ),
    ),
    "hbgts": (
        _OUTPUTS,
        Difference("data and tuning", f"{_OWN_LAYER}."),
    ),
    "hbgts-b": (
        _OUTPUTS,
        Difference("data, tuning and the inputs' coefficients", f"{_OWN_LAYER}; {_TRANSPOSED}."),
    ),
    "lrf": (
        Difference(
            "readers and frame",
            "A filter counts by the weights that read it (in the code's frame an identity), with a ridge of 1e-8, so "
            f"that dependent filters have a solution; {_FRAME}.",
        ),
        _TRAINED,
    ),
    "hrank": (
        Difference(
            "tuning",
            "All layers are pruned at once (the code tunes for 30 epochs after each, ratios set by hand).",
        ),
        _ALIKE,
    ),
    "lasso": (
        Difference(
            "the path",
            "One order of entry into the LASSO path for every ratio (the code searches for a penalty that leaves the "
            "wanted count), from the original network's inputs (there those of the pruned layers before).",
        ),
        _ALIKE,
    ),
}
"""By the name of a method without settings, or else of its function: in its default form, and if `faithful`."""


def difference(name: str, family: str, faithful: bool) -> Difference:
    """In what a method differs from the published code.

    Args:
        name: Of the method without settings.
        family: Of the function that makes it, with hyphens: `hbgs` for `hbgs-b`.
        faithful: Whether it is asked to follow that code.

    Example:
        >>> difference("hbgs-b", "hbgs", False).short, difference("l1-norm", "l1-norm", False).short
        ('data and frame', '')
    """
    return DIFFERENCES.get(name, DIFFERENCES.get(family, (_ALIKE, _ALIKE)))[faithful]


def certain_of(said: str, found: Difference) -> str:
    """What is certain about a method, with what is not as published.

    Args:
        said: What the method follows, such as "official code", and remarks on it after a comma.
        found: Where it leaves that.

    Example:
        >>> certain_of("official code", Difference("ridge and frame", "..."))
        'after the official code; differs in ridge and frame'
        >>> certain_of("formula", Difference())
        'formula'
    """
    source = said.partition(",")[0]
    return f"after the {source}; differs in {found.short}" if found.short else said
