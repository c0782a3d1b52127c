"""Cells: what they are, what they share, what is computed again, and what fails."""

import json

import pytest
import torch
from torch import nn

import secateurs as sc
from secateurs.comparing.bench import Bench
from secateurs.comparing.fingerprint import of_code, of_data
from secateurs.comparing.given import checked_budgets
from secateurs.errors import InputError
from secateurs.meters import count_costs, evaluate
from secateurs.methods import of_function

EXAMPLE = torch.zeros(1, 1, 8, 8)


def largest(filters):
    return filters.abs().amax(dim=1)


def failing(filters):
    raise ValueError("no idea")


def halved(small, removal):
    raise RuntimeError("broken repair")


@pytest.fixture
def counted(monkeypatch):
    """The names of methods whenever something is ranked, and of repairs whenever something is scored."""
    ranked, scored = [], []
    rank, score = Bench.ranked, Bench.scored

    def counting_rank(bench, cell):
        ranked.append(cell.method)
        return rank(bench, cell)

    def counting_score(bench, cell, *given):
        scored.append((cell.method, cell.share, cell.repair, cell.seed))
        return score(bench, cell, *given)

    monkeypatch.setattr(Bench, "ranked", counting_rank)
    monkeypatch.setattr(Bench, "scored", counting_score)
    return ranked, scored


def test_a_cell_is_what_prune_makes(compare, network, digits, tmp_path):
    found = compare(tmp_path, methods=["hrank", "random"], repairs=["none", "merge"])
    assert [(one.method, one.repair) for one in found.summaries] == [
        (method, repair) for method in ("hrank", "random", "l1-norm") for repair in ("none", "merge")
    ]
    assert found.original.accuracy == evaluate(network, digits.test).value
    for row in found.rows:
        asked = {"method": row.method, "macs": 0.6, "compensate": row.repair, "seed": row.seed}
        same = sc.prune(network, EXAMPLE, data=digits.calibration(64), **asked)
        assert row.reason is None
        assert row.kept == dict(same.plan.kept)
        assert row.macs == same.after.macs == count_costs(same.model, EXAMPLE).macs
        assert row.accuracy == evaluate(same.model, digits.test).value
        assert row.right.values().mean() == row.accuracy
        assert row.proof.passed
        assert row.proof.places > 0


def test_one_look_and_one_ranking_a_method(compare, digits, tmp_path, counted):
    ranked, scored = counted
    reads = []

    class Loader:
        def __iter__(self):
            reads.append(1)
            yield torch.stack([digits.train[i][0] for i in range(64)]), None

    budgets = {"macs": [0.7, 0.5], "keep": [0.6]}
    found = compare(
        tmp_path,
        methods=["hrank"],
        budgets=budgets,
        seeds=2,
        draws=3,
        repairs=["none", "merge"],
        data=Loader(),
    )
    assert reads == [1]
    assert sorted(ranked) == ["hrank", "l1-norm", "random", "random", "random"]
    # Nothing of hrank and l1-norm is drawn, so two seeds are one cell.
    seeds = {"hrank": [0], "l1-norm": [0], "random": [0, 1, 2]}
    assert len(found.rows) == len(scored) == sum(map(len, seeds.values())) * 3 * 2
    assert all(list(one.seeds) == seeds[one.method] for one in found.summaries)


def test_what_is_done_is_not_done_again_and_what_changes_is(compare, tmp_path, counted, digits):
    ranked, scored = counted
    first = compare(tmp_path, methods=["moments"], repairs=["none", "merge"])
    ranked.clear(), scored.clear()
    again = compare(tmp_path, methods=["moments"], repairs=["none", "merge"])
    assert (ranked, scored) == ([], [])
    assert again.table() == first.table()
    assert again.rows == first.rows
    compare(tmp_path, methods=["moments"], repairs=["none", "merge"], budgets={"macs": [0.6, 0.5]})
    assert ranked == []
    assert {share for _, share, _, _ in scored} == {0.5}
    scored.clear()
    compare(tmp_path, methods=["moments"], repairs=["none", "merge"], data=digits.calibration(32))
    # Other data change what looks at them: a ranking by moments, and the repair.
    assert ranked == ["moments"]
    assert sorted(set(scored)) == sorted(
        {("moments", 0.6, "none", 0), ("moments", 0.6, "merge", 0)}
        | {(name, 0.6, "merge", seed) for name, seed in (("random", 0), ("random", 1), ("l1-norm", 0))}
    )
    scored.clear()
    half = torch.utils.data.Subset(digits.test, range(100))
    compare(tmp_path, methods=["moments"], test=half)
    assert len(scored) == 4
    assert ranked == ["moments"]


def test_a_damaged_file_is_computed_again(compare, tmp_path, counted):
    first = compare(tmp_path, against=[])
    (cell,) = (path for path in (tmp_path / "cells").iterdir() if path.stem == first.rows[0].key)
    cell.write_text(cell.read_text()[:100])
    _, scored = counted
    scored.clear()
    assert compare(tmp_path, against=[]).rows[0].found == first.rows[0].found
    assert len(scored) == 1
    raw = json.loads(cell.read_text())
    raw["right"]["packed"] = raw["right"]["packed"][:8]
    cell.write_text(json.dumps(raw))
    assert compare(tmp_path, against=[]).rows[0].found == first.rows[0].found


def test_what_fails_is_a_row_with_its_reason(compare, tmp_path):
    found = compare(
        tmp_path,
        methods=["l2-norm", failing],
        budgets={"macs": [0.6, 0.0001]},
        repairs=["none", halved],
        against=["l1-norm"],
    )
    reasons = {(row.method.rpartition(":")[2], row.share, row.repair): row.reason for row in found.rows}
    assert reasons["l2-norm", 0.6, "none"] is None
    assert "cannot be reached" in reasons["l2-norm", 0.0001, "none"]
    assert reasons["l2-norm", 0.6, "halved"] == "RuntimeError: broken repair"
    assert "no idea" in reasons["failing", 0.6, "none"]
    assert sum(reason is None for reason in reasons.values()) == 2
    assert "no idea" in found.table()
    assert json.loads((tmp_path / "result.json").read_text())["rows"][-1]["method"] == "l1-norm"


def test_a_failure_is_tried_again(compare, tmp_path):
    there = tmp_path / "there"

    def score(filters):
        if not there.exists():
            raise ValueError("not yet")
        return filters[:, 0]

    to = tmp_path / "to"
    mine = of_function(score, "mine")
    assert "not yet" in compare(to, methods=[mine], against=[]).rows[0].reason
    there.write_text("")
    assert compare(to, methods=[mine], against=[]).rows[0].reason is None


def test_a_criterion_of_ones_own_takes_part_and_is_known_by_its_code(compare, tmp_path, counted):
    ranked, _ = counted
    named = ["centrality:kind=betweenness", "similarity-nystrom:columns=4"]
    found = compare(tmp_path, methods=[largest, *named])
    assert [one.method for one in found.summaries] == [
        f"{__name__}:largest",
        "centrality-betweenness",
        "similarity-nystrom:columns=4",
        "random",
        "l1-norm",
    ]
    assert all(one.mean is not None for one in found.summaries)
    ranked.clear()

    def score(power):
        return of_function(lambda filters: filters.abs().pow(power).sum(dim=1), "mine")

    for power in (1, 2, 2):
        compare(tmp_path, methods=[score(power)], against=[])
    assert ranked == ["mine", "mine"]
    assert of_code(largest) != of_code(failing)


def test_what_is_to_be_known_is_said_once(compare, digits, tmp_path):
    """A network without maps that a method can see, and samples that are all the same."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 10))
    same = torch.ones(8, 1, 8, 8)
    found = compare(tmp_path, network=net, methods=["hrank"], budgets={"macs": [0.7, 0.5]}, data=same)
    assert found.remarks == tuple(dict.fromkeys(found.remarks))
    assert sum("are the same" in remark for remark in found.remarks) == 1
    asked = {"method": "hrank", "macs": 0.5, "data": same}
    alone = sc.prune(net, EXAMPLE, **asked).remarks
    assert set(alone) <= set(found.remarks)
    assert all(remark in found.table() for remark in alone)


def test_the_data_are_the_same_however_they_are_cut(digits):
    x = torch.stack([digits.test[i][0] for i in range(10)])
    y = torch.arange(10)
    whole = of_data((x, y))
    assert whole == of_data([(x[:3], y[:3]), (x[3:], y[3:])])
    assert whole != of_data((x, y.flip(0)))
    assert whole != of_data((x.flip(0), y))


def test_the_network_stays_whole(compare, network, tmp_path):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    compare(tmp_path, methods=["moments"], repairs=["least-squares"], against=[])
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_a_network_whose_code_knows_its_width_is_cut_where_it_can_be(tmp_path):
    """The proof fails, the group is locked, and the cell is what prune makes."""

    class Divides(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Conv2d(1, 8, 3), nn.Conv2d(8, 8, 3), nn.Conv2d(8, 4, 1)

        def forward(self, x):
            x = self.a(x).relu()
            x = self.b(x / x.shape[1]).relu()
            return self.c(x).mean((2, 3))

    torch.manual_seed(0)
    net, example = Divides().eval(), torch.zeros(1, 1, 8, 8)
    test = (torch.randn(40, 1, 8, 8), torch.arange(40) % 4)
    given = {"methods": ["l1-norm"], "budgets": {"macs": [0.8]}, "test": test, "draws": 2}
    found = sc.compare(net, example, to=tmp_path, **given)
    same = sc.prune(net, example, method="l1-norm", macs=0.8)
    (row,) = (row for row in found.rows if row.method == "l1-norm")
    assert row.kept == dict(same.plan.kept)
    assert set(row.kept) == {"b"}
    assert all(row.proof.passed for row in found.rows)


@pytest.mark.parametrize(("given", "most"), [("4.03k", 4030), ("1.2345678M", 1_234_567)])
def test_an_amount_with_decimals_is_one_that_a_cell_can_be_asked_for(given, most):
    assert checked_budgets({"macs": [given]}) == {"macs": [most]}


def test_an_amount_is_a_budget_too_and_prune_does_the_same(tmp_path, compare, network, digits):
    whole = sc.count_costs(network, torch.zeros(1, 1, 8, 8)).macs
    amounts = {"macs": [0.5, whole // 2, "900k", 101], "params": ["20k"]}
    found = compare(tmp_path, budgets=amounts, repairs=["none", "bias"], against=[])
    rows = {(row.budget, row.share, row.repair): row for row in found.rows}
    assert rows["macs", 0.5, "none"].kept == rows["macs", whole // 2, "none"].kept
    assert rows["macs", 900e3, "none"].macs <= 900e3 < whole
    assert max(rows["params", 20e3, repair].params for repair in ("none", "bias")) <= 20e3
    for repair in ("none", "bias"):
        given = {"method": "l2-norm", "compensate": repair, "data": digits.calibration(64), "params": "20k"}
        same = sc.prune(network, torch.zeros(1, 1, 8, 8), **given)
        assert rows["params", 20e3, repair].params == sum(p.numel() for p in same.model.parameters())
    assert "cannot be reached" in rows["macs", 101, "none"].reason
    assert ["900k MACs" in text and "20k parameters" in text for text in (str(found), found.to_latex())] == [
        True
    ] * 2
    again = compare(tmp_path, budgets={"macs": [900_000]}, repairs=["none"], against=[])
    assert again.rows[0].seconds == rows["macs", 900e3, "none"].seconds


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"methods": []}, "methods is empty"),
        ({"methods": ["l1norm"]}, "did you mean"),
        ({"budgets": {"latency": [0.5]}}, "measured"),
        ({"budgets": {"macs": [50]}}, "share that stays"),
        ({"budgets": {"macs": ["30X"]}}, "macs is '30X'; give a share"),
        ({"budgets": {"keep": [3000]}}, "keep is 3,?000"),
        ({"budgets": {}}, "budgets is empty"),
        ({"repairs": ["merg"]}, "merge"),
        ({"seeds": 0}, "seeds"),
        ({"seeds": [-1]}, "seeds"),
        ({"draws": 0}, "draws"),
        ({"config": sc.PruneConfig(macs=0.5)}, "macs is what a comparison varies"),
        ({"methods": [of_function(largest, "a"), of_function(failing, "a")]}, "two are called"),
        ({"test": (torch.zeros(3, 1, 8, 8), torch.tensor([0, 1, 99]))}, "class 99"),
        ({"test": torch.zeros(3, 1, 8, 8)}, "labels"),
        ({"test": "digits"}, "give a DataLoader"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_is_wrong_is_said_before_anything_is_computed(compare, tmp_path, counted, wrong, words):
    with pytest.raises(InputError, match=words):
        compare(tmp_path / "to", **wrong)
    assert counted == ([], [])


def test_a_folder_of_something_else_is_left_alone(compare, tmp_path):
    (tmp_path / "mine").write_text("1")
    with pytest.raises(InputError, match="holds no comparison"):
        compare(tmp_path)
    with pytest.raises(InputError, match="a file is there"):
        compare(tmp_path / "mine")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
