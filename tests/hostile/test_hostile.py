"""Every hostile network, cold and run before, through `prune`: the result or a sentence, an original as it was."""

from __future__ import annotations

import pytest
import torch

import secateurs as sc
from hostile.cases import CASES
from hostile.open import OPEN
from hostile.original import shared
from hostile.watch import (
    UNKNOWN,
    digest,
    nothing_left,
    prune_watched,
    resized,
    run,
    runs_alike,
    silencing_gap,
)

OPTIONS = {"method": "l1-norm", "keep": 0.5}


def _params():
    for case in CASES:
        for way in case.ways:
            why = OPEN.get(f"{case.name} [{way}]")
            marks = [pytest.mark.xfail(strict=False, reason=why)] if why else []
            yield pytest.param((case, way), id=f"{case.name} [{way}]", marks=marks)


@pytest.fixture(scope="module", params=_params())
def tried(request):
    """The case, a builder that starts afresh, and what pruning did."""
    case, way = request.param

    def build():
        if case.reset:
            case.reset()
        return case.build()

    def prepared():
        model = build()
        if way == "run before":
            try:
                run(model, case.example, case.read)
            except Exception:  # networks that cannot run at all are refused
                model = build()
        return model

    try:
        expected = digest(run(prepared(), case.example, case.read))
    except Exception:
        expected = None
    if any(p.device.type == "meta" for p in case.build().parameters()):
        expected = None
    watched = prune_watched(prepared(), case.example, **{**OPTIONS, **case.options})
    yield case, (build, prepared), watched, expected
    if case.reset:
        case.reset()


def test_the_result_or_one_sentence(tried):
    case, _, watched, _ = tried
    says = case.says
    if watched.error is not None and case.or_says:
        says = case.or_says
    if says is None:
        assert watched.error is None, f"{type(watched.error).__name__}: {watched.error}"
        if case.prunes:
            assert not nothing_left(watched.result.plan), str(watched.result)
        before = {name: tuple(p.shape) for name, p in watched.model.named_parameters()}
        after = {name: tuple(p.shape) for name, p in watched.result.model.named_parameters()}
        assert {n: after[n] for n in case.whole} == {n: before[n] for n in case.whole}
        return
    assert isinstance(watched.error, sc.SecateursError), repr(watched.error or watched.result)
    with pytest.raises(type(watched.error), match=says):
        raise watched.error
    assert "please report" not in str(watched.error)
    assert "\n" not in str(watched.error)


def test_the_original_is_as_it_was(tried):
    _, _, watched, _ = tried
    assert not watched.differences, "\n".join(watched.differences[:12])


def test_the_original_runs_and_gives_the_same_bits(tried):
    case, _, watched, expected = tried
    if expected is None:
        pytest.skip("the original does not run")
    assert digest(run(watched.model, case.example, case.read)) == expected


def test_nothing_is_said_on_stderr(tried):
    _, _, watched, _ = tried
    assert "Traceback" not in watched.stderr


def test_the_result_runs_where_the_original_does(tried):
    case, build, watched, _ = tried
    if watched.result is None:
        assert case.says or case.or_says, str(watched.error)
        pytest.skip("refused")
    assert not shared(watched.model, watched.result.model)
    assert not runs_alike(build[1], watched.result.model, case.example, case.read, case.training)


@pytest.mark.parametrize("size", ["the example's size", "another size"])
def test_silencing_by_the_plan_says_the_same(tried, size):
    case, (build, _), watched, _ = tried
    if watched.result is None or not case.silence or nothing_left(watched.result.plan):
        assert watched.result is not None or case.says or case.or_says, str(watched.error)
        pytest.skip("nothing to silence")
    example, plan = (
        case.example if size == "the example's size" else resized(case.example),
        watched.result.plan,
    )
    try:
        run(build(), example, case.read)
    except Exception:
        pytest.skip("the original does not run")
    try:
        gap, where, count = silencing_gap(build, sc.remove(build(), plan), plan, example, case.read)
        tolerance = case.tolerance
    except RuntimeError:  # code that fixes a type
        gap, where, count = silencing_gap(
            build, sc.remove(build(), plan), plan, example, case.read, double=False
        )
        tolerance = 1e-4
    if where == UNKNOWN:
        pytest.skip(where)
    assert count > 0
    assert gap < tolerance, f"{where}: {gap:.1e} of its spread"


def test_cases_are_named_once():
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
    assert torch.get_default_dtype() == torch.float32
