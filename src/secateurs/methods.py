"""The published methods, each a composition of represent + measure + select.

A method is a frozen value: `methods.l1_norm()`. The command line finds it under the name of its function,
with hyphens. To add one, write a function here that returns a `Method`, and name it in `__all__`.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from secateurs import measure, represent, select
from secateurs.checks import shown
from secateurs.compose import (
    Composition,
    Drawn,
    Energies,
    LikeChannels,
    NormScale,
    NystromPairs,
    Orders,
    Replaceable,
    Seen,
    Sight,
    Surveyed,
    look_contributions,
    look_taylor,
)
from secateurs.errors import InputError

Needs = Literal["nothing", "data"]
Centrality = Literal["degree", "absolute-degree", "betweenness", "closeness", "eigenvector", "pagerank"]


@dataclass(frozen=True)
class Method:
    """A way to rank: `order` gives each group's order from what is seen of it.

    `certain` says what is found in the source and what is a reading of it; `needs` is "data" where the
    method looks at feature maps; `own_ratio` where it decides by itself how many leave. `look` makes sums of
    one batch of a group's maps (with the loss's `gradients` if it wants them); `order` finds their mean in
    what it sees. `surveys` says that the order comes from the moments of what the group's readers read.
    `search` holds the settings of the whole-network search (`allocate.Search`) that belongs to the method, and with
    it the repair "weights".
    """

    name: str
    summary: str
    order: Orders
    paper: str = ""
    year: int | None = None
    needs: Needs = "nothing"
    certain: str = ""
    own_ratio: bool = False
    notes: Callable[[Sight], Mapping[str, Any]] | None = None
    look: Callable[[Any], measure.MapMean | None] | None = None
    gradients: bool = False
    search: Mapping[str, Any] | None = None
    surveys: bool = False


_SINGH = "Singh & Plumbley, A passive similarity based CNN filter pruning, Interspeech"
_NYSTROM = "Singh & Plumbley, Efficient similarity-based passive filter pruning, ICASSP"
_KING = "King, Singh & Plumbley, Compressing audio CNNs with graph centrality, WASPAA"
_OMP = "Purohit et al., Accurate and efficient channel pruning via OMP, AIMLSystems"
_HBGS = "Purohit et al., A greedy hierarchical approach to whole-network filter pruning, TMLR"


def similarity(faithful: bool = False) -> Method:
    """Of the closest pairs of filter directions one leaves; has its own ratio. [singh2022passive].

    `faithful` rounds distances to 5 decimals and takes the second smallest as neighbour, as the published code does.
    """
    order = Composition(
        represent.RankOneDirection(faithful),
        measure.Cosine(5 if faithful else None),
        select.NearestPairs(faithful),
    )
    summary = "one of each pair of filters with the closest directions"
    return Method("similarity", summary, order, _SINGH, 2022, certain="official code", own_ratio=True)


def similarity_nystrom(columns: int | None = None, faithful: bool = False) -> Method:
    """`similarity` from the first m columns of the cosine matrix; exact by default. [singh2023nystrom].

    `columns` is m; None takes the fewest that lose nothing. The error made is in the ranking's notes.
    """
    order = NystromPairs(represent.RankOneDirection(faithful), columns, 5 if faithful else None)
    summary = "as similarity, from a few columns of the matrix"
    return Method(
        "similarity-nystrom", summary, order, _NYSTROM, 2023, "nothing", "official code", True, order.notes
    )


def centrality(kind: Centrality = "degree", faithful: bool = False) -> Method:
    """Filters that are central in the graph of cosines are common, so they leave. [king2023compressing].

    `faithful` takes the cosine as the length of an edge, as the published code does, where paths matter.
    """
    kinds: dict[str, Any] = {
        "degree": measure.WeightedDegree(),
        "absolute-degree": measure.AbsoluteDegree(),
        "betweenness": measure.Betweenness(faithful),
        "closeness": measure.Closeness(faithful),
        "eigenvector": measure.Eigenvector(),
        "pagerank": measure.PageRank(),
    }
    if kind not in kinds:
        raise InputError(f"kind is '{kind}'; the centralities are {', '.join(kinds)}.")
    name = "centrality" if kind == "degree" else f"centrality-{kind}"
    order = Composition(represent.RankOneDirection(faithful), kinds[kind], select.ByWorth())
    certain = "official code" if kind in ("degree", "absolute-degree", "betweenness") else "a variant of ours"
    return Method(
        name, f"central filters ({kind} in the graph of cosines)", order, _KING, 2023, certain=certain
    )


def fp_omp(faithful: bool = False) -> Method:
    """Keep the filters that together represent all of them best, by matching pursuit. [purohit2022accurate].

    `faithful` fits with the published ridge of 1.
    """
    order = Composition(represent.Flat(), measure.Gram(), select.Omp(faithful))
    return Method(
        "fp-omp", "filters chosen last by matching pursuit", order, _OMP, 2022, certain="official code"
    )


def fp_backward() -> Method:
    """Drop again and again the filter whose loss the others make up for best. [purohit2024hierarchical]."""
    order = Composition(represent.Flat(), measure.Gram(), select.Backward())
    return Method(
        "fp-backward", "filters that the others represent best", order, _HBGS, 2024, certain="official code"
    )


def fp_omp_search(batch: int = 5, faithful: bool = False) -> Method:
    """`fp_omp` within a layer; which layer gives the next `batch` channels is tried. [purohit2022accurate].

    What is compared is the divergence of the outputs, for the multiply-adds that a step saves. `faithful` compares
    accuracies, counts channels alike, and fits with the published ridge of 1.
    """
    error, per = ("accuracy", "channels") if faithful else ("divergence", "macs")
    settings = {"batch": batch, "error": error, "per": per}
    summary = "as fp-omp; each next step in the layer where the outputs feel it least"
    order = fp_omp(faithful).order
    certain = "official code, which scores on the test set; here on training samples"
    return Method("fp-omp-search", summary, order, _OMP, 2022, "data", certain, search=settings)


def hbgs(batch: int = 5, backward: bool = False) -> Method:
    """Hierarchical greedy search by the relative error of each layer's own output. [purohit2024hierarchical].

    Within a layer channels leave by `fp_omp`, or if `backward` by `fp_backward`.
    """
    return _hierarchical("hbgs", "layer", "the layer whose own output changes least", batch, backward)


def hbgts(batch: int = 5, backward: bool = False) -> Method:
    """Hierarchical greedy tree search by the relative error of the network's output. [purohit2024hierarchical].

    Within a layer channels leave by `fp_omp`, or if `backward` by `fp_backward`.
    """
    return _hierarchical("hbgts", "output", "the layer whose loss changes the outputs least", batch, backward)


def _hierarchical(name: str, error: str, where: str, batch: int, backward: bool) -> Method:
    order = (fp_backward() if backward else fp_omp()).order
    settings = {"batch": batch, "error": error}
    within = "fp-backward" if backward else "fp-omp"
    certain = "official code, which scores on the test set; here on training samples"
    summary = f"as {within}; each next step in {where}"
    full = f"{name}-b" if backward else name
    return Method(full, summary, order, _HBGS, 2024, "data", certain, search=settings)


def lrf() -> Method:
    """Linearly replaceable filters, weighted by what reads them. [joo2021lrf]."""
    paper = "Joo et al., Linearly replaceable filters for deep network channel pruning, AAAI"
    summary = "filters that are linear combinations of the others"
    return Method("lrf", summary, Replaceable(), paper, 2021, certain="authors' code")


def channel_similarity(kind: str = "independent", threshold: float | None = None) -> Method:
    """Channels with like batch-norm distributions, by hierarchical clustering. [zhang2019channel].

    `kind` is one of independent, wasserstein, relu. `threshold`, in units of the mean distance, gives the
    method a ratio of its own; without it the target decides.
    """
    paper = "Zhang et al., Exploiting channel similarity, 2019; Zhao et al., IEEE TCSVT"
    order = LikeChannels(kind, threshold=threshold)
    summary = "one of each cluster of channels distributed alike"
    certain = "abstract only; four readings of the distance"
    return Method(
        "channel-similarity", summary, order, paper, 2023, "nothing", certain, threshold is not None
    )


def qsfm_ssim(threshold: float | None = None, window: bool = True) -> Method:
    """Feature maps with the largest structural similarity, one of each pair. [wang2022qsfm].

    `threshold` gives the method a ratio of its own: pairs at least so similar lose one.
    """
    look = measure.Ssim(window=window)
    return _qsfm("qsfm-ssim", "SSIM", lambda glimpse: look.sums(glimpse.maps()), threshold)


def qsfm_psnr(threshold: float | None = None) -> Method:
    """Feature maps with the largest peak signal-to-noise ratio, one of each pair. [wang2022qsfm].

    `threshold`, in dB, gives the method a ratio of its own.
    """
    look = measure.Psnr()
    return _qsfm("qsfm-psnr", "PSNR", lambda glimpse: look.sums(glimpse.maps()), threshold)


def _qsfm(
    name: str, likeness: str, look: Callable[[Any], measure.MapMean], threshold: float | None
) -> Method:
    paper = "Wang et al., QSFM: quantified similarity of feature maps, IEEE IoT-J"
    order = Seen(select.MostSimilarPair(threshold))
    summary = f"one of each pair of feature maps most alike by {likeness}"
    return Method(
        name, summary, order, paper, 2022, "data", "abstract only", threshold is not None, look=look
    )


def hrank() -> Method:
    """Filters whose feature maps have the lowest rank leave first. [lin2020hrank]."""
    paper = "Lin et al., HRank: filter pruning using high-rank feature map, CVPR"
    look = measure.HRank()
    summary = "filters whose feature maps have the lowest rank"
    order = Seen(select.ByWorth())
    return Method(
        "hrank", summary, order, paper, 2020, "data", "code", look=lambda glimpse: look.sums(glimpse.maps())
    )


def taylor() -> Method:
    """Filters whose maps change the loss least, to first order. [molchanov2017pruning].

    The loss is cross-entropy to the labels, or without any to the network's own decisions.
    """
    paper = "Molchanov et al., Pruning CNNs for resource efficient inference, ICLR"
    summary = "filters whose maps change the loss least, to first order"
    order = Seen(select.ByWorth())
    return Method("taylor", summary, order, paper, 2017, "data", "formula", look=look_taylor, gradients=True)


def thinet() -> Method:
    """Channels whose joint contribution to the next layer stays small. [luo2017thinet]."""
    paper = "Luo et al., ThiNet: a filter level pruning method, ICCV"
    summary = "channels that together contribute least to the next layer"
    return Method(
        "thinet", summary, Seen(select.ThiNet()), paper, 2017, "data", "formula", look=look_contributions
    )


def lasso() -> Method:
    """Channels that enter last as the next layer's output is approached by the LASSO. [he2017channel]."""
    paper = "He et al., Channel pruning for accelerating very deep neural networks, ICCV"
    summary = "channels the LASSO needs last for the next layer's output"
    return Method(
        "lasso", summary, Seen(select.Lasso()), paper, 2017, "data", "code", look=look_contributions
    )


def moments() -> Method:
    """Backward elimination by the exact rise of the readers' least-squares error: our own.

    Choice and repair are then the same problem: what leaves is what the kept channels, refitted, miss least.
    """
    summary = "channels the readers, refitted by least squares, miss least"
    return Method("moments", summary, Surveyed(), "ours", 2026, "data", "our own", surveys=True)


def l1_norm() -> Method:
    """Filters with the smallest sum of absolute weights leave first. [li2017pruning]."""
    paper = "Li et al., Pruning filters for efficient ConvNets, ICLR"
    order = Composition(represent.Flat(), measure.L1Norm(), select.ByWorth())
    return Method(
        "l1-norm", "filters with the smallest absolute weights", order, paper, 2017, certain="formula"
    )


def l2_norm() -> Method:
    """Filters with the smallest Euclidean norm leave first. [he2018soft]."""
    paper = "He et al., Soft filter pruning, IJCAI"
    order = Composition(represent.Flat(), measure.L2Norm(), select.ByWorth())
    return Method(
        "l2-norm", "filters with the smallest Euclidean norm", order, paper, 2018, certain="formula"
    )


def geometric_median() -> Method:
    """Filters nearest the geometric median of their layer leave first. [he2019fpgm]."""
    paper = "He et al., Filter pruning via geometric median (FPGM), CVPR"
    order = Composition(represent.Flat(), measure.GeometricMedian(), select.ByWorth())
    return Method(
        "geometric-median", "filters nearest the geometric median", order, paper, 2019, certain="formula"
    )


def geometric_mean() -> Method:
    """The score the similarity papers' code calls GM: distance from the layer's geometric mean."""
    order = Composition(represent.Flat(), measure.GeometricMean(), select.ByWorth())
    summary = "filters whose mean size is the layer's"
    return Method("geometric-mean", summary, order, _NYSTROM, 2023, certain="official code, a baseline there")


def operator_norm(faithful: bool = False) -> Method:
    """Filters with little energy along the leading direction of each input channel. [singh2023efficient]."""
    paper = "Singh & Plumbley, Efficient CNNs via passive filter pruning"
    summary = "filters with little energy along the leading directions"
    return Method("operator-norm", summary, Energies(faithful), paper, 2023, certain="official code")


def bn_scale() -> Method:
    """Channels with the smallest batch-norm factors leave first. [liu2017slimming]."""
    paper = "Liu et al., Learning efficient networks through network slimming, ICCV"
    certain = "formula; filters' lengths where there is no batch norm"
    return Method(
        "bn-scale", "channels with small batch-norm factors", NormScale(), paper, 2017, certain=certain
    )


def random() -> Method:
    """Filters leave in random order: what every method has to beat."""
    return Method("random", "filters drawn at random", Drawn(), certain="formula")


__all__ = [
    "bn_scale",
    "centrality",
    "channel_similarity",
    "fp_backward",
    "fp_omp",
    "fp_omp_search",
    "geometric_mean",
    "geometric_median",
    "hbgs",
    "hbgts",
    "hrank",
    "l1_norm",
    "l2_norm",
    "lasso",
    "lrf",
    "moments",
    "operator_norm",
    "qsfm_psnr",
    "qsfm_ssim",
    "random",
    "similarity",
    "similarity_nystrom",
    "taylor",
    "thinet",
]

_KINDS: tuple[Centrality, ...] = ("absolute-degree", "betweenness", "closeness", "eigenvector", "pagerank")
METHODS: tuple[Method, ...] = (
    *(getattr(sys.modules[__name__], name)() for name in __all__),
    *(centrality(kind) for kind in _KINDS),
    hbgs(backward=True),
    hbgts(backward=True),
)


def names() -> tuple[str, ...]:
    """The names the command line knows.

    Example:
        >>> "l1-norm" in names()
        True
    """
    return tuple(method.name for method in METHODS)


def get(name: str) -> Method:
    """The method of that name.

    Raises:
        InputError: there is none; says which names are near.

    Example:
        >>> get("fp-omp").year, get("fp_omp").year
        (2022, 2022)
    """
    if not isinstance(name, str):
        raise InputError(f"method is {shown(name)}; give a name such as 'l1-norm'.")
    for method in METHODS:
        if method.name in (name, name.replace("_", "-")):  # as the functions here are called
            return method
    near = difflib.get_close_matches(name, names(), n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else f"the methods are {', '.join(names())}."
    raise InputError(f"method: there is no {shown(name)}; {hint}")


def check_data(method: Method, given: bool) -> None:
    """Raise an InputError where a method looks at data and got none; names those that need none.

    Example:
        >>> check_data(l1_norm(), given=False)
    """
    if method.needs == "data" and not given:
        free = ", ".join(m.name for m in METHODS if m.needs == "nothing")
        raise InputError(
            f"data: '{method.name}' looks at feature maps and got no data; give some, or use {free}."
        )
