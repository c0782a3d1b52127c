"""torch.export without its log, one thread at a time: it is not made for several."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_ONE = threading.RLock()
_TALKATIVE = (
    "torch.export",
    "torch.export._trace",
    "torch._dynamo",
    "torch.fx.experimental.symbolic_shapes",
    "torch._export.non_strict_utils",
    "torch.onnx",
    "torch.onnx._internal.exporter._registration",  # operators of packages that are not there
)


@contextmanager
def quiet() -> Iterator[None]:
    """Leave out what PyTorch logs in this thread while it exports; levels, and other threads, are as they were.

    Example:
        >>> with quiet():
        ...     logging.getLogger("torch.export").warning("not shown")
    """
    here = threading.get_ident()
    loggers = [logging.getLogger(name) for name in _TALKATIVE]

    def elsewhere(record: logging.LogRecord) -> bool:
        return record.thread != here

    with _ONE:
        for logger in loggers:
            logger.addFilter(elsewhere)
        try:
            yield
        finally:
            for logger in loggers:
                logger.removeFilter(elsewhere)
