"""Methods that look at data: feature maps, contributions to the next layer, second moments."""

from __future__ import annotations

from secateurs import measure, represent, select
from secateurs.methods.base import Method, published
from secateurs.methods.stages import FromData, FromSurvey, part

_QSFM = (
    "Wang et al., QSFM: model pruning based on quantified similarity between feature maps for AI on edge, "
    "IEEE Internet of Things Journal"
)


@published()
def qsfm_ssim(threshold: float | None = None, window: bool = True) -> Method:
    """Of the pair of feature maps with the largest structural similarity, one filter leaves first. [wang2022qsfm].

    `threshold` gives the method a ratio of its own: pairs at least so similar lose one. Without `window`, maps are
    compared by their global statistics.

    Example:
        >>> qsfm_ssim(window=False).name
        'qsfm-ssim:window=false'
    """
    pairs = part(select.most_similar_pair, threshold=threshold)
    order = FromData(represent.FeatureMaps(), part(measure.ssim_sum, window=window), pairs)
    summary = "one of each pair of feature maps most alike by SSIM"
    return Method("qsfm-ssim", summary, order, _QSFM, 2022, "abstract only", threshold is not None)


@published()
def qsfm_psnr(threshold: float | None = None) -> Method:
    """Of the pair of feature maps with the largest peak signal-to-noise ratio, one filter leaves first. [wang2022qsfm].

    `threshold`, in dB, gives the method a ratio of its own.

    Example:
        >>> qsfm_psnr(30.0).own_ratio
        True
    """
    pairs = part(select.most_similar_pair, threshold=threshold)
    order = FromData(represent.FeatureMaps(), measure.psnr_sum, pairs)
    summary = "one of each pair of feature maps most alike by PSNR"
    return Method("qsfm-psnr", summary, order, _QSFM, 2022, "abstract only", threshold is not None)


@published()
def hrank() -> Method:
    """Filters whose feature maps have the lowest rank leave first. [lin2020hrank].

    Example:
        >>> hrank().needs, hrank().statistic
        ('data', 'feature maps')
    """
    order = FromData(represent.FeatureMaps(), measure.rank_sum, select.by_worth)
    paper = "Lin et al., HRank: filter pruning using high-rank feature map, CVPR"
    return Method("hrank", "filters whose feature maps have the lowest rank", order, paper, 2020, "code")


@published()
def taylor() -> Method:
    """Filters whose maps change the loss least, to first order, leave first. [molchanov2017pruning].

    The loss is cross-entropy to the labels, or without any to the network's own decisions.

    Example:
        >>> taylor().gradients
        True
    """
    order = FromData(represent.FeatureMaps(gradients=True), measure.taylor_sum, select.by_worth)
    paper = "Molchanov et al., Pruning convolutional neural networks for resource efficient inference, ICLR"
    summary = "filters whose maps change the loss least, to first order"
    return Method("taylor", summary, order, paper, 2017, "formula")


@published()
def thinet() -> Method:
    """Channels with the smallest joint contribution to the next layer leave first. [luo2017thinet].

    Example:
        >>> thinet().statistic
        'contributions to the next layer'
    """
    order = FromData(represent.Contributions(), measure.batch_sum, select.thinet)
    paper = "Luo et al., ThiNet: a filter level pruning method for deep neural network compression, ICCV"
    summary = "channels that together contribute least to the next layer"
    return Method("thinet", summary, order, paper, 2017, "formula")


@published()
def lasso() -> Method:
    """Channels that enter the LASSO path of the next layer's output last leave first. [he2017channel].

    Example:
        >>> lasso().paper[:9]
        'He et al.'
    """
    order = FromData(represent.Contributions(), measure.batch_sum, select.lasso)
    paper = "He et al., Channel pruning for accelerating very deep neural networks, ICCV"
    summary = "channels the LASSO needs last for the next layer's output"
    return Method("lasso", summary, order, paper, 2017, "code")


@published()
def moments() -> Method:
    """Backward elimination of channels by the exact rise of their consumers' least-squares error; our own.

    The selection minimises the error that the least-squares repair leaves.

    Example:
        >>> moments().surveys
        True
    """
    summary = "channels the consumers, refitted by least squares, miss least"
    return Method("moments", summary, FromSurvey(), "ours", 2026, "our own")
