"""Methods that compare filters or channels with each other: pairs, clusters, centrality."""

from __future__ import annotations

from typing import Literal, get_args

from secateurs import measure, represent, select
from secateurs.contracts import Measure
from secateurs.errors import InputError
from secateurs.methods.base import CONVOLUTIONS, PLAIN, Method, published
from secateurs.methods.stages import Composition, FromData, Scores, UpTo, part
from secateurs.select.cluster import Linkage

Centrality = Literal["degree", "absolute-degree", "betweenness", "closeness", "eigenvector", "pagerank"]
Distances = Literal["independent", "wasserstein", "relu", "correlated"]


def _directions(faithful: bool) -> represent.Filters:
    return represent.Filters(part(represent.rank_one_direction, faithful=faithful))


@published()
def similarity(faithful: bool = False) -> Method:
    """One filter of each of the closest pairs of filter directions leaves, with a ratio of its own. [singh2022passive].

    `faithful` rounds distances to 5 decimals and takes the second smallest as neighbour, as the published code does.

    Example:
        >>> similarity(faithful=True).name
        'similarity:faithful'
    """
    if faithful:
        order = Composition(
            _directions(True), part(measure.cosine, decimals=5), part(select.nearest_pairs, faithful=True)
        )
    else:
        order = Composition(_directions(False), measure.cosine_likeness, select.nearest_pairs_of)
    paper = (
        "Singh & Plumbley, A passive similarity based CNN filter pruning for efficient acoustic scene classification, "
        "Interspeech"
    )
    summary = "one of each pair of filters with the closest directions"
    procedure = CONVOLUTIONS if faithful else PLAIN
    return Method(
        "similarity", summary, order, paper, 2022, "official code", own_ratio=True, procedure=procedure
    )


@published()
def similarity_nystrom(
    columns: int | tuple[int, ...] | None = None, faithful: bool = False, rank: int | None = None
) -> Method:
    """`similarity` by the Nyström approximation of the cosine matrix; exact by default. [singh2023nystrom].

    `columns` is m, one for all groups or one for each in the order of the forward pass; None (and groups after the
    last) takes the fewest that lose nothing. `rank` is k, None for m. The error made is in the ranking's notes.
    `faithful` rounds distances to 5 decimals and takes the second smallest of the approximated row as neighbour, as
    the published code does, whether or not the smallest is that of the filter itself.

    Example:
        >>> similarity_nystrom(columns=(12, 6, 21)).name
        'similarity-nystrom:columns=12+6+21'
    """
    pairs = part(select.nearest_pairs_of_factor, decimals=5 if faithful else None, faithful=faithful)
    factor = part(measure.nystrom, columns=UpTo(columns, "columns"), rank=UpTo(rank, "rank"))
    order = Composition(_directions(faithful), factor, pairs)
    paper = "Singh & Plumbley, Efficient similarity-based passive filter pruning for compressing CNNs, ICASSP"
    summary = "as similarity, from a few columns of the matrix"
    procedure = CONVOLUTIONS if faithful else PLAIN
    return Method(
        "similarity-nystrom",
        summary,
        order,
        paper,
        2023,
        "official code",
        own_ratio=True,
        procedure=procedure,
    )


@published(in_name=("kind",))
def centrality(kind: Centrality = "degree", faithful: bool = False) -> Method:
    """Filters with the highest centrality in the graph of cosines leave first. [king2023compressing].

    `kind` is one of degree, absolute-degree, betweenness, closeness, eigenvector, pagerank. `faithful` takes the
    cosine as the length of an edge, as the published code does, where paths matter.

    Example:
        >>> centrality("betweenness", faithful=True).name
        'centrality-betweenness:faithful'
    """
    kinds: dict[str, Measure] = {
        "degree": measure.weighted_degree,
        "absolute-degree": measure.absolute_degree,
        "betweenness": part(measure.betweenness, faithful=faithful),
        "closeness": part(measure.closeness, faithful=faithful),
        "eigenvector": measure.eigenvector_centrality,
        "pagerank": measure.pagerank,
    }
    if kind not in kinds:
        raise InputError(f"kind is '{kind}'; the centralities are {', '.join(kinds)}.")
    order = Composition(_directions(faithful), kinds[kind], select.by_redundancy)
    paper = (
        "King, Singh & Plumbley, Compressing audio CNNs with graph centrality based filter pruning, WASPAA"
    )
    summary = f"central filters ({kind} in the graph of cosines)"
    in_code = kind in ("degree", "absolute-degree", "betweenness")
    name = "centrality" if kind == "degree" else f"centrality-{kind}"
    certain = "official code" if in_code else "a variant of ours"
    return Method(name, summary, order, paper, 2023, certain, procedure=CONVOLUTIONS if faithful else PLAIN)


@published()
def channel_similarity(
    kind: Distances = "independent", threshold: float | None = None, linkage: Linkage = "average"
) -> Method:
    """Hierarchical clustering of channels by their distributions; each cluster keeps one. [zhang2019channel].

    `kind` is one of independent, wasserstein, relu, which read batch norms only (`measure.channel_distances`), and
    correlated, which takes means, deviations and correlations from the data, where the channels are read. `threshold`,
    in units of the mean distance, gives the method a ratio of its own; without it the target decides. `linkage`, the
    distance of two clusters, is the average, complete (largest) or single (smallest) of their members' distances.

    Example:
        >>> channel_similarity("relu", threshold=0.5).name
        'channel-similarity:kind=relu,threshold=0.5'
    """
    if kind not in get_args(Distances):
        raise InputError(f"kind is '{kind}'; the distances are {', '.join(get_args(Distances))}.")
    if linkage not in get_args(Linkage):
        raise InputError(f"linkage is '{linkage}'; there are {', '.join(get_args(Linkage))}.")
    if threshold is not None and not threshold > 0:
        raise InputError(f"threshold is {threshold:g}; give a positive share of the mean distance.")
    worth = Scores(represent.BatchNorms(), measure.bn_scale)
    clusters = part(select.cluster, worth=worth, linkage=linkage, threshold=threshold, relative=True)
    order: Composition | FromData
    if kind == "correlated":
        order = FromData(represent.FeatureMaps(), measure.difference_sum, clusters)
    else:
        order = Composition(represent.BatchNorms(), part(measure.channel_distances, kind=kind), clusters)
    paper = (
        "Zhang et al., Exploiting channel similarity for accelerating deep convolutional neural networks, arXiv "
        "(as Zhao et al., Exploiting channel similarity for network pruning, IEEE TCSVT, in 2023)"
    )
    summary = "one of each cluster of channels distributed alike"
    certain = "abstract only; four readings of the distance"
    return Method("channel-similarity", summary, order, paper, 2019, certain, own_ratio=threshold is not None)
