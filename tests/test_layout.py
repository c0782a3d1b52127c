"""The house: imports run one way, importing is light, public names are documented."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import secateurs

SOURCE = Path(secateurs.__file__).parent

# Each may import what stands before it, and itself.
LAYERS = [
    ["errors"],
    ["checks"],
    ["contracts"],
    ["arrays", "layout", "modes"],
    ["represent", "measure", "select"],
    ["data"],
    ["surgery"],
    ["graph", "zoo"],
    ["observe", "compose"],
    ["methods", "recover"],
    ["report.timing", "report.scoring", "report.paired"],
    ["report.costs", "report.latency", "report.accuracy"],
    ["plans"],
    ["allocate", "compensate"],
    ["targets"],
    ["planning"],
    ["config"],
    ["survey"],
    ["signature", "arguments"],
    ["recipe"],
    ["pipeline"],
    ["export", "report"],
    ["cli", "__main__"],
]


def part_of(module):
    dotted = ".".join(module.split(".")[1:])
    fine = [name for layer in LAYERS for name in layer if dotted == name or dotted.startswith(f"{name}.")]
    return max(fine, key=len, default=None)


def level(part):
    return next(i for i, layer in enumerate(LAYERS) if part in layer)


def imports(path):
    """Modules imported when the file is imported (not inside functions, not for types only)."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("secateurs"):
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                is_module = (SOURCE.parent / Path(*whole.split("."))).with_suffix(".py").exists()
                is_package = (SOURCE.parent / Path(*whole.split("."))).is_dir()
                yield whole if is_module or is_package else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("secateurs"))


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_run_downwards(path):
    module = ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__")
    if module == "secateurs":
        return
    own = part_of(module)
    assert own is not None, f"{module} has no place in the layers"
    for other in imports(path):
        if other == "secateurs":
            continue
        part = part_of(other)
        assert part is not None, other
        assert level(part) <= level(own), f"{module} imports {other}, which lies above it"


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


def test_only_graph_and_surgery_know_layer_types():
    types = ("nn.Conv", "nn.Linear", "nn.BatchNorm", "_ConvNd", "_BatchNorm", "nn.GroupNorm", "nn.RNNBase")
    knowing = {
        "graph",
        "surgery",
        "zoo",
        "recover",
    }  # networks are made of layers; statistics are those of batch norm
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
