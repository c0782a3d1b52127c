"""Everything that may be handed in as data gives the same batches as a plain loop over its samples."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

from secateurs.data import Calibration, DataSource, batches, count
from secateurs.data.calibration import kept_apart
from secateurs.errors import InputError

X = torch.arange(21.0).view(7, 3)
Y = torch.arange(7)


class Plain(Dataset):
    def __len__(self):
        return 7

    def __getitem__(self, index):
        return X[index], int(Y[index])


class Dicts(Plain):
    def __getitem__(self, index):
        return {"pixels": X[index], "labels": int(Y[index])}


class Stream(IterableDataset):
    def __iter__(self):
        return iter([(X[k], int(Y[k])) for k in range(7)])


class Whole(Plain):
    """Only whole batches may be asked for."""

    def __getitem__(self, index):
        raise AssertionError("read sample by sample")

    def batch(self, indices):
        return X[list(indices)], Y[list(indices)]


LABELLED = {
    "pair of tensors": (X, Y),
    "pair of arrays": (X.numpy(), Y.numpy()),
    "dataset": Plain(),
    "dataset of dicts": Dicts(),
    "dataset with batches": Whole(),
    "subset of it": Subset(Whole(), range(7)),
    "subset of a subset": Subset(Subset(Whole(), [6, 5, 4, 3, 2, 1, 0]), [6, 5, 4, 3, 2, 1, 0]),
    "tensor dataset": TensorDataset(X, Y),
    "stream": Stream(),
    "loader": DataLoader(Plain(), batch_size=2),
    "loader of dicts": DataLoader(Dicts(), batch_size=2),
    "list of pairs": [(X[:4], Y[:4]), [X[4:], Y[4:]]],
    "list of dicts": [{"x": X[:4], "target": Y[:4]}, {"x": X[4:], "y": Y[4:]}],
    "list of nested pairs": [((X[:4],), Y[:4]), ((X[4:],), Y[4:])],
    "labels as a list": [(X, Y.tolist())],
}
UNLABELLED = {
    "tensor": X,
    "array": X.numpy(),
    "one-tuple": (X,),
    "list of tensors": [X[:4], X[4:]],
    "loader": DataLoader(TensorDataset(X), batch_size=2),
    "labels None": [((X,), None)],
    "dict": {"x": X},
}


def read(data, size=3, limit=None):
    got = list(batches(data, size, limit=limit))
    assert all(len(inputs) == 1 for inputs, _ in got)
    labels = [y for _, y in got]
    return torch.cat([x for (x,), _ in got]), None if None in labels else torch.cat(labels)


@pytest.mark.parametrize("form", LABELLED)
def test_labelled_forms(form):
    inputs, labels = read(LABELLED[form])
    assert torch.equal(inputs, X)
    assert torch.equal(labels, Y)


@pytest.mark.parametrize("form", UNLABELLED)
def test_unlabelled_forms(form):
    got = list(batches(UNLABELLED[form], 3))
    assert torch.equal(torch.cat([x for (x,), _ in got]), X)
    assert all(y is None for _, y in got)


@pytest.mark.parametrize("form", ["pair of tensors", "dataset", "dataset with batches", "stream"])
def test_sizes_of_batches(form):
    assert [len(y) for _, y in batches(LABELLED[form], 3)] == [3, 3, 1]


@pytest.mark.parametrize("form", LABELLED)
@pytest.mark.parametrize("limit", [1, 3, 5, 7, 100])
def test_limit_cuts_the_last_batch(form, limit):
    inputs, labels = read(LABELLED[form], limit=limit)
    assert torch.equal(inputs, X[:limit])
    assert torch.equal(labels, Y[:limit])


def test_several_inputs():
    (got,) = batches([(X, X + 1, Y)])
    assert torch.equal(got[0][1], X + 1)
    assert torch.equal(got[1], Y)
    (got,) = batches([((X, X + 1), Y)])
    assert len(got[0]) == 2
    (got,) = batches([{"a": X, "b": X + 1}])
    assert len(got[0]) == 2
    assert got[1] is None


def test_loader_is_read_again_from_the_start():
    loader = DataLoader(Plain(), batch_size=2)
    assert torch.equal(read(loader)[0], read(loader)[0])


def test_calibration_holds_a_generator_up_to_the_limit():
    def stream():
        for k in range(7):
            yield X[k : k + 1], Y[k : k + 1]

    held = Calibration(stream(), 5)
    next(iter(held))  # a reader that leaves early takes nothing from the next
    for _ in range(2):
        inputs, labels = read(held)
        assert torch.equal(inputs, X[:5])
        assert torch.equal(labels, Y[:5])


def test_calibration_gives_a_shuffling_loader_once():
    loader = DataLoader(Plain(), batch_size=2, shuffle=True, generator=torch.Generator().manual_seed(0))
    held = Calibration(loader, 7)
    first, again, fresh = read(held)[0], read(held)[0], read(loader)[0]
    assert torch.equal(first, again)
    assert not torch.equal(first, fresh)


def test_calibration_reads_no_more_than_is_asked_for():
    seen = []

    def stream():
        for k in range(7):
            seen.append(k)
            yield X[k : k + 1]

    held = Calibration(stream(), 7)
    assert seen == []
    next(iter(held))
    assert seen == [0]


def test_what_stopped_a_reading_stops_the_next():
    def stream():
        yield X[:2]
        raise OSError("disk")

    held = Calibration(stream(), 7)
    for _ in range(2):
        with pytest.raises(InputError, match=r"failed after 1 batches.*disk"):
            list(held)


def test_what_works_in_place_on_a_batch_changes_nobody_elses():
    given = [X.clone(), X.clone()]
    held = Calibration(given, 14)
    for (inputs,), _ in held:
        inputs.zero_()
    assert all(torch.equal(x, X) for (x,), _ in held)
    assert all(torch.equal(x, X) for x in given)


def test_calibration_knows_its_number():
    assert [count(Calibration(X, 5)), count(Calibration(X, 50)), count(Calibration(iter([X]), 5))] == [
        5,
        7,
        None,
    ]


@pytest.mark.parametrize(("total", "number"), [(1, 0), (10, 3), (100, 10), (101, 10), (7, 7), (2048, 409)])
def test_samples_kept_apart_are_spread_evenly(total, number):
    marked = kept_apart(total, number)
    plain = [(i + 1) * number // total > i * number // total for i in range(total)]
    assert marked.tolist() == plain
    assert int(marked.sum()) == number
    gaps = np.diff(np.flatnonzero(plain))
    assert len(gaps) == 0 or gaps.max() - gaps.min() <= 1


def test_count_without_reading():
    assert [count(LABELLED[f]) for f in ("pair of tensors", "dataset with batches", "loader")] == [7, 7, 7]
    assert count(LABELLED["stream"]) is None
    assert count([X, X]) is None


class Ragged(Plain):
    def __getitem__(self, index):
        return torch.zeros(index + 1), 0


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "hold no sample"),
        (torch.zeros(0, 3), "hold no sample"),
        (3, "Data of type int cannot be read"),
        ("digits", "Data of type str cannot be read"),
        (Ragged(), "do not stack to a batch"),
        ((X, Y[:5]), "differ in length: 7, 5"),
        ([(X, Y[:5])], r"7 inputs, but labels of shape \(5,\)"),
        (["a", "b"], "holds str, where inputs must be tensors"),
        ([torch.tensor(3.0)], "holds Tensor, where inputs must be tensors with the batch axis first"),
        ([{"labels": Y}], "holds nothing"),
        (np.array(["a", None], dtype=object), "where inputs must be tensors"),
        (DataSource("d", Plain(), Plain()), r"say which of them \(`.train`, `.test`\)"),
    ],
)
def test_what_cannot_be_read_gets_one_sentence(data, message):
    with pytest.raises(InputError, match=message):
        list(batches(data))


def test_sizes_must_be_positive():
    with pytest.raises(InputError, match="batch_size must be at least 1, got 0"):
        list(batches(X, 0))
    with pytest.raises(InputError, match="limit must be at least 1, got -1"):
        list(batches(X, limit=-1))
