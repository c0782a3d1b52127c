"""Output appears whole or not at all."""

import os
from pathlib import Path

import pytest

from secateurs.errors import InputError
from secateurs.export import check_free, new_file, new_files, new_folder


def test_a_folder_appears_only_at_the_end(tmp_path: Path):
    out = tmp_path / "out"
    with new_folder(out) as temporary:
        (temporary / "a").write_text("1")
        assert not out.exists()
    assert (out / "a").read_text() == "1"
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("trouble", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_failed_folder_leaves_nothing_not_even_its_parents(tmp_path: Path, trouble: type[BaseException]):
    def fail():
        with new_folder(tmp_path / "a" / "b") as temporary:
            (temporary / "half").write_text("1")
            raise trouble

    with pytest.raises(trouble):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_has_the_permissions_of_an_ordinary_one(tmp_path: Path):
    with new_folder(tmp_path / "ours"):
        pass
    (tmp_path / "plain").mkdir()
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_an_empty_folder_may_be_written_to(tmp_path: Path):
    out = tmp_path / "out"
    out.mkdir()
    with new_folder(out) as temporary:
        (temporary / "a").write_text("1")
    assert [file.name for file in out.iterdir()] == ["a"]


def test_a_folder_with_something_in_it_is_refused_and_kept(tmp_path: Path):
    (tmp_path / "mine").write_text("1")
    with pytest.raises(InputError, match="exists and is not empty"), new_folder(tmp_path):
        pytest.fail("the block must not run")
    assert (tmp_path / "mine").read_text() == "1"


def test_a_folder_filled_meanwhile_is_not_overwritten(tmp_path: Path):
    out = tmp_path / "out"

    def race():
        with new_folder(out):
            out.mkdir()
            (out / "theirs").write_text("1")

    with pytest.raises(InputError, match="not empty"):
        race()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (out / "theirs").read_text() == "1"


@pytest.mark.parametrize("below", ["file", "file/inside"])
def test_a_file_in_the_way_of_a_folder_is_named(tmp_path: Path, below: str):
    (tmp_path / "file").write_text("1")
    with pytest.raises(InputError, match="file"):
        check_free(tmp_path / below)


def test_a_failed_file_keeps_what_was_there(tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail():
        with new_file(path) as temporary:
            temporary.write_text("new")
            raise ValueError

    with pytest.raises(ValueError):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_in_a_missing_folder_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="does not exist"), new_file(tmp_path / "no" / "a.txt"):
        pytest.fail("the block must not run")
    with pytest.raises(InputError, match="is a folder"), new_file(tmp_path):
        pytest.fail("the block must not run")


def test_several_files_appear_together_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    paths = [tmp_path / name for name in ("a", "b", "c")]

    def written(trouble=None):
        with new_files(*paths) as temporary:
            for path in temporary:
                path.write_text(path.name)
            if trouble is not None:
                trouble()

    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        written(interrupted)
    assert list(tmp_path.iterdir()) == []
    rename, done = os.rename, []

    def full(source, target):
        if len(done) == 2:
            raise OSError(28, "No space left on device")
        done.append(target)
        rename(source, target)

    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(OSError, match="No space"):
        written()
    assert len(done) == 2
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    written()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "a", "b": "b", "c": "c"}


def test_a_file_that_came_meanwhile_stays_and_the_others_do_not(tmp_path: Path):
    def race():
        with new_files(tmp_path / "a", tmp_path / "b") as temporary:
            for path in temporary:
                path.write_text("ours")
            (tmp_path / "b").write_text("theirs")

    with pytest.raises(InputError, match="exists already"):
        race()
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("b", "theirs")]
    with pytest.raises(InputError, match="exists already"), new_files(tmp_path / "a", tmp_path / "b"):
        pytest.fail("the block must not run")
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
