"""A run is a config: written down, read back and repeated; what can be chosen is a name or an object of the user's."""

import json
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from torch import nn

import secateurs as sc
from networks import residual
from secateurs.arguments import CHECKS
from secateurs.errors import InputError, TargetError
from secateurs.targets import Counted

EXAMPLE = torch.zeros(1, 3, 8, 8)
IMAGES = torch.randn(40, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"method": "similarity", "params": 0.7, "allocate": "global", "compensate": "merge", "seed": 3},
        {"keep": 0.5, "layers": {"conv1": 1.0, "b*": 0.25}, "round_to": 4, "normalised": "recompute"},
        {"accuracy_drop": 1.5, "frame": True, "recalibrate": True, "calibrate": 7},
        {"latency": 0.5},
        {"macs": 0.5, "effort": "fast"},
    ],
)
def test_a_config_comes_back_from_json(settings):
    config = sc.PruneConfig(**settings)
    text = json.dumps(config.to_dict())
    assert sc.PruneConfig.from_dict(json.loads(text), "here") == config
    assert set(json.loads(text)) == set(settings)


def test_methods_are_written_by_name_and_other_objects_are_refused():
    config = sc.PruneConfig(method=sc.methods.get("l1-norm"), macs=0.5)
    assert config.to_dict() == {"method": "l1-norm", "macs": 0.5}
    omp = sc.methods.get("fp-omp:faithful")
    assert sc.methods.get(sc.PruneConfig(method=omp).to_dict()["method"]) == omp
    for own in (replace(omp, name="mine"), replace(sc.methods.get("l1-norm"), name="l2-norm")):
        with pytest.raises(
            InputError, match="method: a Method is an object of yours, which a file cannot hold"
        ):
            sc.PruneConfig(method=own).to_dict()
    with pytest.raises(InputError, match="compensate: a function is an object of yours"):
        sc.PruneConfig(compensate=lambda small, removal: None).to_dict()


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ([1], "its config is a list"),
        ({"mac": 0.5}, "its config has 'mac', which is no setting; the settings are method, macs"),
    ],
)
def test_a_file_that_is_no_config_is_named(found, words):
    with pytest.raises(InputError, match="some.json: " + words):
        sc.PruneConfig.from_dict(found, "some.json")


def test_every_setting_has_a_check_and_words_for_the_command_line():
    for one in fields(sc.PruneConfig):
        option = one.metadata["option"]
        assert option.kind in CHECKS, one.name
        assert bool(option.help) != (option.kind == "target"), one.name
        assert f"        {one.name}: " in sc.PruneConfig.__doc__, one.name


def test_a_config_and_its_settings_give_the_same_result():
    config = sc.PruneConfig(method="l1-norm", macs=0.7, allocate="global", seed=2)
    whole = sc.prune(residual(), EXAMPLE, config=config)
    by_name = sc.prune(residual(), EXAMPLE, method="l1-norm", macs=0.7, allocate="global", seed=2)
    assert whole.plan == by_name.plan
    assert whole.config == by_name.config == config
    assert all(
        torch.equal(a, b) for a, b in zip(whole.model.parameters(), by_name.model.parameters(), strict=True)
    )


def test_what_is_given_by_name_takes_the_place_of_the_configs():
    config = sc.PruneConfig(method="l1-norm", macs=0.7)
    result = sc.prune(residual(), EXAMPLE, config=config, keep=0.5)
    assert result.config == sc.PruneConfig(method="l1-norm", keep=0.5)
    assert dict(result.target) == {"keep": 0.5}


def test_an_argument_that_is_none_is_a_type_error_as_of_any_function():
    with pytest.raises(TypeError, match="mac"):
        sc.prune(residual(), EXAMPLE, mac=0.5)
    with pytest.raises(InputError, match=r"config is 3; give a secateurs\.PruneConfig"):
        sc.prune(residual(), EXAMPLE, config=3)


def test_a_repair_of_ones_own_is_a_function():
    seen = []

    def doubled(small, removal):
        seen.append((removal.model, dict(removal.plan.kept), removal.data is not None, removal.limit))
        with torch.no_grad():
            small.head.bias.mul_(2)

    net = residual()
    plain = sc.prune(net, EXAMPLE, method="l1-norm", macs=0.7, data=IMAGES)
    result = sc.prune(net, EXAMPLE, method="l1-norm", macs=0.7, data=IMAGES, compensate=doubled, calibrate=30)
    assert torch.equal(result.model.head.bias, 2 * plain.model.head.bias)
    assert result.compensate == "doubled"
    assert seen[0][1] == dict(plain.plan.kept)
    assert seen[0][3] == 30


def test_a_repair_that_asks_for_data_gets_none_without():
    def hungry(small, removal):
        raise AssertionError

    hungry.needs_data = True
    with pytest.raises(InputError, match="the repair 'hungry' looks at data and got none"):
        sc.prune(residual(), EXAMPLE, method="l1-norm", macs=0.7, compensate=hungry)


def test_an_allocation_of_ones_own_is_a_function():
    def last_first(ranking):
        counts = [
            len(ranking.orders[g.name].units) - 1 if g.name in ranking.orders else 0
            for g in ranking.graph.groups
        ]
        return np.repeat(np.arange(len(counts))[::-1], counts[::-1])

    result = sc.prune(residual(), EXAMPLE, method="l1-norm", macs=0.9, allocate=last_first)
    touched = [group.name for group in result.groups if group.status == "pruned"]
    free = [group.name for group in result.groups if group.status != "locked"]
    assert touched == free[len(free) - len(touched) :]
    assert result.allocate == "last_first"


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (None, "returned None; return group indices"),
        ([0.5], "return group indices"),
        ([[0]], "return group indices"),
        ([99], "takes units that may not leave"),
        ([-1], "takes units that may not leave"),
        ([0] * 99, "takes units that may not leave"),
    ],
)
def test_an_allocation_that_returns_something_else_is_told_so(returned, words):
    with pytest.raises(InputError, match=words):
        sc.prune(residual(), EXAMPLE, method="l1-norm", macs=0.9, allocate=lambda ranking: returned)


def test_an_allocation_may_return_a_list():
    uniform = lambda ranking: sc.allocate.get("uniform")(ranking).tolist()  # noqa: E731
    one = sc.prune(residual(), EXAMPLE, method="l1-norm", macs=0.7, allocate=uniform)
    assert one.plan.kept == sc.prune(residual(), EXAMPLE, method="l1-norm", macs=0.7).plan.kept


def test_a_repair_that_returns_something_else_is_told_so():
    with pytest.raises(InputError, match="returned 3; change the network in place"):
        sc.prune(residual(), EXAMPLE, method="l1-norm", macs=0.7, compensate=lambda small, removal: 3)


def narrow(small, removal):
    small.head.weight = nn.Parameter(torch.full((1, 1), 7.0))


def silent(small, removal):
    with torch.no_grad():
        small.head.weight.fill_(float("nan"))


def halved(small, removal):
    small.half()


def bare(small, removal):
    small.head.bias = None


@pytest.mark.parametrize(
    ("repair", "words"),
    [
        (narrow, r"'narrow' left 'head.weight' as \[1, 1\] of float32, which was"),
        (silent, "'silent' left NaN or infinite values in 'head.weight'"),
        (halved, "'halved' left .* of float16, which was .* of float32"),
        (bare, "'bare' left 'head.bias' as missing"),
    ],
)
def test_a_repair_that_does_more_than_repair_is_told_so(repair, words):
    with pytest.raises(InputError, match=words):
        sc.prune(residual(), EXAMPLE, method="l1-norm", macs=0.7, compensate=repair)


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        (None, "returned None"),
        ([1], "returned a list"),
        (np.array([0.5]), "return the units"),
        ("all", "at most"),
        ("none", "at least one"),
    ],
)
def test_a_target_that_returns_something_else_is_told_so(counts, words):
    class Mine:
        name, value = "mine", 0.5

        def counts(self, attempt):
            sizes = attempt.ranking.graph.costs.sizes
            return (
                {"all": sizes + 1, "none": sizes * 0}.get(counts, counts)
                if isinstance(counts, str)
                else counts
            )

        def remarks(self, attempt, small):
            return ()

    with pytest.raises(InputError, match=words):
        sc.prune(residual(), EXAMPLE, method="l1-norm", target=Mine())
    with pytest.raises(InputError, match="give an object of it"):
        sc.prune(residual(), EXAMPLE, method="l1-norm", target=Mine)


def test_the_help_names_every_allocation_and_repair():
    by_name = {one.name: one.metadata["option"].help for one in fields(sc.PruneConfig)}
    assert all(name in by_name["allocate"] for name in sc.allocate.names())
    assert all(name in by_name["compensate"] for name in sc.compensate.names())
    assert all(f'"{name}"' in sc.PruneConfig.__doc__ for name in sc.allocate.names())


def units(graph):
    return lambda counts: float(counts.sum())


def test_a_target_of_ones_own_is_a_cost_or_a_class():
    graph = sc.trace(residual(), EXAMPLE)
    ranking = sc.rank(graph, sc.methods.get("l1-norm"))
    made = sc.plan(ranking, target=Counted(0.6, "units", units))
    kept = sum(len(made.kept.get(name, range(size))) for name, size in made.sizes.items())
    assert kept <= 0.6 * sum(made.sizes.values()) < kept + 1

    class Two:
        name, value = "two", 2.0

        def counts(self, attempt):
            return np.minimum(attempt.ranking.graph.costs.sizes, attempt.schedule().counts(2))

        def remarks(self, attempt, small):
            return ("two left",)

    result = sc.prune(residual(), EXAMPLE, method="l1-norm", target=Two())
    assert sum(g.size - g.kept for g in result.groups) == 2
    assert "two left" in result.remarks
    assert dict(result.target) == {"two": 2.0}


def test_a_target_that_says_no_ends_the_run():
    class Never(Counted):
        def remarks(self, attempt, small):
            raise TargetError("not small enough")

    with pytest.raises(TargetError, match="not small enough"):
        sc.prune(residual(), EXAMPLE, method="l1-norm", target=Never(0.6, "units", units))


@pytest.mark.parametrize("name", sc.allocate.names())
def test_plan_takes_allocations_by_name_as_prune_does(name):
    ranking = sc.rank(sc.trace(residual(), EXAMPLE), sc.methods.get("l1-norm"))
    if name in ("sensitivity", "search"):
        with pytest.raises(sc.SecateursError):
            sc.plan(ranking, macs=0.7, allocate=name)
        return
    by_name = sc.plan(ranking, macs=0.7, allocate=name)
    assert by_name == sc.plan(ranking, macs=0.7, allocate=sc.allocate.get(name))
    assert by_name.kept == sc.prune(residual(), EXAMPLE, method="l1-norm", macs=0.7, allocate=name).plan.kept


def test_plan_measures_latency_and_accuracy_too():
    net = residual()
    ranking = sc.rank(sc.trace(net, EXAMPLE), sc.methods.get("l1-norm"))
    size = lambda module: float(sum(p.numel() for p in module.parameters()))  # noqa: E731
    made = sc.plan(ranking, latency=(0.7, size))
    assert size(sc.remove(net, made)) <= 0.7 * size(net)
    labels = net.eval()(IMAGES).argmax(1)
    floor = sc.plan(ranking, accuracy_drop=60.0, holdout=[(IMAGES, labels)])
    right = (sc.remove(net, floor)(IMAGES).argmax(1) == labels).float().mean()
    assert right >= 0.4


def test_a_search_of_ones_own_settings_gets_the_data():
    search = sc.allocate.Search(batch=4, images=16, repair="none")
    result = sc.prune(residual(), EXAMPLE, method="l1-norm", macs=0.8, allocate=search, data=IMAGES)
    again = sc.prune(residual(), EXAMPLE, method="l1-norm", macs=0.8, allocate=replace(search, data=IMAGES))
    assert result.plan.kept == again.plan.kept
    assert result.allocate == "search"


def test_type_checkers_and_notebooks_see_the_settings():
    import inspect

    names = list(inspect.signature(sc.prune).parameters)
    assert names[:2] == ["model", "example"]
    assert set(names) >= {one.name for one in fields(sc.PruneConfig)} | {
        "data",
        "holdout",
        "metric",
        "progress",
    }


def test_sizes_that_layers_gives_hold_in_a_config():
    result = sc.prune(
        residual(), EXAMPLE, config=sc.PruneConfig(method="l1-norm", keep=0.5, layers={"stem": 1.0})
    )
    assert "stem" not in result.plan.kept
    assert isinstance(result.model, nn.Module)
