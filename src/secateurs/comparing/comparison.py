"""What a comparison found: cells, their statistics, and the tables of them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from secateurs.comparing.records import SCHEMA, Scored
from secateurs.comparing.summary import Summary
from secateurs.comparing.tables import as_csv, as_latex, failures, tables


@dataclass(frozen=True, repr=False)
class Comparison:
    """Methods x budgets x repairs x seeds on one network and one data set; prints as tables.

    Attributes:
        original: The unpruned network, scored on the same samples.
        rows: One for every cell, those that failed with the reason.
        summaries: Means, deviations and paired differences over the seeds.
        against: The baselines.
        versions: Of what decides the numbers.
        machine: Where this was put together: processor, cores, system.
        date: When, in UTC.
        asked: What was asked, for the record.
        remarks: What is to be known about the network, the data and the rows, each sentence once.
    """

    original: Scored
    rows: tuple[Scored, ...]
    summaries: tuple[Summary, ...]
    against: tuple[str, ...]
    versions: Mapping[str, str] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=dict)
    date: str = ""
    asked: Mapping[str, Any] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    def table(self) -> str:
        """Accuracies and differences as aligned text, the reasons of what failed, and remarks."""
        head = "" if self.original.accuracy is None else f"unpruned: {100 * self.original.accuracy:.2f} %\n\n"
        body = "\n\n".join(str(each) for each in tables(self.summaries, self.against))
        return head + "\n".join([body, *failures(self.summaries), *self.remarks])

    def to_csv(self) -> str:
        """One line for each method, budget and repair; accuracies are shares of 1."""
        return as_csv(self.summaries, self.against)

    def to_latex(self) -> str:
        """The tables as `tabular`s for the package booktabs."""
        return as_latex(self.summaries, self.against)

    def to_json(self) -> str:
        """Everything, the text of result.json."""
        return json.dumps({"schema": SCHEMA, **dataclasses.asdict(self)}, indent=1, allow_nan=False) + "\n"

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        done = sum(row.reason is None for row in self.rows)
        return f"<Comparison of {len(self.summaries)} ways: {done} of {len(self.rows)} cells done>"
