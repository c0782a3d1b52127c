"""What a training writes after every epoch: a checkpoint, a table, and logs for TensorBoard."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from secateurs.errors import InputError
from secateurs.recover import checkpoints
from secateurs.recover.checkpoints import State

BOARD = "tensorboard"


@dataclass(eq=False)
class Written:
    """The folder of a training; without one nothing is written."""

    folder: Path | None
    board: bool = False
    _writer: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.board and self.folder is None:
            raise InputError("tensorboard: its logs need a folder; give `to`.")
        if self.board:
            _summary_writer()

    def read(self, key: str) -> State | None:
        """The checkpoint of the same training, where there is one."""
        return None if self.folder is None else checkpoints.read(self.folder, key)

    def write(self, state: State, key: str) -> None:
        """Write the state after an epoch.

        Raises:
            RunError: The disk is full, or the folder cannot be written to.
        """
        if self.folder is None:
            return
        checkpoints.write(self.folder, state, key)
        if self.board:
            epoch = state.epochs[-1]
            if not self._writer:
                self._writer.append(_summary_writer()(str(self.folder / BOARD), purge_step=epoch.number))
            for name in ("loss", "rate", "accuracy", "validation_loss"):
                if getattr(epoch, name) is not None:
                    self._writer[0].add_scalar(name, getattr(epoch, name), epoch.number)
            self._writer[0].flush()

    def close(self) -> None:
        """End the logs."""
        for writer in self._writer:
            writer.close()


def _summary_writer() -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise InputError("tensorboard: it is not installed: pip install tensorboard.") from error
    return SummaryWriter
