"""result.json comes back as it was written, and the page says what is in it."""

import dataclasses
import json
from html.parser import HTMLParser
from pathlib import Path

import pytest

from secateurs.errors import InputError
from secateurs.pipeline import GroupReport
from secateurs.report.page import page
from secateurs.report.record import Measures, Record, Timing
from secateurs.surgery import Verification
from secateurs.targets import Budgeted

BEFORE = Measures(1000, 8000, 0.9339, 0.0025, 10000, 11.25, 0.5, {"aten.add": 3})
AFTER = Measures(600, 4000, 0.9, 0.003, 10000, 8.5, 0.25, {"aten.add": 3})
GROUPS = (
    GroupReport("layer1.0.conv1", 16, 8, "pruned", None, 500, 4000),
    GroupReport("stem", 16, 16, "locked", "view at <net.py>:41 fixes the width", 432, 3000),
)
RECORD = Record(
    model="resnet56",
    input_shape=(1, 3, 32, 32),
    data="cifar10:PATH",
    normalisation={"mean": [0.5], "std": [0.25]},
    method="l1-norm",
    allocate="uniform",
    compensate="none",
    recalibrated=False,
    target={"macs": 0.5},
    before=BEFORE,
    after=AFTER,
    original=BEFORE,
    latency=Timing(1, 10, 50, "cpu", 2),
    verification=Verification(True, 1e-15, 1e-9, "float64", ("example", "random")),
    groups=GROUPS,
    seconds={"trace": 0.5},
    seed=0,
    versions={"secateurs": "0.1.0"},
)


class Reader(HTMLParser):
    """The text of a page, its tags and everything that it would load."""

    def __init__(self):
        super().__init__()
        self.text, self.open, self.loads = "", [], []

    def handle_starttag(self, tag, attributes):
        self.loads += [value for name, value in attributes if name in ("src", "href", "data")]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, "tags are closed in order"

    def handle_data(self, data):
        self.text += data


def read(record: Record) -> Reader:
    reader = Reader()
    reader.feed(page(record))
    assert not reader.open
    return reader


def test_a_record_comes_back_from_json():
    assert Record.from_json(RECORD.to_json(), "result.json") == RECORD


def test_json_has_the_keys_that_others_rely_on():
    raw = json.loads(RECORD.to_json())
    assert set(raw) >= {
        "method",
        "target",
        "before",
        "after",
        "verification",
        "groups",
        "seconds",
        "seed",
        "versions",
    }
    assert set(raw["before"]) >= {"params", "macs", "accuracy", "latency_ms"}
    assert set(raw["verification"]) >= {"passed", "max_rel_diff"}
    assert set(raw["groups"][0]) >= {"name", "size", "kept", "status", "reason", "macs"}


def test_the_page_says_every_number_and_every_reason_and_loads_nothing():
    reader = read(RECORD)
    assert reader.loads == []
    assert "url(" not in page(RECORD)
    assert "@import" not in page(RECORD)
    for words in (
        "50.0 %",
        "60.0 %",
        "8,000 → 4,000",
        "90.00 %",
        "−3.39 points",
        "8.50 ms",
        "1.0e-15",
        "8 of 16",
        "view at <net.py>:41 fixes the width",
        "1 pruned, 0 left whole, 1 locked (3,000 MACs in locked groups)",
        "10 runs of warm-up, 2 threads",
        "aten.add (3)",
    ):
        assert words in reader.text, words


def test_the_page_says_what_came_of_every_budget_and_of_peak_memory():
    found = dataclasses.replace(
        RECORD,
        before=dataclasses.replace(BEFORE, peak_elements=5000),
        after=dataclasses.replace(AFTER, peak_elements=1250),
        budgets=(Budgeted("macs", 4500, 8000, 4000), Budgeted("size:int8", 500, 1000, 600)),
        budget="dcase2025:int8",
    )
    text = read(found).text
    for words in (
        "MACs8,0004,0004,500within",
        "bytes of parameters at int81,000600500too much",
        "dcase2025:int8: not legal",
        "25.0 %20,000 → 5,000 B",
        "20,000 B before and 5,000 B after at fp32, 5,000 B before and 1,250 B after at int8",
    ):
        assert words in text, words
    assert 'style="width:88.9%"' in page(found)
    assert 'style="width:100.0%"' in page(found)  # of what is over, not more
    assert "Budgets" not in read(RECORD).text
    assert "peak" not in read(RECORD).text


def test_the_page_is_honest_without_data_and_without_proof():
    bare = dataclasses.replace(
        RECORD,
        before=Measures(1000, 8000),
        after=Measures(600, 4000),
        latency=None,
        verification=Verification(False, 0.5, 1e-9, "float64", ("example",)),
        target={},
    )
    text = read(bare).text
    assert "not measured: no data was given" in text
    assert "NOT proved" in text
    assert "the method's own rule decides" in text


def test_a_second_pruning_names_the_first_original():
    first = Measures(2000, 16000)
    assert "25.0 % of the MACs" in read(dataclasses.replace(RECORD, original=first)).text
    assert "first original" not in read(RECORD).text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "holds no object"),
        ('{"schema": 99}', "version 99"),
        ('{"schema": 1, "model": "x"}', "is not a result"),
        ('{"schema": true}', "lacks|schema is True"),
        ('{"schema": 1, "model": "x", "input_shape": "1,3"}', "input_shape is '1,3'"),
        ("[" * 99_999, "nested too deeply"),
    ],
)
def test_a_damaged_record_names_its_file(tmp_path: Path, text: str, words: str):
    (tmp_path / "result.json").write_text(text)
    with pytest.raises(InputError, match=words) as caught:
        Record.read(tmp_path)
    assert "result.json" in str(caught.value)
    with pytest.raises(InputError, match="cannot be read"):
        Record.read(tmp_path / "no")
