"""The loss of fine-tuning: by labels, by a teacher's outputs, and by what is inside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch.nn.functional as F
from torch import Tensor


def label_loss(outputs: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    r"""Cross-entropy with labels, the mean over the samples.

    .. math:: -\frac1n \sum_i \sum_k \left((1 - s) y_{ik} + \frac s K\right) \log \mathrm{softmax}(z_i)_k

    Args:
        outputs: z, shape (n, K).
        labels: Classes (n,); or zeros and ones (n, K) where a sample may have several labels, for which the loss is
            binary, its mean over the classes, and $(1 - s) y + \frac s 2$ takes the place of y.
        smoothing: s, in [0, 1).

    Example:
        >>> import torch
        >>> round(float(label_loss(torch.zeros(2, 10), torch.tensor([3, 4]))), 4)  # log(10)
        2.3026
    """
    if labels.dim() == 2:
        target = (1 - smoothing) * labels.to(outputs.dtype) + smoothing / 2
        return F.binary_cross_entropy_with_logits(outputs, target)
    return F.cross_entropy(outputs, labels, label_smoothing=smoothing)


def mixed_label_loss(
    outputs: Tensor, labels: Tensor, others: Tensor, part: float, smoothing: float = 0.0
) -> Tensor:
    r"""Loss where inputs are $\lambda x + (1 - \lambda) x'$: $\lambda$ of that with y, the rest with y'.

    Both losses are linear in the labels, so this is the loss with mixed labels [zhang2018mixup].
    """
    first, second = (label_loss(outputs, each, smoothing) for each in (labels, others))
    return part * first + (1 - part) * second


def teacher_loss(outputs: Tensor, wanted: Tensor, temperature: float, several: bool) -> Tensor:
    r"""How far outputs are from a teacher's, the mean over the samples [hinton2015distilling].

    .. math:: \frac1n \sum_i \mathrm{KL}(\mathrm{softmax}(z_{i,0} / T)\,\|\,\mathrm{softmax}(z_i / T))

    Args:
        outputs: z, shape (n, K).
        wanted: $z_0$, shape (n, K).
        temperature: T.
        several: Whether a sample may have several labels: the divergence is then that of the sigmoids, its mean over
            the classes.

    Example:
        >>> import torch
        >>> z = torch.tensor([[1.0, -2.0]])
        >>> float(teacher_loss(z, z, 2.0, False)), float(teacher_loss(z, z, 2.0, True))
        (0.0, 0.0)
    """
    z, z0 = outputs / temperature, wanted / temperature
    if several:
        share = z0.sigmoid()
        return (
            share * (F.logsigmoid(z0) - F.logsigmoid(z))
            + (1 - share) * (F.logsigmoid(-z0) - F.logsigmoid(-z))
        ).mean()
    return F.kl_div(z.log_softmax(1), z0.log_softmax(1), reduction="batchmean", log_target=True)


def hint_loss(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], names: Sequence[str]) -> Tensor:
    r"""Mean over blocks of the squared error of what leaves them, relative to the teacher's variance.

    .. math:: \frac1B \sum_b \frac{\lVert f_b - f_{b,0} \rVert^2}{\lVert f_{b,0} - \bar f_{b,0} \rVert^2}

    Args:
        found: $f_b$ by name of the block, shape (n, ...).
        wanted: $f_{b,0}$; $\bar f_{b,0}$ is its mean over the samples.
        names: The blocks.

    Example:
        >>> import torch
        >>> wanted = {"a": torch.tensor([[1.0], [-1.0]])}
        >>> float(hint_loss({"a": torch.zeros(2, 1)}, wanted, ["a"]))
        1.0
    """
    total = found[names[0]].new_zeros(())
    for name in names:
        spread = (wanted[name] - wanted[name].mean(0)).square().sum().clamp_min(1e-12)
        total = total + (found[name] - wanted[name]).square().sum() / spread
    return total / len(names)
