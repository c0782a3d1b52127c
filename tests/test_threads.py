"""Nothing of the process is touched: networks are pruned in four threads while a fifth watches its defaults."""

import sys
import threading
import time
import warnings

import pytest
import torch
from torch import nn

import secateurs as sc
from secateurs.zoo import build

X = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
DATA = torch.randn(64, 1, 8, 8, generator=torch.Generator().manual_seed(1))


class Noisy(nn.Module):
    """Draws in its forward pass, and keeps a tensor of its first run."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 8, 3), nn.Conv2d(8, 4, 1)
        self.grid = None

    def forward(self, x):
        if self.grid is None:
            self.grid = torch.linspace(0, 1, x.shape[-1])
        h = nn.functional.dropout(self.a(x) * self.grid, 0.3, training=True)
        return self.c(self.b(h + torch.randn_like(h)).relu())


def _defaults():
    return (
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
        torch.get_num_threads(),
        id(sys.stderr),
        id(sys.stdout),
        torch.ones(1).dtype,
    )


def _shared():
    kernels = torch.backends.mkldnn.enabled, torch.backends.mha.get_fastpath_enabled()
    return (
        torch.get_rng_state().sum().item(),
        id(warnings.filters),
        tuple(map(str, warnings.filters)),
        kernels,
    )


def _runs(exports):
    """Four networks with weights of one seed, and what to do with each; torch.export only where it is asked for."""
    torch.manual_seed(0)
    first, second, third, fourth = build("digits_cnn"), build("digits_cnn"), Noisy(), Noisy()
    digits = {"macs": 0.6, "seed": 3}
    more = {"data": DATA, "calibrate": 64} if exports else {"method": "l2-norm"}
    return [
        lambda: sc.prune(first, X, method="l1-norm", **digits),
        lambda: sc.prune(second, X, **more, **digits),
        lambda: sc.prune(third, X, method="random", keep=0.5),
        lambda: sc.prune(fourth, X, method="similarity", keep=0.5),
    ]


@pytest.mark.parametrize("exports", [False, True])
def test_four_threads_prune_and_a_fifth_sees_nothing_change(exports):
    for run in _runs(exports):  # what is imported at first use is not what is asked about
        run()
    runs = _runs(exports)

    def now():  # torch.export itself changes what is `_shared` while it runs, and puts it back
        return _defaults() if exports else (_defaults(), _shared())

    before, shared, seen, failed = now(), _shared(), set(), []
    over = threading.Event()

    def watch():
        while not over.is_set():
            seen.add(now())
            time.sleep(0.0005)

    def work(run):
        try:
            run()
        except Exception as error:
            failed.append(error)

    watcher = threading.Thread(target=watch)
    watcher.start()
    workers = [threading.Thread(target=work, args=(run,)) for run in runs]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    over.set()
    watcher.join()
    assert not failed, failed
    assert seen == {before}
    assert (now(), _shared()) == (before, shared)


def test_threads_give_what_one_gives():
    alone = [run().plan.kept for run in _runs(True)[:2]]
    found = [None, None]

    def work(i, run):
        found[i] = run().plan.kept

    workers = [threading.Thread(target=work, args=(i, run)) for i, run in enumerate(_runs(True)[:2])]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert found == alone
