"""The published numbers that need no data, from the paper files, and the page that is made from their results."""

import importlib
import sys
from pathlib import Path

import pytest
import torch

import secateurs as sc
from secateurs import zoo

PAPERS = Path(__file__).parent.parent / "benchmarks" / "papers"
NAMES = ("singh2023nystrom", "wang2022qsfm", "king2023centrality", "purohit2022omp", "zhang2019similarity")


@pytest.fixture(scope="module")
def paper():
    """A module of benchmarks/papers by name."""
    sys.path.insert(0, str(PAPERS))
    yield importlib.import_module
    sys.path.remove(str(PAPERS))


def ours(rows, beginning):
    """Our values, as they are printed, of the rows that begin so."""
    return [row.cells()[2] for row in rows if row.what.startswith(beginning)]


def test_interspeech_and_vggish_to_the_digit(paper):
    rows = paper("singh2023nystrom").counts()
    assert all(row.met for row in rows)
    assert ours(rows, "DCASE 2021") == [
        *("42,056", "29.1", "34,461", "29.5", "36,356", "2.2"),
        *("31,496", "50.1", "27,021", "31.0", "24,056", "51.6"),
    ]
    assert ours(rows, "VGGish") == ["42,889,796", "22.5", "34.8", "552"]


def test_centrality_counts(paper):
    king = paper("king2023centrality")
    rows = king.counts()
    assert ours(rows, "DCASE 2021") == ["72", "48"]
    assert ours(rows, "CNN14") == ["25", "42", "24", "36"]
    half, quarter, epanns = king.dcase((1, 2), 0.5), king.cnn14(6, 0.75), king.cnn14(7, 0.5)
    assert half["params_left"] + 96 == 23_822  # as Keras counts: two statistics for each of 48 channels
    assert round(100 * (1 - 23_822 / 46_246), 1) == 48.5
    assert round(king._macs(half, True), 1) == 71.9
    assert (round(king._params(quarter), 1), round(king._macs(quarter, False), 1)) == (41.7, 26.0)
    assert round(king._macs(quarter, True), 1) == 24.7
    assert round(king._stored(epanns) / 1e6, 2) == 24.29
    assert round(king._macs(epanns, True), 1) == 36.2
    table = {line[0]: line[1:] for line in king.ours()}
    assert table["CNN14 without front end, C7 to C12"] == ["41.3 / 22.0", "71.3 / 38.1", "89.9 / 48.3"]
    assert table["CNN14 without front end, C8 to C12"] == ["40.4 / 18.3", "69.8 / 32.2", "88.3 / 41.7"]


def test_cuts_in_frames_are_the_published_ones(paper):
    rows = [row for row in paper("purohit2022omp").counts() if "in frames" in row.what]
    assert len(rows) == 16
    assert all(row.met for row in rows)


def test_qsfm_cut_is_the_nearest_by_whole_filters(paper):
    rows = paper("wang2022qsfm").counts()
    assert all(abs(row.ours - row.published) < 0.2 for row in rows)


@pytest.mark.parametrize(
    ("name", "shares"),
    [
        ("dcase2021", {"conv1": 11 / 16, "conv2": 11 / 16, "conv3": 22 / 32}),
        ("dcase2022", {"conv1": 12 / 16, "conv2": 12 / 16, "conv3": 22 / 32}),
    ],
)
def test_counts_are_those_of_the_proven_smaller_network(paper, name, shares):
    example = torch.randn(1, *zoo.entry(name).input_shape, generator=torch.Generator().manual_seed(0))
    model = zoo.build(name).eval()
    result = sc.prune(model, example, method="l1-norm", macs=1.0, layers=shares)
    found = paper("bench").costs(name, shares)
    assert result.verification.passed
    assert (result.after.params, result.after.macs) == (found["params_left"], found["macs_left"])
    assert result.after.params == {"dcase2021": 24_056 - 2 * (11 + 11 + 22), "dcase2022": 9_336}[name]


def test_dcase_2022_selections_and_size(paper, shared_data):
    given = paper("bench").options("").parse_args([])
    given.audio = shared_data / "audio_models" / "dcase2022_unpruned_and_pruned_folded.safetensors"
    given.selections = shared_data / "filter_indexes" / "published_filter_indexes.npz"
    rows = paper("singh2023nystrom").selections(paper("bench").Bench(given))
    assert [row.ours for row in rows] == [12, 12, 16, 9_336]
    assert [row.met for row in rows] == [True, True, False, True]


def cells(**values):
    """Five cells of made-up figures: methods and two random draws."""
    made = {"network": "resnet20", "seed": 0, "macs_cut": 50.0, "params_cut": 40.0, "before": 90.0}
    draws = [("random", 20.0), ("random", 30.0)]
    return [
        {**made, "method": m, "plain": v, "recalibrated": v, "repaired": v}
        for m, v in [*values.items(), *draws]
    ]


def test_sentences_follow_the_figures(paper):
    results = paper("results")
    for value, word in ((90.0, "above"), (1.0, "below"), (26.0, "within a deviation of")):
        said = results.against_random(cells(mine=value), "mine", "plain")
        assert said == f"{word} the mean of 2 random draws ({value:.2f} against 25.00 ± 7.07 %)"
    table = results.cells_table("t", cells(mine=3.0)).rows
    assert table[1] == ["random", "2", "50.0 %", "40.0 %", *["25.00 ± 7.07"] * 3]


def test_a_gap_without_a_reason_is_refused(paper):
    row = paper("results").Row
    assert row("a", 24_056, 24_056).cells()[3] == "to the digit"
    assert row("a", 0.54, 0.5449, ".2f").met
    assert row("a", 0.54, 60.0, ".2f", "why").cells() == ["a", "0.54", "60.00", "why"]
    with pytest.raises(ValueError, match="no reason"):
        row("a", 1, 2).cells()


def test_papers_without_data_write_results_and_a_page(paper, tmp_path):
    given = paper("bench").options("").parse_args(["--quick", "--out", str(tmp_path)])
    run, render = paper("run"), paper("render")
    bench = paper("bench").Bench(given)
    for name in NAMES:
        run.one(paper(name), bench, tmp_path)
    render.render(tmp_path, tmp_path / "papers.md")
    page = (tmp_path / "papers.md").read_text()
    assert page.count("## ") - page.count("### ") == len(NAMES)
    assert "| DCASE 2021, C1+C2+C3: parameters | 24,056 | 24,056 | to the digit |" in page
    assert "| DCASE 2021, C1: accuracy, % | 48.06 | - | needs fine-tuning (not yet) |" in page
    assert "a quick run, of no meaning but that it runs" in page
