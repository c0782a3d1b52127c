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


def entries():
    """Fields of every entry by key, with its kind."""
    text = BIB.read_text(encoding="utf-8")
    found = re.findall(r"@(\w+)\{([^,]+),\n(.*?)\n\}", text, re.DOTALL)
    return {
        key: {"kind": kind, **dict(re.findall(r"^  (\w+) = \{(.*)\},$", fields, re.MULTILINE))}
        for kind, key, fields in found
    }


def test_every_entry_says_who_what_where_and_when():
    where = {"article": "journal", "inproceedings": "booktitle", "techreport": "institution"}
    found = entries()
    assert len(found) == BIB.read_text(encoding="utf-8").count("\n@")
    for key, fields in found.items():
        named = where.get(fields["kind"]) or ("eprint" if "eprint" in fields else "howpublished")
        assert {"author", "title", "year", named} <= set(fields), key
        assert re.fullmatch(r"(19|20)\d\d", fields["year"]), key


def test_titles_are_in_one_case_and_venues_are_named_one_way():
    found = entries()
    for key, fields in found.items():
        # Names stand in braces; nothing else after the first word begins with a capital.
        words = re.sub(r"\{[^}]*\}", "", fields["title"]).split()[1:]
        assert [word for word in words if word[:1].isupper()] == [], key
    venues = {fields["booktitle"] for fields in found.values() if "booktitle" in fields}
    short = [venue.partition(" (")[0].removeprefix("IEEE/CVF ").removeprefix("IEEE ") for venue in venues]
    assert {venue for venue in short if "Learning Representations" in venue} == {
        "International Conference on Learning Representations"
    }
    assert sum("Learning Representations" in venue for venue in venues) == 1
