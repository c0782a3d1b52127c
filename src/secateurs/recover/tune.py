"""tune_(): fine-tuning of a network, with or without a teacher, on one process or many: the training on one page."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from secateurs.checks import check_callable, check_kind, check_model
from secateurs.contracts import Loader, Progress
from secateurs.errors import InputError, RunError
from secateurs.meters.accuracy import evaluate
from secateurs.meters.named import metric_of
from secateurs.recover.checkpoints import State, copied
from secateurs.recover.feeding import Feed, feed_of
from secateurs.recover.hints import Watched, comparable, watched
from secateurs.recover.key import key_of
from secateurs.recover.objective import Objective
from secateurs.recover.processes import fabric_on, is_lost, is_of_compiler
from secateurs.recover.progress import Epoch, Tuned
from secateurs.recover.rates import rate
from secateurs.recover.written import Written
from secateurs.running.copies import copy_model
from secateurs.running.eval_mode import device_of, evaluation
from secateurs.surgery.plan import Plan
from secateurs.tuning import TuneConfig

LOOKED_AT = 20
"""Steps after which the loss is looked at, for which an accelerator has to be waited for."""


def tune_(
    model: nn.Module,
    data: Loader,
    *,
    teacher: nn.Module | None = None,
    validation: Loader | None = None,
    plan: Plan | None = None,
    config: TuneConfig | None = None,
    to: str | Path | None = None,
    tensorboard: bool = False,
    each: Callable[[Epoch], Any] | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> Tuned:
    """Train a network in place, by labels, by a teacher, or by both, and keep its best epoch.

    Under `torchrun` all processes train one network: each takes its part of every batch, and gradients are averaged.
    Batch norms see their own process's part, and have the first process's statistics at the end of every epoch.

    Args:
        model: Trained where it lies; left in the mode that it was in, with the weights of the best epoch of the
            validation part, or of the last where there is none.
        data: Tensors (x, y), a map-style Dataset, or a loader with a length, which is then read in its own batches;
            labels are classes (b,), or zeros and ones (b, classes) where a sample may have several.
        teacher: The original, such as `prune` was given; untouched.
        validation: What decides which epoch is kept; None for a share of `data`, which a loader cannot be asked for.
        plan: What was removed from the teacher, for `hints` in blocks with fewer channels.
        config: Settings to begin with.
        to: A folder for a checkpoint and a log after every epoch. Where it holds those of the same training, that goes
            on, to the same end; one of other settings, weights or data is refused (see `recover.key`).
        tensorboard: Write logs for TensorBoard to that folder as well.
        each: Told of every epoch.
        progress: Told of every step.
        **settings: Of a `TuneConfig`, by name, instead of the config's.

    Raises:
        InputError: Bad arguments; no labels, or labels that do not fit; Lightning Fabric is missing.
        RunError: The loss is no number any more, the disk is full, or another process is lost. The network is left
            with the weights of the best epoch so far.

    Example:
        >>> from secateurs.data import resolve_data
        >>> from secateurs.zoo.digits import trained_digits_cnn
        >>> net, digits = trained_digits_cnn(), resolve_data("digits")
        >>> tune_(net, digits.train, teacher=trained_digits_cnn(), epochs=1, learning_rate=1e-3).best
        1

    Cost:
        Forward and backward of every sample an epoch, and a forward pass of the teacher; two copies of the weights.
    """
    asked = _asked(model, teacher, plan, config, settings)
    device = device_of(model)
    fabric = fabric_on(device, asked.precision)
    modes = {module: module.training for module in model.modules()}
    spare = [fabric.device] if fabric.device.type == "cuda" else []
    with torch.random.fork_rng(devices=spare), warnings.catch_warnings(), ExitStack() as stack:
        warnings.filterwarnings("ignore", message="Grad strides do not match")  # of 1x1 and depthwise weights
        feed = feed_of(data, validation, asked, fabric.device, _least(model, asked))
        training = _begun(fabric, model, feed, teacher, plan, asked, stack)
        logs = Written(None if to is None else Path(to), tensorboard and fabric.global_rank == 0)
        stack.callback(logs.close)
        key = "" if to is None else key_of(model, teacher, data, validation, feed.steps, asked)
        try:
            return training.run(logs, key, each, progress)
        finally:
            _lay_out(model, torch.contiguous_format)
            for module, mode in modes.items():
                module.training = mode


def _asked(
    model: Any, teacher: Any, plan: Any, config: TuneConfig | None, settings: Mapping[str, Any]
) -> TuneConfig:
    """The settings of a call, checked before anything is run."""
    check_model(model)
    if teacher is not None:
        check_model(teacher, "teacher")
    if plan is not None:
        check_kind("plan", plan, Plan, "the plan of the result")
    if config is not None:
        check_kind("config", config, TuneConfig, "a secateurs.tuning.TuneConfig")
    asked = (config or TuneConfig()).changed(**settings)
    asked.check()
    if teacher is None and (asked.hints > 0 or asked.distil or not asked.labels):
        raise InputError(
            "teacher is missing: hints, distil, or labels at 0 train by a teacher; give the original network."
        )
    return asked


def _optimizer(model: nn.Module, config: TuneConfig) -> torch.optim.Optimizer:
    parameters = [p for p in model.parameters() if p.requires_grad]
    if not parameters:
        raise InputError("model: no parameter of it asks for a gradient; there is nothing to train.")
    if config.optimizer == "sgd":
        return torch.optim.SGD(
            parameters, lr=config.learning_rate, momentum=config.momentum, weight_decay=config.weight_decay
        )
    kind = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
    return kind(parameters, lr=config.learning_rate, weight_decay=config.weight_decay)


def _begun(
    fabric: Any,
    model: nn.Module,
    feed: Feed,
    teacher: nn.Module | None,
    plan: Plan | None,
    config: TuneConfig,
    stack: ExitStack,
) -> _Training:
    """A training before its first step."""
    original = None if teacher is None else copy_model(teacher).to(fabric.device).eval()
    layout = torch.channels_last if config.channels_last else torch.contiguous_format
    model.to(fabric.device)
    _lay_out(model, layout)
    if original is not None:
        _lay_out(original, layout)
    _check_takes(model, feed)
    places: Mapping[str, Tensor | None] = {}
    inside = Watched(), Watched()
    if original is not None and config.hints > 0:
        places = comparable(model, original, feed.sample(), plan)
        inside = (
            stack.enter_context(watched(model, places)),
            stack.enter_context(watched(original, places)),
        )
    run = torch.compile(model) if config.compile else model
    wrapped, optimizer = fabric.setup(run, _optimizer(model, config), move_to_device=False)
    objective = Objective(config, feed, original, places, inside, fabric.autocast)
    return _Training(fabric, model, wrapped, optimizer, objective, feed, config)


@dataclass(eq=False)
class _Training:
    """A training under way."""

    fabric: Any
    model: nn.Module
    run_: Any
    optimizer: Any
    objective: Objective
    feed: Feed
    config: TuneConfig
    epochs: tuple[Epoch, ...] = ()
    best: int = 0
    kept: dict[str, Tensor] = field(default_factory=dict)

    def run(
        self,
        logs: Written,
        key: str,
        each: Callable[[Epoch], Any] | None,
        progress: Progress | None,
    ) -> Tuned:
        """All epochs that are left."""
        if each is not None:
            check_callable("each", each, "a function of an epoch")
        self.kept = copied(self.model)
        self._resume(logs, key)
        remarks = self.feed.remarks
        try:
            while len(self.epochs) < self.config.epochs and not self._patience_is_over():
                epoch = self._epoch(len(self.epochs), progress)
                self._judged(epoch)
                if self.fabric.global_rank == 0:
                    logs.write(self._state(), key)
                self.fabric.barrier()
                if each is not None and self.fabric.global_rank == 0:
                    each(epoch)
        except RuntimeError as problem:
            if is_lost(problem):
                raise RunError(self._lost(logs, problem)) from problem
            if is_of_compiler(problem):
                raise RunError(
                    f"torch.compile cannot run this network here ({_first_line(problem)}): leave --compile out"
                ) from problem
            raise
        finally:
            self._restore(self.kept)
        if self._patience_is_over() and len(self.epochs) < self.config.epochs:
            remarks = (
                *remarks,
                f"stopped after {len(self.epochs)} epochs: {self.config.patience} without a better one",
            )
        return Tuned(self.epochs, self.best, self.config.told(), remarks)

    def _resume(self, logs: Written, key: str) -> None:
        """Go on from a checkpoint, where there is one."""
        found = logs.read(key)
        if found is None:
            return
        self._restore(found.model)
        self.kept = {name: x.to(self.fabric.device) for name, x in found.kept.items()}
        self.epochs, self.best = found.epochs, found.best
        self.optimizer.load_state_dict(dict(found.optimizer))
        if found.scaler:
            self.fabric.strategy.precision.load_state_dict(dict(found.scaler))

    def _restore(self, state: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            self.model.load_state_dict(state)

    def _state(self) -> State:
        scaler = dict(self.fabric.strategy.precision.state_dict())
        return State(
            self.epochs,
            self.best,
            self.model.state_dict(),
            self.kept,
            self.optimizer.optimizer.state_dict(),
            scaler,
        )

    def _patience_is_over(self) -> bool:
        return self.config.patience is not None and len(self.epochs) - self.best >= self.config.patience

    def _epoch(self, number: int, progress: Progress | None) -> Epoch:
        """Train on everything once; the epoch in numbers."""
        start = time.perf_counter()
        rank, config = self.fabric.global_rank, self.config
        torch.manual_seed(drawn_from(config.seed, number, rank))
        self.model.train()
        if config.freeze_norms:
            _freeze_norms(self.model)
        total, seen, share = torch.zeros((), device=self.fabric.device), 0, 1.0
        for step, mine in enumerate(self.feed.epoch(number, self._part())):
            place = number * self.feed.steps + step
            share = rate(place, self.feed.steps, config)
            for group in self.optimizer.param_groups:
                group["lr"] = config.learning_rate * share
            loss = self.objective(self.run_, mine.inputs, mine.labels, (number, step))
            self.fabric.backward(loss if mine.weight == 1 else mine.weight * loss)
            self.optimizer.step()
            self.optimizer.zero_grad()
            total, seen = total + loss.detach() * mine.count, seen + mine.count
            if step % LOOKED_AT == 0 or self.fabric.device.type == "cpu":
                self._check(total, number, step)
            if progress is not None and rank == 0:
                progress("tune", place + 1, config.epochs * self.feed.steps)
        self._check(total, number, self.feed.steps - 1)
        self._share_buffers()
        sums = self.fabric.all_reduce(torch.stack([total, total.new_tensor(seen)]), reduce_op="sum")
        accuracy, loss_there = self._validated()
        mean = float(sums[0] / sums[1].clamp_min(1))
        seconds = time.perf_counter() - start
        return Epoch(number + 1, mean, config.learning_rate * share, accuracy, loss_there, seconds)

    def _part(self) -> tuple[int, int]:
        return self.fabric.global_rank, self.fabric.world_size

    def _check(self, total: Tensor, number: int, step: int) -> None:
        if not math.isfinite(float(total)):
            kept = f"epoch {self.best}" if self.best else "the beginning"
            raise RunError(
                f"the loss is no number any more at step {step + 1} of epoch {number + 1}; the network has the "
                f"weights of {kept}: give a smaller --learning-rate or a longer --warmup"
            )

    def _share_buffers(self) -> None:
        """Give all processes the first one's running statistics: batch norms have seen their own parts only."""
        if self.fabric.world_size > 1:
            for buffer in self.model.buffers():
                torch.distributed.broadcast(buffer, src=0)

    def _validated(self) -> tuple[float | None, float | None]:
        """Accuracy, or the metric, and loss of the validation part, the same in all processes."""
        if self.feed.validation is None:
            return None, None
        found = evaluate(
            self.model, self.feed.validation, metric=self.config.metric, processes=self.fabric.world_size > 1
        )
        return found.value, found.loss

    def _judged(self, epoch: Epoch) -> None:
        """Add an epoch, and keep its weights where it is the best so far."""
        best = self.epochs[self.best - 1] if self.best else None
        self.epochs = (*self.epochs, epoch)
        metric = metric_of(self.config.metric)
        sign = -1.0 if getattr(metric, "loss", False) else 1.0
        if best is None or epoch.accuracy is None or best.accuracy is None:
            better = True
        else:
            ours = (sign * epoch.accuracy, -(epoch.validation_loss or 0.0))
            better = ours > (sign * best.accuracy, -(best.validation_loss or 0.0))
        if better:
            self.best, self.kept = epoch.number, copied(self.model)

    def _lost(self, logs: Written, problem: Exception) -> str:
        first = _first_line(problem)
        where = f"; the checkpoint of epoch {len(self.epochs)} is in {logs.folder}" if logs.folder else ""
        return f"another process was lost in epoch {len(self.epochs) + 1} ({first}){where}: run the same command again"


def _first_line(problem: Exception) -> str:
    return (str(problem).strip() or type(problem).__name__).splitlines()[0][:160]


def _check_takes(model: nn.Module, feed: Feed) -> None:
    """Make sure that a network takes the inputs of the data, before anything long is begun."""
    inputs = feed.sample()
    try:
        with evaluation(model), torch.no_grad():
            feed.answer(model, inputs)
    except RuntimeError as error:
        shapes = ", ".join(str(tuple(x.shape)) for x in inputs)
        raise InputError(
            f"The network {type(model).__name__} does not take the data's inputs (shapes {shapes}): {error}"
        ) from error


def drawn_from(*numbers: int) -> int:
    """A seed from several numbers, which does not repeat where they differ.

    Example:
        >>> drawn_from(0, 1) != drawn_from(1, 0)
        True
    """
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def _least(model: nn.Module, config: TuneConfig) -> int:
    """Samples of a process's part of a batch at least: batch norm has no variance of one."""
    norms = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())
    return 2 if norms and not config.freeze_norms else 1


def _lay_out(model: Any, layout: torch.memory_format) -> None:
    model.to(memory_format=layout)  # an argument that the types of torch do not know of


def _freeze_norms(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
