"""The house: imports run one way, importing is light, public names are documented."""

import ast
import graphlib
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import secateurs

SOURCE = Path(secateurs.__file__).parent

# A room is a folder, or a file beside the folders. Each may import from the rooms that stand before its line, none from
# its own line or after it.
FLOORS = [
    ["effort", "errors", "layout", "signature", "version"],
    ["contracts"],
    ["checks", "running"],
    ["arrays", "audio", "layers"],
    ["data"],
    ["represent", "measure", "select", "network"],
    ["graph", "meters"],
    ["surgery"],
    ["zoo", "export"],
    ["statistics", "methods", "plans"],
    ["compensate"],
    ["allocate"],
    ["survey", "targets"],
    ["looking"],
    ["config", "planning"],
    ["arguments", "proof", "tuning"],
    ["forecast", "recover"],
    ["recipe"],
    ["cutting"],
    ["pipeline"],
    ["stepping"],
    ["comparing", "report"],
    ["runs"],
    ["cli"],
    ["__main__"],
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}

# Packages that may be missing, and one that takes a second to import and is needed by two functions.
OPTIONAL = {
    "igraph",
    "lightning_fabric",
    "onnx",
    "onnxruntime",
    "PIL",
    "sklearn",
    "soundfile",
    "soxr",
    "timm",
    "torchmetrics",
    "torchvision",
}

# Imports inside functions, or for types alone, with the reason.
EXCEPTIONS = {
    "config.py": {  # the command line reads its fields for --help, which cannot wait for torch
        "secateurs.allocate.sequence",
        "secateurs.compensate.base",
        "secateurs.graph.trace",
        "secateurs.meters.scoring",
        "secateurs.methods",
        "secateurs.targets.base",
        "secateurs.targets.latency",
        "secateurs.targets.widths",
    },
    "recover/written.py": {"torch.utils.tensorboard"},  # takes a second, and may lack what it needs
    "tuning.py": {"secateurs.checks", "secateurs.checks.shown", "secateurs.meters.scoring"},  # as config.py
}

FILES = sorted(SOURCE.rglob("*.py"))
NAMED = {
    ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in FILES
}


def name_of(path):
    return next(name for name, other in NAMED.items() if other == path)


def room_of(module):
    return module.split(".")[1] if "." in module else ""


@cache
def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def imported_by(node):
    """Modules that one statement imports; of ours the module itself, not the name taken from it."""
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        for alias in node.names:
            whole = f"{node.module}.{alias.name}"
            yield whole if whole in NAMED else node.module
    elif isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)


def imports(path):
    """Our modules that are imported anywhere in a file: inside functions and for types too."""
    found = {name for node in ast.walk(tree_of(path)) for name in imported_by(node)}
    return {name for name in found if name.split(".")[0] == "secateurs"}


def late(path):
    """Modules that are imported inside functions, or under a condition such as TYPE_CHECKING."""
    tree = tree_of(path)
    nested = [
        node
        for statement in tree.body
        if not isinstance(statement, (ast.Import, ast.ImportFrom))
        for node in ast.walk(statement)
    ]
    return {name for node in nested for name in imported_by(node)}


def shown(path):
    return str(path.relative_to(SOURCE))


@pytest.mark.parametrize("path", FILES, ids=shown)
def test_folders_import_downwards(path):
    module = name_of(path)
    if module == "secateurs":  # which names the homes of what it offers
        return
    own = room_of(module)
    assert own in FLOOR, f"{module} has no place on the floors"
    for other in imports(path):
        if other == "secateurs":
            assert own == "cli", f"{module} imports the whole package, which stands above it"
            continue
        room = room_of(other)
        assert room == own or FLOOR[room] < FLOOR[own], f"{module} imports {other}, which is not below it"


def test_no_modules_import_each_other():
    needs = {name: imports(path) - {"secateurs", name} for name, path in NAMED.items() if name != "secateurs"}
    needs["secateurs.cli"] -= late(NAMED["secateurs.cli"])  # the command line itself, once it is started
    list(graphlib.TopologicalSorter(needs).static_order())  # raises a CycleError that names them


@pytest.mark.parametrize("path", FILES, ids=shown)
def test_imports_stand_at_the_top(path):
    allowed = EXCEPTIONS.get(shown(path), set())
    found = {name for name in late(path) if name.split(".")[0] not in OPTIONAL} - allowed
    if room_of(name_of(path)) == "cli" or path == SOURCE / "__init__.py":
        return  # their imports wait until a command or a name is asked for
    assert not found, f"{shown(path)} imports {', '.join(sorted(found))} late"


def test_every_exception_is_still_needed():
    for name, modules in EXCEPTIONS.items():
        assert modules <= late(SOURCE / name), name


def test_importing_is_light():
    edges = "torchvision timm onnx onnxruntime onnxscript PIL matplotlib networkx igraph rustworkx torchaudio soundfile"
    code = (
        "import sys, secateurs, torch\n"
        f"found = [m for m in '{edges}'.split() if m in sys.modules]\n"
        "assert not found, found\n"
        "assert not torch.cuda.is_initialized()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_public_names_exist_and_are_documented():
    for name in secateurs.__all__:
        thing = getattr(secateurs, name)
        assert thing.__doc__, name


def test_only_layers_know_layer_types():
    types = ("nn.Conv", "nn.Linear", "nn.BatchNorm", "_ConvNd", "_BatchNorm", "nn.GroupNorm", "nn.RNNBase")
    knowing = {"layers", "zoo", "recover"}  # networks are made of layers; statistics are those of batch norm
    for path in SOURCE.rglob("*.py"):
        part = path.relative_to(SOURCE).parts[0].removesuffix(".py")
        tree = ast.parse(path.read_text(encoding="utf-8"))
        code = ast.unparse(_without_docstrings(tree))
        if part not in knowing:
            assert not any(t in code for t in types), path


def _without_docstrings(tree):
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(body, list)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
        ):
            body[0] = ast.Pass()
    return tree
