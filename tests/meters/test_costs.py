"""Parameters and multiply-adds against counts made by hand."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from secateurs import zoo
from secateurs.errors import InputError
from secateurs.meters import count_costs


def test_tiny_network_by_hand():
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),  # 8 x 5 x 5 outputs of 3 x 9 each
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, groups=4, bias=False),  # 8 x 3 x 3 outputs of 2 x 9 each
        nn.Flatten(),
        nn.Linear(72, 5),
    )
    costs = count_costs(net, torch.zeros(3, 3, 10, 10))
    assert {k: (c.params, c.macs) for k, c in costs.by_layer.items()} == {
        "0": (8 * 27 + 8, 8 * 25 * 27),
        "1": (16, 0),
        "3": (8 * 18, 8 * 9 * 18),
        "5": (72 * 5 + 5, 72 * 5),
    }
    assert costs.macs == 5400 + 1296 + 360
    assert costs.params == 224 + 16 + 144 + 365
    assert sum(costs.uncounted.values()) == 2  # batch norm and ReLU; the flatten only moves data
    assert set(costs.uncounted) >= {"aten.relu"}


@pytest.mark.parametrize(
    ("layer", "shape", "macs"),
    [
        (nn.Conv1d(2, 4, 3), (2, 10), 4 * 8 * 6),
        (nn.Conv3d(2, 4, 3), (2, 4, 4, 4), 4 * 8 * 54),
        (nn.ConvTranspose2d(2, 4, 2, stride=2), (2, 3, 3), 9 * 2 * 4 * 4),
        (nn.Conv2d(4, 4, 3, groups=4, dilation=2), (4, 9, 9), 4 * 25 * 9),
        (nn.LSTM(8, 16, batch_first=True), (5, 8), 5 * (8 * 64 + 16 * 64)),
    ],
)
def test_layer_kinds_by_hand(layer, shape, macs):
    assert count_costs(layer, torch.zeros(2, *shape)).macs == macs


@pytest.mark.parametrize(
    ("name", "macs"),
    [
        ("resnet20", 40_551_040),
        ("resnet32", 68_862_592),
        ("resnet56", 125_485_696),
        ("resnet110", 252_887_680),
        ("vgg16_bn", 313_201_664),
        ("mobilenet_v2", 87_976_448),
    ],
)
def test_macs_of_the_zoo(name, macs):
    """Against a plain loop over the convolutions and linear layers as they run."""
    model, entry = zoo.build(name).eval(), zoo.entry(name)
    seen = []

    def hook(module, args, output):
        if isinstance(module, nn.Conv2d):
            seen.append(output[0].numel() * module.weight[0].numel())
        elif isinstance(module, nn.Linear):
            seen.append(module.weight.numel())

    handles = [m.register_forward_hook(hook) for m in model.modules()]
    with torch.no_grad():
        model(torch.zeros(1, *entry.input_shape))
    for handle in handles:
        handle.remove()
    costs = count_costs(model, torch.zeros(1, *entry.input_shape))
    assert costs.macs == sum(seen) == macs
    assert costs.params == sum(p.numel() for p in model.parameters())


class Shared(nn.Module):
    """One layer under two names, called three times, and a product outside any layer."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 4, bias=False)
        self.holder = nn.Sequential(self.a)
        self.b = nn.Linear(4, 4, bias=False)
        self.b.weight = self.a.weight
        self.free = nn.Parameter(torch.zeros(4, 2))

    def forward(self, x):
        return self.b(self.holder(self.a(self.a(x)))) @ self.free


def test_shared_layers_tied_weights_and_bare_parameters():
    costs = count_costs(Shared(), torch.zeros(1, 4))
    assert costs.params == 16 + 8
    assert costs.macs == 4 * 16 + 8
    assert {k: (c.params, c.macs) for k, c in costs.by_layer.items()} == {
        "": (8, 8),
        "a": (16, 48),
        "b": (0, 16),
    }


def test_model_is_left_as_it_was():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout())
    net[2].eval()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    count_costs(net, torch.randn(2, 1, 5, 5))
    assert [m.training for m in net.modules()] == [True, True, True, False]
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())
    assert torch.backends.mkldnn.enabled == torch.backends.mkldnn.is_available()
    assert torch.backends.mha.get_fastpath_enabled()


class ReadsValues(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(3, 3)

    def forward(self, x):
        return self.a(x) if x.sum().item() > 0 else x


def test_control_flow_on_values_falls_back_to_real_tensors():
    assert count_costs(ReadsValues(), torch.ones(1, 3)).macs == 9
    assert count_costs(ReadsValues(), -torch.ones(1, 3)).macs == 0


class Attention(nn.Module):
    def forward(self, q, k, v):
        return F.scaled_dot_product_attention(q, k, v)


def test_fused_attention_is_counted():
    q = torch.zeros(1, 2, 5, 8)
    assert count_costs(Attention(), (q, q, q)).macs == 2 * (2 * 5 * 5 * 8)


def test_large_input_needs_no_memory():
    net = nn.Conv2d(3, 64, 3, padding=1)
    example = torch.zeros(1).expand(1, 3, 20_000, 20_000)  # the outputs would take 100 GB
    assert count_costs(net, example).macs == 64 * 27 * 20_000**2


def test_input_that_does_not_fit_says_so():
    with pytest.raises(InputError, match=r"cannot run on one sample .*shapes \(1, 4, 8, 8\)"):
        count_costs(nn.Conv2d(3, 8, 3), torch.zeros(2, 4, 8, 8))
    with pytest.raises(InputError, match="holds no sample"):
        count_costs(nn.Linear(1, 1), torch.zeros(0, 1))
    with pytest.raises(InputError, match="unexpected keyword argument"):
        count_costs(nn.Linear(1, 1), {"x": torch.zeros(1, 1)})


def test_table_has_the_total_and_what_is_missing():
    text = str(count_costs(zoo.build("digits_cnn"), torch.zeros(1, 1, 8, 8)))
    assert "38,122" in text
    assert "1,493,632" in text
    assert "batch of one sample" in text
    assert "aten.relu (4)" in text
