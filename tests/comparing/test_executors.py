"""Where cells are worked on makes no difference; a lost worker costs a cell, and a killed run goes on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import secateurs as sc
from secateurs.comparing import Processes, Ray, Serial, Slurm
from secateurs.errors import InputError
from secateurs.methods import of_function

SOURCE = Path(sc.__file__).parents[1]
ALONE = {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1", "RAY_AUTH_MODE": "disabled"}

KILLED = """
import sys, torch
import secateurs as sc
from secateurs.data import resolve_data
from secateurs.zoo.digits import trained_digits_cnn

data = resolve_data("digits")
found = sc.compare(
    trained_digits_cnn(), torch.zeros(1, 1, 8, 8), methods=["l2-norm", "moments"], budgets={"macs": [0.7, 0.5]},
    repairs=["none", "merge"], draws=3, data=data.calibration(64), test=data.test, to=sys.argv[1],
)
print(found)
"""


def found_in(comparison):
    return [row.found for row in comparison.rows]


@pytest.fixture
def serial(compare, tmp_path, one_thread):
    """The same comparison by any executor, and what one process makes of it."""

    def scale(filters):
        return filters[:, 0]  # of this very process: it has to be sent

    given = {"methods": ["moments", of_function(scale, "mine")], "repairs": ["none", "merge"]}

    def by(executor, name):
        return compare(tmp_path / name, executor=executor, **given)

    return by, by(Serial(), "serial")


def test_ray_workers_give_the_same_cells(serial, monkeypatch):
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'secateurs[ray]'")
    monkeypatch.setenv("PYTHONPATH", str(SOURCE))
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    by, alone = serial
    found = by(Ray(jobs=2), "ray")
    assert found_in(found) == found_in(alone)
    assert found.to_csv() == alone.to_csv()


def test_jobs_of_submitit_give_the_same_cells(serial):
    pytest.importorskip("submitit", reason="submitit is not installed: pip install 'secateurs[slurm]'")
    by, alone = serial
    found = by(Slurm(cluster="debug"), "jobs")
    assert found_in(found) == found_in(alone)


def test_a_job_of_submitit_that_dies_costs_its_cells(compare, tmp_path, monkeypatch, one_thread):
    pytest.importorskip("submitit", reason="submitit is not installed: pip install 'secateurs[slurm]'")
    monkeypatch.setenv("PYTHONPATH", str(SOURCE))
    to = tmp_path / "to"
    found = compare(
        to, methods=[of_function(dies, "dies")], against=[], executor=Slurm(cluster="local", jobs=2)
    )
    assert "was lost" in found.rows[0].reason
    assert sorted(path.name for path in to.iterdir() if path.name.startswith(".")) == []


def test_what_is_not_installed_is_said(compare, tmp_path, monkeypatch):
    for name, executor in (("ray", Ray()), ("submitit", Slurm())):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(InputError, match=r"pip install 'secateurs\["):
            compare(tmp_path / name, executor=executor)


def dies(filters):
    os._exit(3)


def test_processes_give_the_same_cells_and_a_lost_one_costs_its_cell(compare, tmp_path, one_thread):
    there = tmp_path / "there"

    def dies_once(filters):
        if not there.exists():
            there.write_text("")
            os._exit(3)
        return filters[:, 0]

    def plain(filters):
        return filters[:, 0]

    def fatal(small, removal):
        if removal.plan.method == "once":
            os._exit(3)

    given = {"against": [], "repairs": ["none", fatal, "merge"]}
    methods = ["moments", of_function(dies_once, "once"), of_function(dies, "dies")]
    found = compare(tmp_path / "several", methods=methods, executor=Processes(2), **given)
    assert [row.reason is None for row in found.rows] == [True, True, True, True, False, True, *[False] * 3]
    assert all("ended" in row.reason for row in found.rows if row.reason)
    given["repairs"] = ["none", "merge"]
    alone = compare(tmp_path / "alone", methods=["moments", of_function(plain, "once")], **given)
    several = {(row.method, row.repair): row for row in found.rows}
    for row in alone.rows:
        same = several[row.method, row.repair]
        assert (row.kept, row.right, row.macs) == (same.kept, same.right, same.macs)
        if row.method == "moments":
            assert row.found == same.found


def test_a_run_that_is_killed_goes_on_to_the_same_table(compare, digits, tmp_path, one_thread):
    given = {"methods": ["l2-norm", "moments"], "budgets": {"macs": [0.7, 0.5]}, "repairs": ["none", "merge"]}
    whole = compare(tmp_path / "whole", draws=3, **given)
    to = tmp_path / "stopped"
    command = [sys.executable, "-c", KILLED, str(to)]
    stopped = subprocess.Popen(command, env=ALONE, stdout=subprocess.PIPE, text=True)
    while stopped.poll() is None and len(list(to.glob("cells/*.json"))) < 3:
        time.sleep(0.002)
    stopped.send_signal(signal.SIGKILL)
    stopped.communicate(timeout=60)
    assert stopped.returncode == -signal.SIGKILL
    done = {path: path.stat().st_mtime_ns for path in to.glob("cells/*.json")}
    assert 3 <= len(done) < len(whole.rows) + 1
    assert not (to / "result.json").exists()
    again = compare(to, draws=3, **given)
    assert again.table() == whole.table()
    assert found_in(again) == found_in(whole)
    assert {path: path.stat().st_mtime_ns for path in done} == done
    for name in ("comparison.csv", "comparison.tex"):
        assert (to / name).read_text() == (tmp_path / "whole" / name).read_text()
