"""Every form of a model's name, and what a wrong one gets."""

import sys
import textwrap

import pytest
import torch
from torch import nn

from secateurs import zoo
from secateurs.errors import InputError
from secateurs.runs.source import open_source
from secateurs.zoo import resolve_model
from secateurs.zoo.digits import trained_digits_cnn


def test_zoo_name_with_class_count():
    assert resolve_model("resnet20", num_classes=100).linear.out_features == 100


def test_unknown_zoo_name_lists_the_nearest():
    with pytest.raises(InputError, match=r"no network 'resnet65': did you mean .*resnet56"):
        resolve_model("resnet65")


def test_unlike_anything_lists_what_there_is():
    with pytest.raises(InputError, match="known names: resnet20, "):
        zoo.entry("zzz")


def test_torchvision_by_name():
    pytest.importorskip("torchvision")
    model = resolve_model("torchvision:resnet18", num_classes=5)
    assert model.fc.out_features == 5
    with pytest.raises(InputError, match=r"no model 'resnet19': did you mean .*resnet18"):
        resolve_model("torchvision:resnet19")


def test_torchvision_segmentation_downloads_no_backbone(monkeypatch):
    pytest.importorskip("torchvision")
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", lambda *a, **k: pytest.fail("a download"))
    assert isinstance(resolve_model("torchvision:lraspp_mobilenet_v3_large"), nn.Module)


def test_timm_by_name():
    pytest.importorskip("timm")
    model = resolve_model("timm:resnet18", num_classes=5)
    assert model.fc.out_features == 5
    with pytest.raises(InputError, match=r"no model 'resnet17': did you mean .*resnet18"):
        resolve_model("timm:resnet17")
    for name in (
        "hf-hub:a/b",
        "hf_hub:a/b",
        "local-dir:/a",
        "resnet18.x/hf-hub:a",
        "resnet18./a",
        "resnet18.\n",
    ):
        with pytest.raises(InputError, match="timm has no model"):
            resolve_model(f"timm:{name}")


@pytest.mark.parametrize("name", ["resnet18", "retinanet_resnet50_fpn", "fcn_resnet50", "quantized_resnet18"])
def test_torchvision_names_fetch_nothing_and_run_no_hub_code(monkeypatch, name):
    models = pytest.importorskip("torchvision.models")

    def fail(*_, **__):
        raise AssertionError("a download")

    for function in ("load_state_dict_from_url", "load", "download_url_to_file"):
        monkeypatch.setattr(torch.hub, function, fail)
    monkeypatch.setattr("socket.socket.connect", fail)
    name = name if name in models.list_models() else "resnet18"
    assert isinstance(resolve_model(f"torchvision:{name}"), nn.Module)


def test_timm_names_fetch_nothing(monkeypatch):
    pytest.importorskip("timm")

    def fail(*_, **__):
        raise AssertionError("a download")

    monkeypatch.setattr("socket.socket.connect", fail)
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", fail)
    assert isinstance(resolve_model("timm:resnet18.a1_in1k"), nn.Module)


@pytest.mark.parametrize("package", ["torchvision", "timm"])
def test_missing_package_says_which_to_install(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=f"pip install {package}"):
        resolve_model(f"{package}:resnet18")


@pytest.fixture
def own_code(tmp_path, monkeypatch):
    code = """
        from torch import nn
        def net(): return nn.Linear(2, 3)
        def wide(num_classes=4): return nn.Linear(2, num_classes)
        def broken(): raise OSError("no disk")
        def not_a_model(): return 3
        ready = nn.Linear(2, 9)
        number = 3
        class Holder:
            Net = nn.Identity
    """
    (tmp_path / "own_nets.py").write_text(textwrap.dedent(code))
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    yield
    sys.modules.pop("own_nets", None)
    assert sys.path == before


@pytest.mark.usefixtures("own_code")
def test_own_code_from_the_working_folder():
    assert resolve_model("own_nets:net", num_classes=10).out_features == 3
    assert resolve_model("own_nets:wide").out_features == 4
    assert resolve_model("own_nets:wide", num_classes=10).out_features == 10
    assert resolve_model("own_nets:ready").out_features == 9
    assert isinstance(resolve_model("own_nets:Holder.Net"), nn.Identity)


@pytest.mark.usefixtures("own_code")
@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("own_nets:nothing", "has no 'nothing'; it has: .*net"),
        ("own_nets:broken", "could not be built: OSError: no disk"),
        ("own_nets:not_a_model", "gave a int, not an nn.Module"),
        ("own_nets:number", "is a int, not an nn.Module"),
        ("no_such_package:net", "cannot be found: 'no_such_package'"),
        (":net", "not of the form package.module:callable"),
        ("own_nets.net", "named package.module:callable"),
    ],
)
def test_wrong_own_code_says_what_is_wrong(spec, message):
    with pytest.raises(InputError, match=message):
        resolve_model(spec)


def test_a_trained_network_comes_with_its_weights_and_its_own_classes():
    found = resolve_model("trained_digits_cnn").state_dict()
    assert all(torch.equal(value, found[name]) for name, value in trained_digits_cnn().state_dict().items())
    assert open_source("trained_digits_cnn").trained
    assert not open_source("digits_cnn").trained
    with pytest.raises(InputError, match="num_classes is 3"):
        resolve_model("trained_digits_cnn", num_classes=3)
