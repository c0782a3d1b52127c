"""A whole run with training: tune what a folder holds, or prune a network in steps and tune it, on record."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from secateurs.config import PruneConfig
from secateurs.contracts import Progress
from secateurs.data import DataSource
from secateurs.errors import InputError
from secateurs.meters.accuracy import evaluate
from secateurs.meters.named import NAMED, metric_of
from secateurs.recover import Epoch, Tuned, tune_
from secateurs.report.record import Record
from secateurs.runs.run import ON_TEST, Run, recorded
from secateurs.runs.source import Source, open_source
from secateurs.stepping import prune_in_steps
from secateurs.tuning import TuneConfig

_UNDATED = re.compile(rf"(\S+) {re.escape(ON_TEST)} .* before, .* after\.")
_TRAINED = "After training: "


@dataclass(frozen=True)
class Training:
    """What a run trains with, and where it writes.

    Attributes:
        data: Training and test part; accuracy of the record is of the whole test part, which decides nothing.
        config: The settings.
        teacher: The original, or None.
        to: The folder of checkpoints.
        tensorboard: Whether logs for TensorBoard are written.
        each: Told of every step of pruning (1 where there is one) and epoch.
        progress: Told of long stages.
    """

    data: DataSource
    config: TuneConfig
    teacher: nn.Module | None
    to: Path
    tensorboard: bool = False
    each: Callable[[int, Epoch], Any] | None = None
    progress: Progress | None = None

    def parts(self) -> tuple[Any, Any]:
        """What is trained on, and what decides which epoch is kept."""
        if self.config.held_out > 0:
            return self.data.validation(self.config.held_out)
        return self.data.train, None


def tuned(source: Source, record: Record, training: Training) -> Callable[[], Run]:
    """Train the network of an output folder in place; what comes back measures it and makes the record.

    Args:
        source: The network of the folder.
        record: The folder's result.json.
        training: The training.
    """
    train, validation = training.parts()
    each = training.each
    found = tune_(
        source.model,
        train,
        teacher=training.teacher,
        validation=validation,
        plan=source.plan,
        config=training.config,
        to=training.to,
        tensorboard=training.tensorboard,
        each=None if each is None else lambda epoch: each(1, epoch),
        progress=training.progress,
    )

    def measured() -> Run:
        assert source.plan is not None
        score = evaluate(source.model, training.data.test, progress=training.progress)
        after = dataclasses.replace(
            record.after, accuracy=score.value, accuracy_error=score.standard_error, samples=score.total
        )
        remarks = _by_metrics(source.model, record.remarks, training)
        changed = dataclasses.replace(record, after=after, remarks=remarks)
        return Run(source.model, source.plan, with_tuning(changed, [found]))

    return measured


def pruned_and_tuned(
    source: Source,
    asked: PruneConfig,
    steps: int,
    training: Training,
    *,
    data_spec: str,
    command: Mapping[str, Any],
) -> Callable[[], Run]:
    """Prune a network in steps with training after each; what comes back measures it and makes the record.

    Args:
        source: The network; untouched.
        asked: Method and target.
        steps: How many.
        training: The training.
        data_spec: How the user named the data, for the record.
        command: What was asked, for the record.
    """
    train, validation = training.parts()
    found = prune_in_steps(
        source.model,
        source.example(asked.seed),
        train,
        steps=steps,
        config=asked,
        tune=training.config,
        calibration=training.data.calibration(asked.calibrate, asked.seed),
        teacher=training.teacher,
        validation=validation,
        before=source.plan,
        to=training.to,
        tensorboard=training.tensorboard,
        each=training.each,
        progress=training.progress,
    )

    def measured() -> Run:
        run = recorded(
            source,
            training.data,
            asked,
            found.result,
            data_spec=data_spec,
            asked=command,
            progress=training.progress,
        )
        return dataclasses.replace(run, record=with_tuning(run.record, found.tuned))

    return measured


def with_tuning(record: Record, several: Sequence[Tuned]) -> Record:
    """A record with trainings added to those that it tells of."""
    told = tuple(
        {
            "settings": dict(one.settings),
            "best": one.best,
            "epochs": [dataclasses.asdict(epoch) for epoch in one.epochs],
        }
        for one in several
    )
    seconds = sum(epoch.seconds for one in several for epoch in one.epochs)
    remarks = dict.fromkeys((*record.remarks, *(remark for one in several for remark in one.remarks)))
    return dataclasses.replace(
        record,
        tuned=(*record.tuned, *told),
        seconds={**record.seconds, "tune": round(record.seconds.get("tune", 0.0) + seconds, 3)},
        remarks=tuple(remarks),
    )


def _by_metrics(model: nn.Module, remarks: Sequence[str], training: Training) -> tuple[str, ...]:
    """Remarks in which what another metric was before the training says so, and what it is now is added.

    A metric is measured again where it has a name of ours, or is the one that this training was given.
    """
    kept = [one for one in remarks if not one.startswith(_TRAINED)]
    dated = [f"Before training: {one}" if _UNDATED.fullmatch(one) else one for one in kept]
    before = [found[1] for one in remarks if (found := re.match(rf"(?:{_TRAINED})?(\S+) {ON_TEST}", one))]
    chosen = [training.config.metric, *(name for name in before if name in NAMED)]
    metrics = dict.fromkeys(metric for one in chosen if (metric := metric_of(one)) is not None)
    scores = [evaluate(model, training.data.test, metric=metric) for metric in metrics]
    return (*dated, *(f"{_TRAINED}{score.metric} {ON_TEST} {score}." for score in scores))


def original_of(source: Source, record: Record, weights: Path | None, folder: str) -> nn.Module:
    """The network that a folder's was pruned from, with its weights.

    Args:
        source: The folder's network.
        record: The folder's result.json.
        weights: The original's file; None for the one on record.
        folder: The folder, for the message.

    Raises:
        InputError: Nobody knows the weights, or the file is not there.
    """
    noted = (record.asked or {}).get("weights")
    named_again = (record.asked or {}).get("model") == record.model
    file = weights if weights is not None else Path(noted) if noted and named_again else None
    if file is None and not _trained_by_itself(source.spec):
        raise InputError(
            f"{folder}: its result.json does not say where the weights of the original {source.spec} are; give them as "
            "--weights F, or train without --teacher original"
        )
    if file is not None and not file.is_file():
        raise InputError(
            f"{file}: the weights of the original {source.spec} are not there any more; give them as --weights F, or "
            "train without --teacher original"
        )
    return open_source(source.spec, weights=file).model


def _trained_by_itself(spec: str) -> bool:
    return open_source(spec).trained
