"""scripts/house counts what it says, on a small tree whose counts are known."""

from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "house"
CODE = '''
"""hardtanh: said, not listed."""
from dataclasses import dataclass
from typing import Any

LISTED = "relu hardtanh"

@dataclass
class Settings:
    round_to: int = 1

    def used(self, a, b, c, d, e) -> Any:
        return LISTED

def wide(a, b, c, d, e, *, round_to: "Any" = 1):
    """Three
    lines
    """
    return f"{Settings(round_to).used(a, b, c, d, e)}"

def only_tests():
    return only_tests
'''


@pytest.fixture(scope="module")
def house():
    loader = SourceFileLoader("house", str(SCRIPT))
    module = module_from_spec(spec_from_loader("house", loader))
    loader.exec_module(module)
    return module


def test_rows_are_those_counted_by_hand(house, tmp_path, monkeypatch):
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text('__all__ = ["wide"]\nfrom package.part import only_tests, wide\n')
    (package / "part.py").write_text(CODE)
    monkeypatch.setattr(house, "probe", lambda src: {"captures": 2, "passes": 1})
    rows, lists = house.measured(tmp_path)
    assert rows["lines of src"] == 2 + CODE.count("\n")
    assert (rows["files of src"], rows["functions"]) == (2, 3)
    assert rows["lines of a function, median"] == 2
    assert rows["functions with more than 5 parameters"] == 1  # `used` takes five and self
    assert rows["annotations with Any"] == 2
    assert rows["places that declare an option (round_to)"] == 2
    assert rows["places that list an operation (hardtanh)"] == 1
    assert rows["public names that only tests use"] == 1
    assert lists["Names that only tests use"] == ["   2 package/part.py:21 only_tests"]


def test_the_probe_counts_a_real_run(house):
    found = house.probe(Path(house.__file__).parents[1] / "src")
    assert found["captures"] >= found["exports"] >= 1
    assert found["opened"] >= found["passes"] >= 1
