"""The public functions answer every wrong argument with one sentence."""

import collections
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

import secateurs as sc
from networks import EXAMPLE, Residual, residual

NET = residual()
GRAPH = sc.trace(NET, EXAMPLE)
RANKING = sc.rank(GRAPH, sc.methods.get("l1-norm"))
PLAN = sc.plan(RANKING, macs=0.6)
SMALL = sc.remove(NET, PLAN)
IMAGES = torch.zeros(4, 3, 8, 8)
SILENCED = GRAPH.silenced(PLAN.kept)
FRAMED = replace(PLAN, steps=(replace(PLAN.steps[0], frames=("head",)),))


def prune(**changed):
    """A valid call of prune with some arguments changed."""
    given = {"model": NET, "example": EXAMPLE, "method": "l1-norm", "macs": 0.6, **changed}
    return sc.prune(given.pop("model"), given.pop("example"), **given)


class Lazy(nn.Sequential):
    def __init__(self):
        super().__init__(nn.LazyConv2d(4, 3), nn.ReLU(), nn.LazyConv2d(2, 1))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"model": None}, "model is None; give an nn.Module"),
        ({"model": Residual}, "model is the class Residual; give an object of it"),
        ({"model": residual}, "model is a function; give the nn.Module that it makes"),
        ({"model": NET.state_dict()}, "model is an OrderedDict; .* load_state_dict"),
        ({"model": "resnet56.pth"}, "model is 'resnet56.pth'; .* instead of a path"),
        ({"model": NET.forward}, "model is a method; give the nn.Module that it makes or belongs to"),
        ({"model": Lazy()}, "'0.weight' has no shape yet"),
        ({"model": nn.Identity()}, "this Identity has no parameters"),
        ({"example": None}, "example is None without tensors"),
        ({"example": [[1.0]]}, "example is a list without tensors"),
        ({"example": np.zeros((1, 3, 8, 8))}, "example is a ndarray without tensors"),
        ({"macs": "0.5%"}, "macs is '0.5%'; give a share"),
        ({"macs": True}, "macs is True; give a number"),
        ({"macs": float("nan")}, "macs is nan; give a number"),
        ({"macs": float("inf")}, "macs is inf"),
        ({"macs": 10**400}, "macs is a number of more than 38 digits"),
        ({"macs": [0.5]}, "macs is a list; give a number"),
        ({"macs": torch.tensor(0.5)}, r"macs is a tensor of shape \(\); give a number"),
        ({"macs": None, "params": "x" * 10_000}, r"params is 'x+\.\.\.'; give a share"),
        ({"macs": None, "accuracy_drop": "1", "data": EXAMPLE}, "accuracy_drop is '1'"),
        ({"seed": "0"}, "seed is '0'; give a whole number from 0"),
        ({"seed": -1}, "seed is -1; give a whole number from 0 to 4,294,967,295"),
        ({"seed": 10**30}, "seed is 1000000000000000000000000000000; give a whole number"),
        ({"seed": True}, "seed is True; give a whole number"),
        ({"seed": 1.0}, "seed is 1.0; give a whole number"),
        ({"round_to": 2.5}, "round_to is 2.5; give a whole number from 1"),
        ({"round_to": 0}, "round_to is 0; give a whole number from 1"),
        ({"round_to": "4"}, "round_to is '4'"),
        ({"layers": ["one.0"]}, "layers is a list; give shares by pattern"),
        ({"layers": {3: 0.5}}, "layers: a pattern is 3; give text"),
        ({"layers": {"one.0": "half"}}, "layers: the share of 'one.0' is 'half'"),
        ({"layers": {"one.0": 2}}, "layers: 'one.0' is to keep 2"),
        ({"calibrate": "x"}, "calibrate is 'x'; give a whole number from 1"),
        ({"calibrate": 0}, "calibrate is 0; give a whole number from 1"),
        (
            {"method": sc.methods.l1_norm},
            r"method is the function l1_norm; call it: secateurs.methods.l1_norm\(\)",
        ),
        ({"method": "random:seed=1"}, "'random' has no setting 'seed'; it has no settings"),
        ({"method": "fp-omp:faithful=9"}, "faithful of 'fp-omp' is 9; give true or false"),
        (
            {"method": "math:sqrt"},
            "there is no 'math:sqrt'; code of your own is named on the command line only",
        ),
        (
            {"method": lambda filters: filters},
            "returned a tensor of shape .* return one number for every filter",
        ),
        ({"method": lambda filters: 1 / 0}, "failed with ZeroDivisionError: division by zero"),
        ({"method": 3}, "method is 3; give a name"),
        ({"method": "l1_nrm"}, "there is no 'l1_nrm'; did you mean l1-norm"),
        ({"method": sc.methods.Method}, "method is the class Method"),
        ({"allocate": 3}, "allocate is 3; give a name"),
        ({"allocate": sc.allocate.Uniform}, "allocate is the class Uniform"),
        ({"allocate": "globl"}, "globl"),
        ({"compensate": 3}, "compensate is 3; give a name"),
        ({"compensate": "merg"}, "merg"),
        ({"frame": "no"}, "frame is 'no'; give True or False"),
        ({"recalibrate": 1}, "recalibrate is 1; give True or False"),
        ({"progress": 3}, "progress is 3; give a function"),
        ({"data": "cifar10"}, "data is 'cifar10'; give a DataLoader"),
        ({"data": NET}, "data is a Residual; give a DataLoader"),
        ({"data": torch.tensor(1.0)}, "data is a tensor"),
        (
            {"data": torch.zeros(4, 3, 8, 8, dtype=torch.uint8)},
            "samples are uint8 and the example input is float32",
        ),
        ({"data": torch.zeros(4, 1, 8, 8)}, r"a batch has shape \[4, 1, 8, 8\]"),
        ({"data": torch.full((4, 3, 8, 8), torch.nan)}, "hold NaN or infinity"),
        ({"data": []}, "hold no sample"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, str) else None,
)
def test_prune_says_what_is_wrong(changed, words):
    with pytest.raises(sc.InputError, match=words) as found:
        prune(**changed)
    text = str(found.value)
    assert len(text) < 400
    assert "please report" not in text


def test_a_method_may_be_spelled_as_its_function():
    assert prune(method="fp_omp").method == "fp-omp"
    assert prune(method=sc.methods.get("fp_omp")).plan == prune(method="fp-omp").plan


def test_numbers_of_numpy_are_numbers(tmp_path):
    result = prune(macs=np.float32(0.6), seed=np.int64(3), round_to=np.int32(2))
    sc.save(result, tmp_path / "a.safetensors")
    assert result.target == {"macs": pytest.approx(0.6)}
    assert sc.load_plan(tmp_path / "a.safetensors").kept == prune(seed=3, round_to=2).plan.kept


@pytest.mark.parametrize("target", [{"macs": 0.5}, {"params": 0.5}, {"keep": 0.5}, {}])
def test_a_network_with_nothing_to_lose_is_told_so(target):
    net = nn.Sequential(nn.Linear(3, 2))
    with pytest.raises(
        sc.TargetError, match="nothing may leave this Sequential: every group of channels is an output"
    ):
        sc.prune(net, torch.zeros(1, 3), method="similarity", **target)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (EXAMPLE, "there is a single sample"),
        (EXAMPLE.repeat(40, 1, 1, 1), "all 40 samples are the same"),
        ([EXAMPLE, EXAMPLE], "all 2 samples are the same"),
        ((x for x in [EXAMPLE]), "there is a single sample"),
    ],
)
def test_data_that_say_little_are_remarked(data, words):
    remarks = prune(data=data).remarks
    assert any(words in remark for remark in remarks), remarks


def test_data_that_differ_are_not_remarked_and_only_begun():
    read = []

    def batches():
        for k in range(9):
            read.append(k)
            yield torch.randn(4, 3, 8, 8)

    class Data:
        def __iter__(self):
            return batches()

    assert not prune(data=Data()).remarks
    assert read == [0]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: sc.trace(Residual, EXAMPLE), "model is the class Residual"),
        (lambda: sc.trace(NET, "x"), "example is 'x' without tensors"),
        (lambda: sc.trace(Lazy(), EXAMPLE), "has no shape yet"),
        (lambda: sc.rank(NET, sc.methods.get("l1-norm")), "graph is a Residual; give what secateurs.trace"),
        (lambda: sc.rank(GRAPH, "l1-nrm"), "there is no 'l1-nrm'; did you mean l1-norm"),
        (lambda: sc.rank(GRAPH, "thinet"), "'thinet' looks at feature maps and got no data"),
        (lambda: sc.rank(GRAPH, sc.methods.get("l1-norm"), [1]), "stats is a list"),
        (lambda: sc.rank(GRAPH, sc.methods.get("l1-norm"), seed=-3), "seed is -3"),
        (lambda: sc.plan(GRAPH, macs=0.5), "ranking is a Graph; give what secateurs.rank"),
        (lambda: sc.plan(RANKING, macs="half"), "macs is 'half'"),
        (lambda: sc.plan(RANKING, macs=0.5, allocate=3), "allocate is 3; give a name such as 'uniform'"),
        (lambda: sc.plan(RANKING, macs=0.5, allocate="globe"), "allocate: there is no 'globe'"),
        (lambda: sc.plan(RANKING, macs=0.5, target=0.5), "macs and target are both given"),
        (lambda: sc.plan(RANKING, target=0.5), "target is 0.5; give a target"),
        (lambda: sc.plan(RANKING, macs=0.5, round_to=True), "round_to is True"),
        (lambda: sc.plan(RANKING, macs=0.5, layers="one"), "layers is 'one'"),
        (lambda: sc.remove(Residual, PLAN), "model is the class Residual"),
        (lambda: sc.remove(NET, GRAPH), "plan is a Graph; give what secateurs.plan"),
        (lambda: sc.remove(NET, PLAN.to_json()), "plan is '"),
        (lambda: sc.verify(NET, SMALL, [1], EXAMPLE), "plan is a list; give what secateurs.plan makes"),
        (lambda: sc.verify(NET, SMALL, PLAN.then(PLAN), EXAMPLE), "it has 2 rounds; give the plan of one"),
        (lambda: sc.verify(NET, SMALL, PLAN, EXAMPLE, kept={}), "kept is for positions"),
        (lambda: sc.verify(nn.Linear(2, 2), SMALL, PLAN, torch.ones(1, 2)), "is none in this network"),
        (lambda: sc.verify(NET, SMALL, FRAMED, EXAMPLE), "puts frames around convolutions"),
        (lambda: sc.verify(NET, SMALL, {"x": {}}, EXAMPLE), "the network has no 'x'"),
        (lambda: sc.verify(NET, SMALL, {"head.weight": [1]}, EXAMPLE), "'head.weight' is a list"),
        (lambda: sc.verify(NET, SMALL, {"head.weight": {2: [1]}}, EXAMPLE), "has no axis 2"),
        (lambda: sc.verify(NET, SMALL, {"head.weight": {1: [8]}}, EXAMPLE), "whole numbers from 0 to 7"),
        (lambda: sc.verify(NET, SMALL, {"head.weight": {1: [0.5]}}, EXAMPLE), "whole numbers from 0 to 7"),
        (lambda: sc.verify(NET, None, SILENCED, EXAMPLE), "small is None"),
        (lambda: sc.verify(NET, SMALL, SILENCED, None), "example is None"),
        (lambda: sc.verify(NET, SMALL, SILENCED, EXAMPLE, seed=10**30), "seed is 1000000"),
        (lambda: sc.save(NET, "a.safetensors"), "result is a Residual; give what secateurs.prune returns"),
        (lambda: sc.load("nothing.safetensors", NET), "there is no such file"),
        (lambda: sc.load(3, NET), "path is 3; give the path of a file"),
        (lambda: sc.load("", NET), "path is ''; give the path of a file"),
        (lambda: sc.load("a\0b", NET), "give the path of a file"),
        (lambda: sc.load("a" * 9000, NET), "there is no such file"),
        (lambda: sc.load_plan(None), "path is None"),
        (lambda: sc.methods.get(3), "method is 3"),
        (lambda: sc.Plan.from_json(3), "JSON is text, and this is 3"),
    ],
)
def test_every_function_says_what_is_wrong(call, words):
    with pytest.raises(sc.InputError, match=words):
        call()


def test_verify_takes_a_plan_and_what_a_graph_makes_of_it():
    proof = sc.verify(NET, SMALL, PLAN, EXAMPLE)
    kept = GRAPH.slices({name: np.array(units) for name, units in PLAN.kept.items()})
    assert proof == sc.verify(NET, SMALL, SILENCED, EXAMPLE, kept=kept)
    assert proof.passed
    assert sc.verify(NET, SMALL, SILENCED, EXAMPLE).passed


def test_verify_of_a_plan_notices_another_network():
    other = sc.remove(residual(seed=5), PLAN)
    assert not sc.verify(NET, other, PLAN, EXAMPLE).passed


def test_load_wants_a_network_and_not_its_class(tmp_path):
    sc.save(prune(), tmp_path / "a.safetensors")
    with pytest.raises(
        sc.InputError, match="into is the class Residual; give an object of it, as in into=Residual"
    ):
        sc.load(tmp_path / "a.safetensors", into=Residual)
    with pytest.raises(sc.InputError, match="into is a function"):
        sc.load(tmp_path / "a.safetensors", into=residual)
    with pytest.raises(
        sc.InputError, match="model is the class Residual; give an object of it, as in model="
    ):
        sc.load(tmp_path / "a.safetensors", Residual)
    with pytest.raises(sc.InputError, match="model is None"):
        sc.load(tmp_path / "a.safetensors")
    with pytest.raises(sc.InputError, match="model and into are two names of one thing"):
        sc.load(tmp_path / "a.safetensors", NET, into=NET)


def test_load_returns_a_new_network_by_either_name(tmp_path):
    result = prune()
    sc.save(result, tmp_path / "a.safetensors")
    fresh = residual(seed=8)
    before = {name: value.clone() for name, value in fresh.state_dict().items()}
    for small in (
        sc.load(tmp_path / "a.safetensors", fresh),
        sc.load(tmp_path / "a.safetensors", into=fresh),
    ):
        assert all(
            torch.equal(small.state_dict()[name], value) for name, value in result.model.state_dict().items()
        )
    assert all(torch.equal(fresh.state_dict()[name], value) for name, value in before.items())


def test_save_says_where_nothing_can_be_written(tmp_path):
    result = prune()
    (tmp_path / "file").write_text("x")
    for path, words in (
        (tmp_path, "is a folder; name a file in it"),
        (tmp_path / "nowhere" / "a", "there is no folder"),
        (tmp_path / "file" / "a", "there is no folder"),
        (3, "path is 3"),
        ("a" * 5000, "no file can be written|there is no folder|too long"),
    ):
        with pytest.raises((sc.InputError, OSError), match=words):
            sc.save(result, path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file"]


# Values of every kind that a program may hand over by mistake.
WRONG = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.complex_numbers(),
    st.text(max_size=20),
    st.binary(max_size=20),
    st.lists(st.one_of(st.integers(), st.floats(), st.text(max_size=3), st.none()), max_size=3),
    st.dictionaries(
        st.one_of(st.text(max_size=3), st.integers()), st.one_of(st.integers(), st.text()), max_size=3
    ),
    st.sampled_from(
        [
            object(),
            Residual,
            nn.Linear,
            residual,
            len,
            NET.forward,
            nn.Identity(),
            nn.LazyLinear(2),
            np.zeros(3),
            np.float32("nan"),
            np.array(["a"], dtype=object),
            torch.tensor(1.0),
            torch.zeros(0),
            torch.zeros(2, 2, dtype=torch.int8),
            torch.zeros(2, 3, 8, 8, dtype=torch.complex64),
            {1, 2},
            range(3),
            slice(2),
            ...,
            collections.OrderedDict(a=1),
            re.compile("x"),
            iter([]),
            iter([1]),
            Exception("x"),
            PLAN,
            GRAPH,
            RANKING,
            sc.Plan({}, {}, ()),
            sc.Plan(None, 3, "x"),
            sc.Plan({"a": ("b",)}, {"a": 1}, (3,)),
            sc.methods.get("l1-norm"),
            sc.allocate.Uniform(),
        ]
    ),
)
TARGETS = ("macs", "params", "keep", "latency", "accuracy_drop")
OTHERS = (
    "model",
    "example",
    "method",
    "data",
    "allocate",
    "compensate",
    "recalibrate",
    "calibrate",
    "round_to",
)
NAMES = (
    *TARGETS,
    *OTHERS,
    "layers",
    "frame",
    "seed",
    "progress",
    "config",
    "holdout",
    "metric",
    "target",
    "normalised",
)
CALLS = {
    "trace": lambda a, b: sc.trace(*pair(a, b, NET, EXAMPLE)),
    "rank": lambda a, b: sc.rank(*pair(a, b, GRAPH, sc.methods.get("l1-norm"))),
    "rank, stats": lambda a, b: sc.rank(GRAPH, sc.methods.get("l1-norm"), a, seed=b),
    "plan": lambda a, b: sc.plan(*pair(a, a, RANKING, None)[:1], macs=b),
    "plan, settings": lambda a, b: sc.plan(RANKING, macs=0.6, round_to=a, layers=b),
    "plan, allocation": lambda a, b: sc.plan(RANKING, keep=b, allocate=a),
    "plan, measured": lambda a, b: sc.plan(RANKING, latency=a, example=b),
    "plan, a floor": lambda a, b: sc.plan(RANKING, accuracy_drop=1.0, holdout=a, metric=b),
    "plan, a target": lambda a, b: sc.plan(RANKING, target=a),
    "observe": lambda a, b: sc.observe(*pair(a, b, NET, GRAPH), a),
    "observe, settings": lambda a, b: sc.observe(NET, GRAPH, IMAGES, a, damage=False, limit=b),
    "a config": lambda a, b: sc.PruneConfig.from_dict({"method": a, "layers": b}, "here"),
    "a config's text": lambda a, b: sc.PruneConfig(compensate=a, macs=b).to_dict(),
    "a config of nothing": lambda a, b: sc.PruneConfig.from_dict(a, "here"),
    "evaluate": lambda a, b: sc.evaluate(*pair(a, b, NET, IMAGES)),
    "count_costs": lambda a, b: sc.count_costs(*pair(a, b, NET, EXAMPLE)),
    "recalibrate_": lambda a, b: sc.recalibrate_(*pair(a, b, residual(), IMAGES)),
    "repair_": lambda a, b: sc.compensate.repair_(a, SMALL, b),
    "remove": lambda a, b: sc.remove(*pair(a, b, NET, PLAN)),
    "verify": lambda a, b: sc.verify(*pair(a, b, NET, SMALL), SILENCED, EXAMPLE),
    "verify, positions": lambda a, b: sc.verify(NET, SMALL, a, EXAMPLE, seed=b),
    "verify, an axis": lambda a, b: sc.verify(NET, NET, {"head.weight": {1: a}}, EXAMPLE),
    "save": lambda a, b: sc.save(a, b),
    "load": lambda a, b: sc.load(*pair(a, b, "nothing.safetensors", NET)),
    "load_plan": lambda a, b: sc.load_plan(a),
    "methods.get": lambda a, b: sc.methods.get(a),
    "Plan.from_json": lambda a, b: sc.Plan.from_json(a),
}


def pair(a, b, first, second):
    """One wrong value and one right one, or two wrong ones."""
    return {0: (a, second), 1: (first, b), 2: (a, b)}[len(type(a).__name__) % 3]


def only_our_errors(call):
    """Whatever else is raised fails the test by itself."""
    said = "well"
    try:
        call()
    except sc.SecateursError as error:
        said = str(error)
    assert 0 < len(said) < 1500
    assert "please report" not in said


QUIET = settings(deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("name", CALLS)
@settings(QUIET, max_examples=30)
@given(WRONG, WRONG)
def test_no_wrong_value_raises_anything_else(name, a, b):
    only_our_errors(lambda: CALLS[name](a, b))


@pytest.mark.parametrize("name", NAMES)
@settings(QUIET, max_examples=12)
@given(WRONG)
def test_no_wrong_argument_of_prune_raises_anything_else(name, value):
    targets = {"macs": None} if name in TARGETS else {}
    only_our_errors(lambda: prune(**{**targets, name: value}))
