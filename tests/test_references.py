"""Every key that the code cites stands in the list of references."""

import re
from pathlib import Path

import pytest

import secateurs

SOURCE = Path(secateurs.__file__).parent
BIB = Path(__file__).parent.parent / "docs" / "references.bib"


def test_cited_keys_are_listed():
    listed = set(re.findall(r"@\w+\{([^,]+),", BIB.read_text(encoding="utf-8")))
    cited = {
        (key, path.name)
        for path in SOURCE.rglob("*.py")
        for key in re.findall(r"\[([a-z]+\d{4}[a-z]*)\]", path.read_text(encoding="utf-8"))
    }
    missing = {(key, name) for key, name in cited if key not in listed}
    if not cited:
        pytest.fail("no key found at all")
    assert not missing
