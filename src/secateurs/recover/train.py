"""Plain supervised training, enough for small networks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from secateurs.contracts import Progress
from secateurs.errors import InputError


def train_(
    model: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    *,
    epochs: int,
    batch: int = 64,
    learning_rate: float = 0.01,
    seed: int = 0,
    progress: Progress | None = None,
) -> None:
    r"""Train a classifier in place: cross-entropy, AdamW, the learning rate in one cycle.

    The learning rate of the steps follows a one-cycle schedule, which rises to `learning_rate` and falls to
    almost nothing, so that the last weights are the ones to keep. The model is left in evaluation mode.

    Args:
        model: Filled in place, on the device where it is.
        inputs: Shape (n, ...), held in memory.
        labels: Class indices, shape (n,).
        epochs: Passes over the data.
        batch: Samples a step; at most n.
        learning_rate: The largest one.
        seed: Of the order of the samples.
        progress: Told of every epoch.

    Raises:
        InputError: Inputs and labels are not equally many, or there are none.

    Example:
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
        >>> x = torch.randn(64, 1, 2, 2, generator=torch.Generator().manual_seed(0))
        >>> y = (x.sum((1, 2, 3)) > 0).long()
        >>> train_(net, x, y, epochs=30, learning_rate=0.1)
        >>> bool((net(x).argmax(1) == y).float().mean() > 0.95)
        True
    """
    count = len(inputs)
    if count == 0 or count != len(labels) or epochs < 1:
        raise InputError(
            f"training needs as many inputs as labels, at least one, and an epoch; got {count} inputs, "
            f"{len(labels)} labels and {epochs} epochs"
        )
    device = next(model.parameters()).device
    batch = min(batch, count)
    steps = epochs * (count // batch)
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps)
    generator = torch.Generator().manual_seed(seed)
    model.train()
    for epoch in range(epochs):
        order = torch.randperm(count, generator=generator)
        # An incomplete last batch could hold one sample, on which batch norm has no variance.
        for chosen in order[: count // batch * batch].view(-1, batch):
            loss = nn.functional.cross_entropy(model(inputs[chosen].to(device)), labels[chosen].to(device))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
        if progress is not None:
            progress("training", epoch + 1, epochs)
    model.eval()
