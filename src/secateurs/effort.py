"""How long a run may take."""

from __future__ import annotations

from typing import Literal, TypeAlias

Effort: TypeAlias = Literal["fast", "default", "best"]
"""How long damages and repairs may take; `compensate.pace` and `survey` say what each looks at."""
