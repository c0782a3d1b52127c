"""The whole-network searches and the papers' frames from the command line."""

import json
from pathlib import Path

from cli_support import mistake


def test_a_search_in_frames_writes_a_folder_that_loads(cli, work: Path):
    done = cli(
        "prune", "digits_cnn", "--data", "digits", "--method", "hbgts", "--macs", "0.7", "--frame", "--out", "out"
    )  # fmt: skip
    assert done.status == 0, done
    result = json.loads((work / "out" / "result.json").read_text())
    assert (result["method"], result["allocate"], result["compensate"]) == ("hbgts", "search", "weights")
    assert result["after"]["macs"] <= 0.7 * result["before"]["macs"]
    pruned = {g["name"] for g in result["groups"] if g["status"] != "locked"}
    assert pruned == {f"conv{k}.{side}" for k in (1, 2, 3) for side in ("enter", "conv")}
    again = cli("evaluate", "out", "--data", "digits", "--json", "-")
    assert json.loads(again.out)["macs"] == result["after"]["macs"]
    assert json.loads(again.out)["accuracy"] == result["after"]["accuracy"]


def test_a_search_without_data_says_what_to_do(cli):
    mistake(
        cli("prune", "digits_cnn", "--method", "fp-omp-search", "--macs", "0.7", "--out", "out"), 2, "data:", "l1-norm"
    )  # fmt: skip


def test_a_network_that_cannot_be_framed_says_so(cli, work):
    (work / "flat.py").write_text("from torch import nn\ndef net(): return nn.Conv2d(3, 3, 1)\n")
    done = cli("prune", "flat:net", "--input", "1,3,8,8", "--macs", "0.7", "--frame", "--out", "out")
    mistake(done, 2, "frame:")
