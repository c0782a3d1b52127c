"""docs/architecture.md: its Python runs, and the rooms it names are the rooms there are."""

import re
from pathlib import Path

import secateurs

TEXT = (Path(__file__).resolve().parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8")
SOURCE = Path(secateurs.__file__).parent


def test_what_is_added_from_outside_runs():
    names: dict = {}
    results = []
    for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL):
        exec(compile(block, "architecture.md", "exec"), names)
        results.append(names["result"])
    assert [result.verification.tolerance > 0 for result in results] == [True] * 4
    assert results[0].method.endswith("largest")
    assert results[1].compensate == "centred"
    assert results[2].allocate == "first_to_last"
    assert dict(results[3].target) == {"units": 0.8}
    assert all(result.after.macs <= 0.6 * result.before.macs for result in results[:3])


def test_every_room_is_on_the_map():
    told = set(re.findall(r"[a-z_]+", " ".join(re.findall(r"^\*\*([^*]+)\.\*\*", TEXT, re.MULTILINE))))
    rooms = {path.name for path in SOURCE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert rooms <= told, sorted(rooms - told)


def test_every_file_that_is_named_is_there():
    for name in set(re.findall(r"`((?:\w+/)*\w+\.py)`", TEXT)) - {"my_file.py"}:
        root = SOURCE.parents[1]
        assert any(SOURCE.rglob(name.rpartition("/")[2])) or (root / name).exists(), name
