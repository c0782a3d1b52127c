"""What a command did, and what a mistake has to look like."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    status: int
    out: str
    err: str


def mistake(outcome: Outcome, status: int, *words: str) -> None:
    """One sentence on the standard error, nothing on the standard output, and the right exit status."""
    assert outcome.status == status, outcome
    lines = [line for line in outcome.err.splitlines() if line.strip()]
    assert lines, outcome
    assert lines[-1].startswith("secateurs: "), outcome.err
    assert "Traceback" not in outcome.err
    for word in words:
        assert word in lines[-1], (word, lines[-1])
