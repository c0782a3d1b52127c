"""Run work in a process of its own: a crash, a signal and the time limit are results, too; and read peak memory."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import select
import signal
import time
import traceback
from pathlib import Path
from typing import Any


def apart(work: Any, limit: float, *args: Any) -> dict[str, Any]:
    """Run in a forked process, gather what it yields; a crash, a signal and the time limit are results, too."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        try:
            for found in work(*args):
                os.write(writer, json.dumps(found).encode() + b"\n")
        except BaseException as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            first = (str(error).strip() or "?").splitlines()[0][:200]
            found = {"error": f"{type(error).__name__}: {first} ({Path(place.filename).name}:{place.lineno})"}
            os.write(writer, json.dumps(found).encode() + b"\n")
        os._exit(0)
    os.close(writer)
    text, until, late = b"", time.monotonic() + limit, False
    while not late:
        ready, _, _ = select.select([reader], [], [], max(0.0, until - time.monotonic()))
        late = not ready
        part = os.read(reader, 65536) if ready else b""
        text += part
        if ready and not part:
            break
    if late:
        os.kill(pid, signal.SIGKILL)
    os.close(reader)
    os.waitpid(pid, 0)
    found = [json.loads(line) for line in text.splitlines()]
    if late:
        reason = f"took longer than {limit:.0f} s"
        found.append({"onnx": reason} if found else {"error": reason})
    return {key: value for part in found or [{"error": "the process died"}] for key, value in part.items()}


def reset_peak() -> int:
    """Forget the peak of resident memory so far; returns what is resident now, in bytes."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def peak() -> int:
    """The peak of resident memory since then, in bytes."""
    return _status("VmHWM")


def _status(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) * 1024
    return 0
