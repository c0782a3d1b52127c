"""Branches by sizes are said, with the line; checks that only raise, and code that has not run, are not."""

import inspect

import pytest
import torch
from torch import nn

import secateurs as sc


class Net(nn.Module):
    def __init__(self, middle):
        super().__init__()
        self.a, self.b, self.middle = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 3), middle

    def forward(self, x):
        return self.b(self.middle(self.a(x)))


def by_attribute(x):
    return x.relu() if x.shape[-1] > 100 else x.tanh()


def by_name(x):
    h, w = x.size(2), x.size(3)
    ratio = h / w
    if ratio > 2:
        x = x.relu()
    return x


def by_loop(x):
    while x.shape[-1] > 100:
        x = nn.functional.avg_pool2d(x, 2)
    return x


def by_annotated(x):
    n: int = x.shape[-1]
    n += 1
    return x.relu() if n > 100 else x


def by_match(x):
    match x.shape[-1]:
        case 1:
            return x.relu()
    return x


def checked(x):
    if x.dim() != 4:
        raise ValueError("four axes")
    assert x.shape[1] > 0
    return x


def by_setting(x, deep=True):
    y = x.reshape(x.shape)
    return y.relu() if deep else x


def elsewhere(x):
    return by_attribute(x) if x.shape[0] > 100 else x


@pytest.mark.parametrize(
    ("middle", "line"),
    [(by_attribute, 1), (by_name, 3), (by_loop, 1), (by_annotated, 3), (by_match, 1), (elsewhere, 1)],
)
def test_a_choice_by_size_is_said_with_its_line(middle, line):
    notes = sc.trace(Net(middle), torch.zeros(1, 3, 12, 12)).notes
    place = f"test_branches.py:{inspect.getsourcelines(middle)[1] + line}"
    assert notes == (
        f"the code at {place} chooses by sizes: the proof holds for the path that the example takes",
    )


@pytest.mark.parametrize("middle", [checked, by_setting, nn.ReLU()])
def test_checks_and_settings_are_no_choice(middle):
    assert sc.trace(Net(middle), torch.zeros(1, 3, 12, 12)).notes == ()


def test_the_result_says_it():
    result = sc.prune(Net(by_name), torch.zeros(1, 3, 12, 12), macs=0.6)
    assert any("chooses by sizes" in remark for remark in result.remarks)


def test_many_places_are_counted():
    def four(x):
        return by_attribute(by_name(by_loop(elsewhere(x))))

    (note,) = sc.trace(Net(four), torch.zeros(1, 3, 12, 12)).notes
    assert note.count("test_branches.py:") == 3
    assert "and one more place chooses" in note
