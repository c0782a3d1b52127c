import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from secateurs.data import DataSource
from secateurs.runs.run import fewer_classes
from secateurs.runs.source import Source


@pytest.mark.parametrize(
    ("classes", "said"), [((), False), (("a",), False), (("a", "b"), True), (("a", "b", "c"), False)]
)
def test_a_network_of_more_scores_than_there_are_classes_is_remarked_on(classes, said):
    samples = TensorDataset(torch.zeros(4, 5), torch.zeros(4, dtype=torch.long))
    source = Source("own", nn.Linear(5, 3), (1, 5), None)
    found = fewer_classes(source, DataSource("own", samples, samples, classes))
    assert len(found) == said
    if said:
        assert "3 scores and the data have 2 classes (a, b, ...)" in found[0]


def test_outputs_that_are_no_scores_are_not_remarked_on():
    samples = TensorDataset(torch.zeros(4, 3, 6, 6), torch.zeros(4, dtype=torch.long))
    source = Source("own", nn.Conv2d(3, 8, 3), (1, 3, 6, 6), None)
    assert fewer_classes(source, DataSource("own", samples, samples, ("a", "b"))) == ()
