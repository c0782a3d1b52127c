"""Prune a little, train a little, until the target is reached: the schedule of the papers' searches."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from secateurs.checks import check_whole
from secateurs.config import PruneConfig
from secateurs.contracts import Example, Loader, Progress
from secateurs.errors import InputError
from secateurs.pipeline import GroupReport, Result, prune
from secateurs.recover import Epoch, Tuned, tune_
from secateurs.recover.processes import fabric_on, processes
from secateurs.running.eval_mode import device_of
from secateurs.running.together import by_first, place
from secateurs.surgery import Plan, remove
from secateurs.tuning import TuneConfig

STEPPED = ("macs", "params", "keep")
"""Targets that can be approached step by step, for they are known before training."""


@dataclass(frozen=True)
class Stepped:
    """The smaller network of all steps together, and what came of the training after each."""

    result: Result
    tuned: tuple[Tuned, ...]


def prune_in_steps(
    model: nn.Module,
    example: Example,
    data: Loader,
    *,
    steps: int,
    config: PruneConfig,
    tune: TuneConfig,
    calibration: Loader | None = None,
    teacher: nn.Module | None = None,
    validation: Loader | None = None,
    before: Plan | None = None,
    to: str | Path | None = None,
    tensorboard: bool = False,
    each: Callable[[int, Epoch], Any] | None = None,
    progress: Progress | None = None,
) -> Stepped:
    r"""Prune to a target in several steps, with training after each; every removal is proven.

    After step k of N the share $s^{k / N}$ of the original stays, s being the target, so that every step takes the
    same part of what is left; the last reaches the target from below. After each but the last, `tune.step_epochs`
    epochs follow at the constant `tune.step_rate`, after the last all of `tune`. Under `torchrun` the first process
    prunes, all others get what it made, and all train it together.

    Args:
        model: The trained network; untouched.
        example: One input.
        data: What is trained on, as `recover.tune_` takes it.
        steps: N.
        config: Method, repair and target; `macs`, `params` or `keep`.
        tune: The training.
        calibration: What methods and repairs look at; None for `data`.
        teacher: The network that is learnt from, such as `model`; None for labels alone.
        validation: What decides which epoch of a training is kept; None for a share of `data`.
        before: What was removed from the teacher before, where `model` is a pruned network and the teacher is the
            network that it was pruned from; hints are compared in the channels that stayed of both.
        to: A folder for checkpoints. A run that was stopped prunes anew, which gives the same, and goes on in the
            training that it was in.
        tensorboard: Write logs for TensorBoard there too.
        each: Told of every step and epoch.
        progress: Told of long stages.

    Returns:
        The network with a plan from the original, and the trainings.

    Raises:
        InputError: Another target, or none; as `prune` and `tune_`.
        SecateursError: As `prune` and `tune_`.

    Example:
        >>> from secateurs.data import resolve_data
        >>> from secateurs.zoo.digits import trained_digits_cnn
        >>> import torch
        >>> ask, train = PruneConfig(method="l1-norm", macs=0.5), TuneConfig(epochs=1)
        >>> digits, net = resolve_data("digits").train, trained_digits_cnn()
        >>> made = prune_in_steps(net, torch.zeros(1, 1, 8, 8), digits, steps=2, config=ask, tune=train).result
        >>> made.after.macs <= 0.5 * made.before.macs, len(made.plan.steps)
        (True, 2)
    """
    check_whole("steps", steps)
    tune.check()
    goal = next((name for name in STEPPED if getattr(config, name) is not None), None)
    if goal is None:
        raise InputError(
            f"steps need a target that can be approached; give {', '.join(STEPPED[:-1])} or {STEPPED[-1]}."
        )
    target = getattr(config, goal)
    if isinstance(target, str) or not 0 < target <= 1:
        raise InputError(f"{goal} is {target!r}; steps approach a share of the original: give one in (0, 1].")
    if processes()[1] > 1:
        fabric_on(device_of(model), tune.precision)  # has the processes find each other
    made: Result | None = None
    tuned: list[Tuned] = []
    for step in range(1, steps + 1):
        stays = 1.0 if made is None else _size(made, goal)
        asked = config.changed(**{goal: min(1.0, target ** (step / steps) / stays)})
        network = model if made is None else made.model
        looked_at = data if calibration is None else calibration
        found = _by_first(
            network, asked, partial(prune, network, example, config=asked, data=looked_at, progress=progress)
        )
        made = found if made is None else joined(made, found)
        tuned.append(
            tune_(
                made.model,
                data,
                teacher=teacher,
                validation=validation,
                plan=made.plan if before is None else before.then(made.plan),
                config=tune if step == steps else _between(tune),
                to=None if to is None else Path(to) / f"step-{step}",
                tensorboard=tensorboard,
                each=None if each is None else _told(each, step),
                progress=progress,
            )
        )
    assert made is not None
    return Stepped(dataclasses.replace(made, target={goal: target}, config=config), tuple(tuned))


def _by_first(network: nn.Module, config: PruneConfig, pruned: Callable[[], Result]) -> Result:
    """What the first of all processes makes of a network; the others repeat its plan and take its weights."""
    rank, world = place()
    if world == 1:
        return pruned()
    mine: list[Result] = []

    def sent() -> tuple[Result, dict[str, Tensor]]:
        mine.append(pruned())
        state = {name: tensor.detach().cpu() for name, tensor in mine[0].model.state_dict().items()}
        return dataclasses.replace(mine[0], model=nn.Identity(), config=PruneConfig()), state

    told, state = by_first(sent)
    if rank == 0:
        return mine[0]
    small = remove(network, told.plan)
    small.load_state_dict(state)
    return dataclasses.replace(told, model=small, config=config)


def _told(each: Callable[[int, Epoch], Any], step: int) -> Callable[[Epoch], Any]:
    return lambda epoch: each(step, epoch)


def _between(tune: TuneConfig) -> TuneConfig:
    """The training after a step that is not the last."""
    rate = tune.learning_rate / 10 if tune.step_rate is None else tune.step_rate
    return tune.changed(
        epochs=tune.step_epochs, learning_rate=rate, schedule="constant", warmup=0.0, patience=None
    )


def _size(made: Result, goal: str) -> float:
    """Share of the original that has stayed so far."""
    if goal == "keep":
        free = [group for group in made.groups if group.status != "locked"]
        return sum(g.kept for g in free) / max(1, sum(g.size for g in free))
    return float(getattr(made.after, goal) / max(1, getattr(made.before, goal)))


def joined(first: Result, second: Result) -> Result:
    """Two prunings, one after the other, as one of the first network: sizes of the first, what stayed of the second.

    Args:
        first: The pruning of the original.
        second: That of its result.
    """
    now = {group.name: group for group in second.groups}
    groups = tuple(_both(group, now.get(group.name)) for group in first.groups)
    seconds = {
        name: first.seconds.get(name, 0.0) + second.seconds.get(name, 0.0)
        for name in dict.fromkeys((*first.seconds, *second.seconds))
    }
    return dataclasses.replace(
        second,
        plan=first.plan.then(second.plan),
        before=first.before,
        groups=groups,
        seconds=seconds,
        remarks=tuple(dict.fromkeys((*first.remarks, *second.remarks))),
    )


def _both(before: GroupReport, after: GroupReport | None) -> GroupReport:
    if after is None or before.status == "locked":
        return before
    status = "pruned" if after.kept < before.size else before.status
    return dataclasses.replace(before, kept=after.kept, status=status)
