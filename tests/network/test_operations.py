"""The table of operations says what PyTorch's operations are, and there is no second one."""

import ast
from collections import Counter
from pathlib import Path

import pytest
import torch
from torch.autograd import forward_ad
from torch.nn import functional as F

import secateurs
from secateurs.graph.rules import RULES
from secateurs.network.operations import _TABLE, OPERATIONS

SOURCE = Path(secateurs.__file__).parent
# What each has of its own: implementations, and the proof's reading, which a mistake in the table must not reach.
OWN = {
    "chance.py": "how each random function is made to draw one number",
    "masked_norm.py": "each normalisation over the channels that stay alone",
    "tangent.py": "how the derivative of each is worked out",
    "places.py": "where the proof finds the channels of a layer, whatever the table says",
}


def listed(tree):
    """Collections of which most members, two at least, are names of operations: (line, names)."""
    rules = {
        id(node)
        for statement in ast.walk(tree)
        if isinstance(statement, ast.AnnAssign) and getattr(statement.target, "id", "") == "RULES"
        for node in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if id(node) in rules:  # keys are names of rules, held against the table below
            continue
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            items = node.elts
        elif isinstance(node, ast.Dict):
            items = [*node.keys, *node.values]
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "split":
            text = getattr(node.func.value, "value", "")
            items = [ast.Constant(word) for word in text.split()] if isinstance(text, str) else []
        else:
            continue
        words = [i.value for i in items if isinstance(i, ast.Constant) and isinstance(i.value, str)]
        names = [word for word in words if word in OPERATIONS or word.removesuffix("_") in OPERATIONS]
        if len(names) > 1 and 2 * len(names) >= len(words):
            yield node.lineno, names


ALLOWED = [
    {"add", "sub"},  # zeros meet zeros only where both have the labels
    {"cpu", "cuda"},  # devices
    {"pad", "repeat"},  # what becomes of a clip that is too short
]


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda p: str(p.relative_to(SOURCE)))
def test_there_is_no_second_list_of_operations(path):
    if path.name in OWN or path.name == "operations.py":
        return
    found = [
        (line, names)
        for line, names in listed(ast.parse(path.read_text(encoding="utf-8")))
        if set(names) not in ALLOWED
    ]
    assert not found, f"operations are listed in network/operations.py alone; here, by line: {found}"


def test_the_search_for_lists_finds_them():
    code = 'A = ("conv2d", "linear")\nB = {"relu_": 1, "tanh": 2}\nC = "view permute cat".split()\nD = ("a", "b")'
    assert [names for _, names in listed(ast.parse(code))] == [
        ["conv2d", "linear"],
        ["relu_", "tanh"],
        ["view", "permute", "cat"],
    ]


def test_every_operation_has_one_entry_and_every_rule_is_used():
    assert {n: c for n, c in Counter(n for names, _ in _TABLE for n in names.split()).items() if c > 1} == {}
    assert {entry.passes for entry in OPERATIONS.values()} - {""} == set(RULES)


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_every_name_is_one_of_pytorchs(name):
    homes = (torch.ops.aten, torch.ops.prims, torch, torch.Tensor, F)
    written = any(hasattr(home, n) for home in homes for n in (name, f"{name}_"))
    assert written or "::" in name or name == "copy_to"


def test_weights_are_where_the_schema_has_them():
    for name, entry in OPERATIONS.items():
        if entry.kind == "layer" and "::" not in name:
            packet = getattr(torch.ops.aten, name)
            names = [a.name for a in getattr(packet, packet.overloads()[0])._schema.arguments]
            assert names[entry.weight] == "weight", name
    x, w = torch.randn(2, 3), torch.randn(3, 4)
    for name, args in (("mm", (x, w)), ("addmm", (torch.zeros(4), x, w)), ("matmul", (x, w))):
        given = list(args)
        given[OPERATIONS[name].weight] = torch.zeros_like(w)
        assert not getattr(torch.ops.aten, name)(*given).any(), name


ACTIVATIONS = [
    n for n, e in OPERATIONS.items() if e.kind == "activation" and e.passes != "prelu" and n[0] != "_"
]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_keep_shape_and_can_be_differentiated_forward(name):
    function = getattr(F, {"log_sigmoid": "logsigmoid"}.get(name, name), None) or getattr(torch, name)
    x = torch.randn(2, 3, 4)
    with forward_ad.dual_level():
        y = forward_ad.unpack_dual(function(forward_ad.make_dual(x, torch.ones_like(x))))
    assert y.primal.shape == y.tangent.shape == x.shape


@pytest.mark.parametrize("name", [n for n, e in OPERATIONS.items() if e.keeps_zero])
def test_zeros_stay_zeros(name):
    x = torch.zeros(2, 3)
    other = {"mul": (torch.ones(2, 3),), "to": (torch.float64,)}.get(name, ())
    packet = getattr(torch.ops.aten, name, None)
    made = getattr(x, name)(*other) if hasattr(x, name) else packet(x, *other)
    assert not made.any()


def test_pooling_leaves_all_but_its_space():
    for name, entry in OPERATIONS.items():
        pools = name.endswith(f"_pool{entry.space}d") and not name.startswith("fractional")
        if entry.passes == "space" and pools and hasattr(F, name):
            x = torch.randn(2, 3, *[8] * entry.space)
            sizes = [4] if name.startswith("adaptive") else [2.0, 2] if name.startswith("lp") else [2]
            assert getattr(F, name)(x, *sizes).shape[:2] == (2, 3), name
