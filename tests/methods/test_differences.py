"""What is said of methods and their papers: where they leave the published code, title and year."""

import re
from pathlib import Path

import pytest

from secateurs import methods
from secateurs.methods.differences import DIFFERENCES

BIB = Path(__file__).parents[2] / "docs" / "references.bib"
OURS = {"random", "moments", "centrality-closeness", "centrality-eigenvector", "centrality-pagerank"}


def entries():
    """Title in lower case without braces, and year, of every reference."""
    for entry in BIB.read_text(encoding="utf-8").split("\n@"):
        title = re.search(r"\btitle = \{(.*)\},", entry)
        year = re.search(r"\byear = \{(\d+)\}", entry)
        if title and year:
            yield re.sub(r"[{}]", "", title[1]).lower(), int(year[1])


@pytest.mark.parametrize("method", [m for m in methods.METHODS if m.name not in ("random", "moments")])
def test_titles_are_whole_and_years_those_of_the_reference(method):
    assert any(title in method.paper.lower() and year == method.year for title, year in entries())


@pytest.mark.parametrize("name", methods.names())
def test_a_method_follows_the_official_code_or_says_where_not(name):
    method = methods.get(name)
    plain = method.certain in ("official code", "authors' code", "code")
    assert not (plain and method.differs)
    assert ("differs in" in method.certain) == bool(method.differs)
    if method.differs:
        assert method.differs.endswith(".")
        assert method.certain.startswith("after the ")
    if name in OURS:
        assert not method.differs


def test_every_row_is_that_of_a_method():
    assert set(DIFFERENCES) <= set(methods.names())


@pytest.mark.parametrize("name", ["similarity", "operator-norm", "centrality-betweenness"])
def test_a_faithful_method_differs_less(name):
    plain, faithful = methods.get(name), methods.get(f"{name}:faithful")
    assert plain.differs != faithful.differs
    assert (faithful.certain == "official code") == (not faithful.differs)


@pytest.mark.parametrize(
    "name", ["fp-omp", "fp-omp-search", "hbgs", "hbgs-b", "hbgts", "hbgts-b", "lrf", "fp-backward"]
)
def test_faithful_methods_of_the_linear_family_differ_in_data_and_tuning_alone(name):
    plain, faithful = (methods.get(f"{name}{setting}") for setting in ("", ":faithful"))
    assert "--frame" in plain.differs
    assert "frame" not in faithful.differs
    assert "tunes for an epoch" in faithful.differs
    searches = plain.search is not None
    assert ("lazily" in plain.differs, "lazily" in faithful.differs) == (searches, False)
    assert ("training samples" in faithful.differs) == searches


def test_qsfm_differs_from_no_code_for_there_is_none():
    assert methods.qsfm_ssim().certain == "abstract only"
    assert not methods.qsfm_ssim().differs
