"""Plans and files that somebody has changed: one sentence, before anything is made."""

import json
import resource
import struct

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

import secateurs as sc
from networks import EXAMPLE, residual
from secateurs.checks import form


@pytest.fixture(scope="module")
def pruned():
    return sc.prune(residual(), EXAMPLE, method="l2-norm", macs=0.5)


def changed(plan, change):
    data = json.loads(plan.to_json())
    change(data)
    return json.dumps(data)


def first_slice(data):
    tensors = data["steps"][0]["slices"]
    return tensors["stem.weight"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: first_slice(d).update({"0": [0, "1"]}), "'1' and has to be a whole number"),
        (lambda d: first_slice(d).update({"0": [0, 1.5]}), "1.5 and has to be a whole number"),
        (lambda d: first_slice(d).update({"0": [False, True]}), "False and has to be a whole number"),
        (lambda d: first_slice(d).update({"0": [-1, 2]}), "-1 and has to be larger than -1"),
        (lambda d: first_slice(d).update({"0": [2, 2]}), "2 and has to be larger than 2"),
        (lambda d: first_slice(d).update({"0": [2, 1]}), "1 and has to be larger than 2"),
        (lambda d: first_slice(d).update({"0": []}), "a list of positions"),
        (lambda d: first_slice(d).update({"0": 3}), "a list of positions"),
        (lambda d: first_slice(d).update({"0": [10**400]}), "more than 38 digits"),
        (lambda d: first_slice(d).update({"rows": [0]}), "'rows' and has to be an axis"),
        (lambda d: first_slice(d).update({"-1": [0]}), "'-1' and has to be an axis"),
        (lambda d: d["steps"][0].update(slices=[]), "steps.0..slices is a list and has to be an object"),
        (lambda d: d["steps"][0].pop("shapes"), "lacks 'shapes'"),
        (lambda d: d["steps"][0]["shapes"].update({"stem.weight": "big"}), "'big' and has to be a list"),
        (lambda d: d["steps"][0].update(frames=[3]), "3 and has to be text"),
        (lambda d: d["steps"][0].update(folds={"one.0": "twice"}), "'twice' and has to be one of"),
        (lambda d: d["steps"][0].update(added={"head.bias": -4}), "-4 and has to be a whole number"),
        (lambda d: d.update(steps=[d["steps"][0]] * 1001), "a list of at most 1000"),
        (lambda d: d.update(steps=None), "steps is None"),
        (lambda d: d.pop("steps"), "lacks 'steps'"),
        (lambda d: d.update(kept={"stem": [0, 999]}), "keeps unit 999"),
        (lambda d: d.update(sizes={"stem": "8"}), "'8' and has to be a whole number"),
        (lambda d: d.update(target={"macs": "half"}), "'half' and has to be a number"),
        (lambda d: d.update(method="x" * 5000), "text of at most 1000 characters"),
        (lambda d: d.update(version=0), "0 and has to be a whole number from 1"),
        (lambda d: d.update(version=1.0), "1.0 and has to be a whole number"),
        (lambda d: d.update(version=True), "True and has to be a whole number"),
        (lambda d: d.update(version="1"), "'1' and has to be a whole number"),
        (lambda d: d.pop("version"), "lacks 'version'"),
    ],
)
def test_a_changed_plan_names_the_place(pruned, change, words):
    with pytest.raises(sc.InputError, match=words) as found:
        sc.Plan.from_json(changed(pruned.plan, change))
    assert len(str(found.value)) < 500


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s["slices"]["stem.weight"].update({"0": [0, 8]}), "position 8 of axis 0, which has 8"),
        (lambda s: s["slices"]["stem.weight"].update({"7": [0]}), "has no axis 7"),
        (lambda s: s["slices"].update({"other": {"0": [0]}}), "does not say what shape"),
        (lambda s: s["shapes"].update({"other": [3]}), "has no 'other'"),
        (lambda s: s.update(attributes={"nowhere": {"groups": 1}}), "no module 'nowhere'"),
        (lambda s: s.update(attributes={"stem": {"__class__": 1}}), "'__class__' of 'stem' is no size"),
        (lambda s: s.update(attributes={"stem": {"_version": 1}}), "'_version' of 'stem' is no size"),
        (lambda s: s.update(attributes={"stem": {"forward": 1}}), "'forward' of 'stem' is no size"),
        (lambda s: s.update(attributes={"stem": {"training": 1}}), "'training' of 'stem' is no size"),
        (
            lambda s: s.update(attributes={"stem": {"kernel_size.0": 1}}),
            "'kernel_size.0' of 'stem' is no size",
        ),
        (lambda s: s.update(attributes={"stem": {"in_channels": 10**12}}), "is 3 and would grow"),
        (lambda s: s.update(added={"stem.bias": 10**12}), "to have 1000000000000 entries"),
        (lambda s: s.update(added={"stem.weight2": 4}), "no layer for 'stem.weight2'"),
        (lambda s: s.update(added={"nowhere.bias": 4}), "no layer for 'nowhere.bias'"),
        (lambda s: s.update(frames=["head"]), "no convolution 'head'"),
        (lambda s: s.update(folds={"head": "both"}), "no convolution 'head'"),
    ],
)
def test_a_plan_that_does_not_fit_is_found_before_anything_is_made(pruned, change, words):
    plan = sc.Plan.from_json(changed(pruned.plan, lambda d: change(d["steps"][0])))
    net = residual()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    with pytest.raises(sc.MismatchError, match=words):
        sc.remove(net, plan)
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())


def test_a_plan_made_by_hand_is_checked_too():
    step = sc.Plan({}, {}, ({"slices": 3},))
    with pytest.raises(sc.InputError, match="plan: it is damaged"):
        sc.remove(residual(), step)


def test_deep_nesting_is_refused():
    for text in ("[" * 100_000, '{"a":' * 100_000, "[" * 100_000 + "]" * 100_000):
        with pytest.raises(sc.InputError, match="cannot be read"):
            sc.Plan.from_json(text)


def test_large_texts_are_refused_before_they_are_parsed(monkeypatch):
    monkeypatch.setattr(form.json, "loads", lambda *a, **k: pytest.fail("parsed"))
    for text in (
        " " * (form.LONGEST_TEXT + 1),
        "[]," * (form.MOST_PARTS + 1),
        "9," * (form.MOST_ENTRIES + 1),
    ):
        with pytest.raises(sc.InputError, match="more than any network needs"):
            sc.Plan.from_json(text)


def test_nan_is_no_json():
    with pytest.raises(sc.InputError, match="NaN is no number"):
        sc.Plan.from_json('{"a": NaN}')


def rewritten(path, change):
    """The same file with other metadata, or other tensors."""
    with safe_open(path, "pt") as file:
        metadata, state = dict(file.metadata()), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(metadata, state)
    save_file(state, path, metadata)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m, s: m.update({"secateurs.shared": "[]"}), "list of shared tensors is damaged"),
        (lambda m, s: m.update({"secateurs.shared": "[" * 99_999}), "nested too deeply"),
        (lambda m, s: m.update({"secateurs.shared": '{"head.bias": 3}'}), "3 and has to be text"),
        (lambda m, s: m.update({"secateurs.shared": '{"head.bias": "x"}'}), "holds no 'x'"),
        (lambda m, s: m.update({"secateurs.shared": '{"x": "head.bias"}'}), "holds 'x'"),
        (lambda m, s: m.update({"secateurs.plan": "{}"}), "not a secateurs plan"),
        (lambda m, s: s.update({"head.bias": s["head.bias"][:2].clone()}), r"shape \[2\] in the file"),
        (lambda m, s: s.update({"head.bias": s["head.bias"].double()}), "float64 in the file"),
        (lambda m, s: s.update({"head.bias": s["head.bias"].to(torch.int64)}), "int64 in the file"),
        (lambda m, s: s.pop("head.bias"), "no 'head.bias'"),
        (lambda m, s: s.update({"y" * 4000: torch.zeros(1)}), r"yyy\.\.\.', which this network has not"),
    ],
)
def test_a_changed_file_names_what_is_wrong(pruned, tmp_path, change, words):
    path = tmp_path / "small.safetensors"
    sc.save(pruned, path)
    rewritten(path, change)
    with pytest.raises(sc.InputError, match=words) as found:
        sc.load(path, into=residual())
    assert len(str(found.value)) < 500


def test_a_header_bomb_is_refused_unread(tmp_path):
    path = tmp_path / "bomb.safetensors"
    for length in (2**63, 2**40, 10**9):
        path.write_bytes(struct.pack("<Q", length) + b"{}")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(sc.InputError, match="header would be"):
            sc.load(path, into=residual())
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 2**10


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(pruned, tmp_path, share):
    path = tmp_path / "small.safetensors"
    sc.save(pruned, path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(sc.InputError, match="cannot be read as safetensors"):
        sc.load(path, into=residual())


def test_an_attribute_that_is_not_there_stays_away():
    net = nn.Sequential(nn.Linear(2, 2))
    made = sc.remove(net, sc.Plan({}, {}, (sc.surgery.plan.Step({}, {}, {"0": {"groups": 1}}),)))
    assert not hasattr(made[0], "groups")
