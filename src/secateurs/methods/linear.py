"""Methods by linear replaceability of filters, and the whole-network searches over them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from secateurs import measure, represent, select
from secateurs.methods.base import PLAIN, Method, Procedure, published
from secateurs.methods.stages import Composition, Scores, part

_OMP = "Purohit et al., Accurate and efficient channel pruning via orthogonal matching pursuit, AIMLSystems"
_HBGS = "Purohit et al., A greedy hierarchical approach to whole-network filter-pruning in CNNs, TMLR"
_FRAMED = Procedure(frame=True, convolutions_only=True, rounding="removed", repair="weights")
_MISPLACED = replace(_FRAMED, coefficients="published")
_SEARCHED = "official code, which scores on the test set; here on training samples"


@published()
def fp_omp(faithful: bool = False) -> Method:
    """Filters that matching pursuit chooses last to represent all of them leave first. [purohit2022accurate].

    `faithful` is the published procedure whole: in frames, outputs first and inputs on what is left, fitted with a
    ridge of 1, and repaired with the coefficients of that fit as the code places them.

    Example:
        >>> fp_omp(faithful=True).name
        'fp-omp:faithful'
    """
    order = Composition(represent.Filters(), measure.gram, part(select.omp, faithful=faithful))
    procedure = _MISPLACED if faithful else PLAIN
    summary = "filters chosen last by matching pursuit"
    return Method("fp-omp", summary, order, _OMP, 2022, "official code", procedure=procedure)


@published()
def fp_backward(faithful: bool = False) -> Method:
    """Backward elimination: the filter that the remaining ones represent best leaves first. [purohit2024hierarchical].

    `faithful` is the published procedure whole: in frames, outputs first and inputs on what is left, with the repair
    by least squares of the weights.

    Example:
        >>> fp_backward().year
        2024
    """
    order = Composition(represent.Filters(), measure.gram, select.backward)
    summary = "filters that the others represent best"
    procedure = _FRAMED if faithful else PLAIN
    return Method("fp-backward", summary, order, _HBGS, 2024, "official code", procedure=procedure)


@published()
def lrf(faithful: bool = False) -> Method:
    """Linearly replaceable filters leave first, weighted by the norms of their consumer weights. [joo2021lrf].

    `faithful` is the published procedure whole: in frames, outputs first and inputs on what is left, with the repair
    by least squares of the weights.

    Example:
        >>> lrf().certain
        "after the authors' code; differs in readers and frame"
    """
    outgoing = Scores(represent.ConsumerWeights(), measure.gram)
    order = Composition(represent.Filters(), measure.gram, part(select.lrf, outgoing=outgoing))
    paper = "Joo et al., Linearly replaceable filters for deep network channel pruning, AAAI"
    summary = "filters that are linear combinations of the others"
    procedure = _FRAMED if faithful else PLAIN
    return Method("lrf", summary, order, paper, 2021, "authors' code", procedure=procedure)


@published()
def fp_omp_search(batch: int = 5, faithful: bool = False, lazy: bool = True) -> Method:
    """Search over layers by the divergence of the outputs; `fp_omp` within a layer. [purohit2022accurate].

    Each step removes `batch` channels of the layer with the least divergence a multiply-add saved. `faithful` is the
    published procedure whole: in frames, every candidate scored at every step by its accuracy (on `data`, not on a
    test set), channels chosen anew from what is left, coefficients as the code has them, and of two sides of a layer
    with the same accuracy neither. `lazy` scores the layers that look best only; `faithful` never is.

    Example:
        >>> fp_omp_search(batch=3).search
        {'batch': 3, 'error': 'divergence', 'per': 'macs'}
        >>> fp_omp_search(lazy=False).name
        'fp-omp-search:lazy=false'
    """
    settings = {"batch": batch, "error": "divergence", "per": "macs"}
    if faithful:
        settings |= {"error": "accuracy", "per": "channels", "choose": "step", "ties": "neither"}
    summary = "as fp-omp; each next step in the layer where the outputs feel it least"
    within = fp_omp(faithful)
    return _search("fp-omp-search", summary, within, _OMP, 2022, settings, lazy and not faithful)


@published(in_name=("backward",))
def hbgs(batch: int = 5, backward: bool = False, faithful: bool = False, lazy: bool = True) -> Method:
    """Hierarchical greedy search by the relative error of each layer's own output. [purohit2024hierarchical].

    Within a layer channels leave by `fp_omp`, or if `backward` by `fp_backward`. `faithful` is the published procedure
    whole: in frames, every candidate scored at every step, and the channels of a side chosen when the side was last
    cut and not again before its turn. `lazy` scores the layers that look best only; `faithful` never is.

    Example:
        >>> hbgs(batch=3, backward=True).name
        'hbgs-b:batch=3'
    """
    where = "the layer whose own output changes least"
    return _hierarchical("hbgs", "layer", where, batch, backward, faithful, lazy)


@published(in_name=("backward",))
def hbgts(batch: int = 5, backward: bool = False, faithful: bool = False, lazy: bool = True) -> Method:
    """Hierarchical greedy tree search by the relative error of the network's output. [purohit2024hierarchical].

    Within a layer channels leave by `fp_omp`, or if `backward` by `fp_backward`. `faithful` is the published procedure
    whole: as for `hbgs`, and the error is that of the last batch norm's output. `lazy` scores the layers that look
    best only; `faithful` never is.

    Example:
        >>> hbgts().search
        {'batch': 5, 'error': 'output'}
    """
    error = "features" if faithful else "output"
    where = "the layer whose loss changes the outputs least"
    return _hierarchical("hbgts", error, where, batch, backward, faithful, lazy)


def _hierarchical(
    name: str, error: str, where: str, batch: int, backward: bool, faithful: bool, lazy: bool
) -> Method:
    within = fp_backward(faithful) if backward else fp_omp(faithful)
    settings = {"batch": batch, "error": error}
    if faithful:
        settings |= {"choose": "turn", "ties": "outputs"}
    summary = f"as {within.name.partition(':')[0]}; each next step in {where}"
    full = f"{name}-b" if backward else name
    return _search(full, summary, within, _HBGS, 2024, settings, lazy and not faithful)


def _search(
    name: str, summary: str, within: Method, paper: str, year: int, settings: dict[str, Any], lazy: bool
) -> Method:
    searches = (*settings.items(), *(() if lazy else (("lazy", False),)))
    return Method(
        name, summary, within.order, paper, year, _SEARCHED, searches=searches, procedure=within.procedure
    )
