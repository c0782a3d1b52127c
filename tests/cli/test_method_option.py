"""`--method`: settings after a colon, code of the user's own, and whose code is run."""

import json
import sys
from pathlib import Path

import pytest
from cli_support import mistake

from secateurs.methods import names, settings_of

OWN = """
from pathlib import Path

import torch
from secateurs.methods import Composition, Method
from secateurs.represent import Filters
from secateurs.select import by_worth

Path("mark").write_text("run")


def score(filters):
    return filters.abs().amax(dim=1)


def broken(filters):
    return filters.nothing


linf = Method("linf", "filters whose largest weight is smallest", Composition(Filters(), score, by_worth))
number = 3
"""
PRUNE = ("prune", "digits_cnn", "--keep", "0.5", "--out", "out")


@pytest.fixture
def criterion(work: Path, monkeypatch: pytest.MonkeyPatch):
    """The user's own file, and the same as a module of a package."""
    (work / "mine").mkdir()
    (work / "mine" / "__init__.py").write_text("")
    for place in (work / "my_file.py", work / "mine" / "scores.py"):
        place.write_text(OWN)
    yield work
    for name in ("mine", "mine.scores"):
        sys.modules.pop(name, None)


def recorded(folder: Path) -> dict:
    result = json.loads((folder / "result.json").read_text())
    assert json.loads((folder / "plan.json").read_text())["method"] == result["method"]
    return result


def largest_stay(kept):
    import own

    worth = own.net().first.weight.detach().double().flatten(1).abs().amax(dim=1)
    return set(kept) == set(worth.argsort(stable=True)[-len(kept) :].tolist())


@pytest.mark.parametrize(
    ("given", "record"),
    [
        ("fp_omp", "fp-omp"),
        ("fp-omp:faithful", "fp-omp:faithful"),
        ("similarity-nystrom:columns=3", "similarity-nystrom:columns=3"),
        ("similarity_nystrom:columns=3,faithful=false", "similarity-nystrom:columns=3"),
        ("channel-similarity:kind=relu", "channel-similarity:kind=relu"),
    ],
)
def test_settings_are_taken_and_stand_on_record(cli, work: Path, given: str, record: str):
    done = cli(*PRUNE, "--method", given)
    assert done.status == 0, done
    assert recorded(work / "out")["method"] == record
    assert record in done.out


@pytest.mark.parametrize("given", ["my_file.py:score", "mine.scores:score", "my_file.py:linf"])
def test_a_criterion_of_the_user_s_own(cli, criterion: Path, given: str):
    done = cli("prune", "own:net", "--input", "1,2,8,8", "--keep", "0.5", "--out", "out", "--method", given)
    assert done.status == 0, done
    assert recorded(criterion / "out")["method"] == given
    assert largest_stay(json.loads((criterion / "out" / "plan.json").read_text())["kept"]["first"])


def test_what_was_ranked_by_own_code_is_read_without_running_it(cli, criterion: Path):
    """A folder's result names the method, and no command imports it, whatever is asked of the folder."""
    assert cli(*PRUNE, "--method", "mine.scores:score").status == 0
    for name in ("mine", "mine.scores"):
        del sys.modules[name]
    (criterion / "mark").unlink()
    for method in ("mine.scores:score", "my_file.py:score", "my_file:score"):
        path = criterion / "out" / "result.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "method": method}))
        for command in (
            ("report", "out"),
            ("inspect", "out", "--trust"),
            ("evaluate", "out", "--data", "digits"),
            ("prune", "out", "--method", "l1-norm", "--keep", "0.9", "--out", f"again-{len(method)}"),
        ):
            done = cli(*command)
            assert done.status == 0, done
    assert not (criterion / "mark").exists()
    assert not {"mine", "mine.scores", "my_file"} & set(sys.modules)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("l1norm", ("there is no 'l1norm'", "l1-norm")),
        ("fp-omp:faithfull", ("no setting 'faithfull'", "faithful")),
        (
            "similarity-nystrom:columns=many",
            ("columns", "'many'", "a whole number or several (12+6+21) or none"),
        ),
        ("similarity-nystrom:columns=5000", ("columns is 5000", "the number of filters")),
        ("nothing.py:score", ("'nothing.py:score' names a file that is not there",)),
        ("nothing.here:score", ("names a module that cannot be found",)),
        ("my_file.py:scores", ("has no 'scores'", "score")),
        ("my_file.py:number", ("'my_file.py:number' is 3", "give a function of filters")),
        ("my_file.py:Path", ("is the class",)),
        ("my_file.py:broken", ("'my_file.py:broken'", "failed with AttributeError")),
        ("my_file.py:", ("not of the form",)),
        ("wrong.py:score", ("running 'wrong.py' failed with SyntaxError",)),
    ],
)
def test_a_method_that_cannot_be_had_is_named(cli, criterion: Path, given: str, words: tuple[str, ...]):
    (criterion / "wrong.py").write_text("def score(:")
    mistake(cli(*PRUNE, "--method", given), 2, *words)
    assert not (criterion / "out").exists()


def test_methods_lists_the_settings(cli):
    rows = json.loads(cli("methods", "--json").out)
    assert {row["name"]: tuple(row["settings"]) for row in rows} == {
        name: settings_of(name) for name in names()
    }
    assert "columns, faithful" in cli("methods").out


@pytest.mark.parametrize("file", ["out", "settings.json"])
def test_own_code_that_a_file_names_runs_only_where_it_is_trusted(cli, criterion: Path, file: str):
    assert cli(*PRUNE, "--method", "my_file.py:score").status == 0
    (criterion / "settings.json").write_text(json.dumps({"method": "my_file.py:score", "keep": 0.5}))
    (criterion / "mark").unlink()
    model = () if file == "out" else ("digits_cnn",)
    refused = cli("prune", *model, "--config", file, "--out", "two")
    mistake(refused, 2, "names 'my_file.py:score'", "--method", "--trust")
    assert not (criterion / "mark").exists()

    done = cli("prune", *model, "--config", file, "--method", "l1-norm", "--out", "two")
    assert done.status == 0, done
    assert not (criterion / "mark").exists()

    done = cli("prune", *model, "--config", file, "--trust", "--out", "three")
    assert done.status == 0, done
    first, third = (criterion / name / "plan.json" for name in ("out", "three"))
    assert json.loads(first.read_text())["kept"] == json.loads(third.read_text())["kept"]


def test_a_run_with_settings_is_repeated_from_its_result(cli, work: Path):
    assert cli(*PRUNE, "--method", "similarity_nystrom:columns=3").status == 0
    assert cli("prune", "--config", "out", "--out", "two").status == 0
    assert recorded(work / "two")["asked"]["config"]["method"] == "similarity_nystrom:columns=3"
    assert recorded(work / "two")["method"] == "similarity-nystrom:columns=3"
