"""Methods that score every filter: norms, geometric median, batch-norm factors, random numbers."""

from __future__ import annotations

from secateurs import measure, represent, select
from secateurs.methods.base import CONVOLUTIONS, PLAIN, Method, published
from secateurs.methods.stages import Composition, Seed, part


@published()
def l1_norm() -> Method:
    """Filters with the smallest sum of absolute weights leave first. [li2017pruning].

    Example:
        >>> l1_norm().needs
        'nothing'
    """
    order = Composition(represent.Filters(), measure.l1_norm, select.by_worth)
    paper = "Li et al., Pruning filters for efficient ConvNets, ICLR"
    return Method("l1-norm", "filters with the smallest absolute weights", order, paper, 2017, "formula")


@published()
def l2_norm() -> Method:
    """Filters with the smallest Euclidean norm leave first. [he2018soft].

    Example:
        >>> l2_norm() == l2_norm()
        True
    """
    order = Composition(represent.Filters(), measure.l2_norm, select.by_worth)
    paper = "He et al., Soft filter pruning for accelerating deep convolutional neural networks, IJCAI"
    return Method("l2-norm", "filters with the smallest Euclidean norm", order, paper, 2018, "formula")


@published()
def geometric_median() -> Method:
    """Filters nearest the geometric median of their layer leave first. [he2019fpgm].

    Example:
        >>> geometric_median().year
        2019
    """
    order = Composition(represent.Filters(), measure.distance_to_all, select.by_worth)
    paper = "He et al., Filter pruning via geometric median for deep convolutional neural networks acceleration, CVPR"
    return Method("geometric-median", "filters nearest the geometric median", order, paper, 2019, "formula")


@published()
def geometric_mean() -> Method:
    """Filters whose geometric mean is nearest that of their layer leave first, a baseline of [singh2023nystrom].

    Example:
        >>> geometric_mean().certain
        'after the official code; differs in its origin'
    """
    order = Composition(represent.Filters(), measure.geometric_mean_gap, select.by_worth)
    paper = "Singh & Plumbley, Efficient similarity-based passive filter pruning for compressing CNNs, ICASSP"
    certain = "official code, a baseline there"
    return Method("geometric-mean", "filters whose mean size is the layer's", order, paper, 2023, certain)


@published()
def operator_norm(faithful: bool = False) -> Method:
    """Filters with little energy along the leading direction of each input channel leave first. [singh2023efficient].

    `faithful` squares the sum over channels instead of summing squares, as the published script does.

    Example:
        >>> operator_norm(faithful=True).name
        'operator-norm:faithful'
    """
    scores = part(measure.operator_norm_score, faithful=faithful)
    order = Composition(represent.Filters(represent.kernels), scores, select.by_worth)
    paper = "Singh & Plumbley, Efficient CNNs via passive filter pruning, TASLP"
    summary = "filters with little energy along the leading directions"
    procedure = CONVOLUTIONS if faithful else PLAIN
    return Method("operator-norm", summary, order, paper, 2025, "official code", procedure=procedure)


@published()
def bn_scale() -> Method:
    """Channels with the smallest batch-norm factors leave first. [liu2017slimming].

    Example:
        >>> bn_scale().summary
        'channels with small batch-norm factors'
    """
    order = Composition(represent.BatchNorms(), measure.bn_scale, select.by_worth)
    paper = "Liu et al., Learning efficient convolutional networks through network slimming, ICCV"
    certain = "formula; filters' lengths where there is no batch norm"
    return Method("bn-scale", "channels with small batch-norm factors", order, paper, 2017, certain)


@published()
def random() -> Method:
    """Filters leave in random order: what every method has to beat.

    Example:
        >>> random().paper
        ''
    """
    order = Composition(represent.Blank(), part(measure.random_worth, seed=Seed()), select.by_worth)
    return Method("random", "filters drawn at random", order, certain="formula")
