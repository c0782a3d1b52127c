"""tune_: its steps are those of a loop by hand, it keeps the best epoch, and goes on to the same end."""

import csv
import errno
import functools
import sys
from collections import OrderedDict

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import secateurs as sc
from secateurs.data import DataSource, resolve_data
from secateurs.errors import InputError, RunError
from secateurs.recover import checkpoints, tune_
from secateurs.recover.key import of_data
from secateurs.tuning import RECIPES, TuneConfig

pytest.importorskip("lightning_fabric")


def small_net(dropout=0.0):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Flatten(),
        nn.Linear(6 * 64, 3),
    )


def data(n=60, seed=1):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 1, 8, 8, generator=generator)
    return x, (x.mean((1, 2, 3)) * 8).round().clamp(-1, 1).long() + 1


def same(one, other):
    a, b = one.state_dict(), other.state_dict()
    return all(torch.equal(a[name], b[name]) for name in a)


def block_net():
    torch.manual_seed(0)
    block = nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU())
    return nn.Sequential(OrderedDict(block=block, flat=nn.Flatten(), last=nn.Linear(6 * 64, 3)))


def test_a_compiled_network_trains_as_the_plain_one(monkeypatch):
    plain, compiled = block_net(), block_net()
    settings = {"epochs": 2, "batch": 16, "hints": 1.0, "teacher": block_net(), "learning_rate": 0.05}
    expected = tune_(plain, data(), **settings)
    import lightning_fabric  # noqa: F401  (it has torch.compile remember its arguments)

    # Captured by the same means, but run without a C++ compiler, which a machine may lack.
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    seen = torch._dynamo.utils.counters["frames"]
    before = seen["ok"]
    done = tune_(compiled, data(), compile=True, **settings)
    assert seen["ok"] > before
    assert [e.loss for e in done.epochs] == pytest.approx([e.loss for e in expected.epochs], rel=1e-4)
    for name, tensor in plain.state_dict().items():
        torch.testing.assert_close(compiled.state_dict()[name], tensor, rtol=1e-3, atol=1e-5)


def test_a_missing_compiler_is_one_sentence(monkeypatch):
    import lightning_fabric  # noqa: F401

    def fails(graph, inputs):
        raise RuntimeError("no C++ compiler\nand much more")

    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=fails))
    torch._dynamo.reset()
    with pytest.raises(
        RunError, match=r"torch.compile cannot run this network here \(.*\): leave --compile out"
    ):
        tune_(small_net(), data(), compile=True, epochs=1)


def test_the_table_holds_every_epoch(tmp_path):
    done = tune_(small_net(), data(), epochs=3, to=tmp_path)
    with (tmp_path / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["number"]) for row in rows] == [1, 2, 3]
    for name in ("loss", "rate", "accuracy", "validation_loss", "seconds"):
        assert [float(row[name]) for row in rows] == [getattr(epoch, name) for epoch in done.epochs]


def test_tensorboard_shows_every_epoch_once_also_of_a_training_that_was_stopped(tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def stop(epoch):
        if epoch.number == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune_(small_net(), data(), epochs=4, to=tmp_path, tensorboard=True, each=stop)
    done = tune_(small_net(), data(), epochs=4, to=tmp_path, tensorboard=True)
    found = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert sorted(found.Tags()["scalars"]) == ["accuracy", "loss", "rate", "validation_loss"]
    for name in found.Tags()["scalars"]:
        points = found.Scalars(name)
        assert [point.step for point in points] == [1, 2, 3, 4]
        assert [p.value for p in points] == pytest.approx([getattr(e, name) for e in done.epochs], rel=1e-6)


def test_without_tensorboard_one_sentence_names_the_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(InputError, match="tensorboard: it is not installed: pip install tensorboard"):
        tune_(small_net(), data(), epochs=1, to=tmp_path / "logs", tensorboard=True)
    assert not (tmp_path / "logs").exists()
    with pytest.raises(InputError, match="need a folder"):
        tune_(small_net(), data(), epochs=1, tensorboard=True)


def test_a_step_is_that_of_a_loop_by_hand():
    x, y = data()
    net, teacher, plain = small_net(), small_net(), small_net()
    with torch.no_grad():
        teacher[-1].bias.add_(torch.tensor([1.0, 0.0, -1.0]))
    settings = {"epochs": 3, "batch": 60, "held_out": 0.0, "schedule": "step", "drops": (0.5,)}
    tune_(
        net, (x, y), teacher=teacher, learning_rate=0.1, weight_decay=0.01, labels=0.5, distil=2.0, **settings
    )
    velocity = [torch.zeros_like(p) for p in plain.parameters()]
    plain.train()
    with torch.no_grad():
        wanted = F.log_softmax(teacher.eval()(x) / 2, 1)
    for rate in (0.1, 0.1, 0.01):
        z = plain(x)
        log_p = F.log_softmax(z, 1)
        loss = -0.5 * log_p[torch.arange(60), y].mean()
        loss = loss + 2.0 * (wanted.exp() * (wanted - F.log_softmax(z / 2, 1))).sum(1).mean()
        grads = torch.autograd.grad(loss, list(plain.parameters()))
        with torch.no_grad():
            for p, g, v in zip(plain.parameters(), grads, velocity, strict=True):
                v.mul_(0.9).add_(g + 0.01 * p)
                p.sub_(rate * v)
    for name, tensor in plain.state_dict().items():
        torch.testing.assert_close(net.state_dict()[name], tensor, rtol=1e-4, atol=1e-5)


def test_the_best_epoch_of_the_validation_part_is_kept():
    (x, y), apart = data(), data(40, seed=2)
    net = small_net()
    seen = []
    done = tune_(net, (x, y), validation=apart, epochs=6, learning_rate=0.5, batch=20, each=seen.append)
    assert list(done.epochs) == seen
    accuracies = [epoch.accuracy for epoch in done.epochs]
    assert len(set(accuracies)) > 1
    assert done.accuracy == max(accuracies) == sc.evaluate(net, apart).value
    assert sc.evaluate(net, apart).loss == pytest.approx(done.epochs[done.best - 1].validation_loss)


def test_patience_ends_a_training_early():
    apart = (
        torch.zeros(10, 1, 8, 8),
        torch.zeros(10, dtype=torch.long),
    )  # the same accuracy whatever is learnt
    net = small_net()
    done = tune_(net, data(), validation=apart, epochs=50, learning_rate=1e-12, patience=2, metric="accuracy")
    assert len(done.epochs) < 50
    assert "stopped after" in done.remarks[0]


def test_what_is_not_trained_stays_and_the_callers_state_too():
    net, teacher = small_net(), small_net()
    net.eval(), teacher.train()
    before, state = {k: v.clone() for k, v in teacher.state_dict().items()}, torch.get_rng_state()
    tune_(net, data(), teacher=teacher, epochs=1, held_out=0.0, hints=0.0)
    assert torch.equal(state, torch.get_rng_state())
    assert teacher.training
    assert not net.training
    assert all(torch.equal(before[k], v) for k, v in teacher.state_dict().items())


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_stopped_training_goes_on_to_the_same_end_bit_for_bit(tmp_path, optimizer):
    settings = {
        "epochs": 4,
        "batch": 16,
        "optimizer": optimizer,
        "augment": "crop-flip",
        "mixup": 0.4,
        "label_smoothing": 0.1,
        "warmup": 0.5,
        "teacher": small_net(),
    }
    whole, stopped = small_net(0.3), small_net(0.3)
    expected = tune_(whole, data(), **settings)

    def stop(epoch):
        if epoch.number == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune_(stopped, data(), to=tmp_path, each=stop, **settings)
    again, epochs = small_net(0.3), []
    done = tune_(again, data(), to=tmp_path, each=epochs.append, **settings)
    assert [epoch.number for epoch in epochs] == [3, 4]
    assert same(again, whole)
    assert [e.loss for e in done.epochs] == [e.loss for e in expected.epochs]
    third = small_net(0.3)
    tune_(third, data(), to=tmp_path, **settings)  # finished: nothing to do
    assert same(third, whole)
    rows = (tmp_path / "log.csv").read_text().splitlines()
    assert len(rows) == 5
    with pytest.raises(InputError, match="other settings, data or weights"):
        tune_(small_net(0.3), data(), to=tmp_path, **{**settings, "batch": 8})


def test_a_checkpoint_is_of_its_data_and_no_others(tmp_path):
    (x, y), (other_x, other_y) = data(), data(seed=5)
    tune_(small_net(), (x, y), to=tmp_path, epochs=1)
    for train, apart in (((other_x, y), None), ((x, other_y), None), ((x, y), (x[:9], y[:9]))):
        with pytest.raises(InputError, match="other settings, data or weights"):
            tune_(small_net(), train, validation=apart, to=tmp_path, epochs=1)
    assert tune_(small_net(), TensorDataset(x, y), to=tmp_path, epochs=1).best == 1


class Reading(torch.utils.data.Dataset):
    """Samples read one by one, seen through crops or not."""

    def __init__(self, x, y, drawn=False):
        self.x, self.y, self.drawn = x, y, drawn

    def __len__(self):
        return len(self.x)

    def __getitem__(self, k):
        return self.x[k] + (torch.rand(()) if self.drawn else 0), int(self.y[k])


def test_what_data_are_is_known_by_their_samples_but_for_what_is_drawn_anew():
    (x, y), (other_x, other_y) = data(), data(seed=5)
    for wrapped in (lambda d: d, lambda d: DataLoader(d, batch_size=7, shuffle=True)):
        first = of_data(wrapped(Reading(x, y)))
        assert first == of_data(wrapped(Reading(x.clone(), y)))
        assert first != of_data(wrapped(Reading(other_x, y)))
        assert first != of_data(wrapped(Reading(x, other_y)))
        drawn = of_data(wrapped(Reading(x, y, drawn=True)))
        assert drawn == of_data(wrapped(Reading(x, y, drawn=True)))
        assert drawn != of_data(wrapped(Reading(x, other_y, drawn=True)))
    assert of_data([(x, y)]) != of_data([(x, other_y)])
    first, second = (of_data(Reading(x[:2], torch.tensor(labels))) for labels in ([1, 12], [11, 2]))
    assert first != second


def seen_in_training(net):
    """The training batches of a network, as they come."""
    found = []
    net.register_forward_hook(lambda module, args, out: found.append(args[0]) if module.training else None)
    return found


@pytest.mark.parametrize(("number", "sizes"), [(62, [20, 20, 20, 2]), (61, [20, 20, 20]), (60, [20] * 3)])
def test_the_last_batch_is_trained_on_unless_batch_norm_has_no_variance_of_it(number, sizes):
    x, y = data(number)
    net = small_net()
    seen = seen_in_training(net)
    done = tune_(net, (x, y), epochs=1, batch=20, held_out=0.0)
    assert [len(part) for part in seen] == sizes
    rows = {tuple(row.flatten().tolist()) for part in seen for row in part}
    assert len(rows) == sum(sizes)  # every sample once
    assert bool(done.remarks) == (number == 61)


@pytest.mark.parametrize("norms", ["none", "frozen"])
def test_a_last_batch_of_one_is_trained_on_where_no_batch_norm_sees_it(norms):
    net = small_net() if norms == "frozen" else nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    seen = seen_in_training(net)
    done = tune_(net, data(61), epochs=1, batch=20, held_out=0.0, freeze_norms=norms == "frozen")
    assert [len(part) for part in seen] == [20, 20, 20, 1]
    assert not done.remarks


def test_the_loss_of_an_epoch_is_the_mean_over_all_samples():
    x, y = data(50)
    net = small_net()
    tune_(
        net,
        (x, y),
        epochs=1,
        batch=20,
        learning_rate=1e-12,
        held_out=0.0,
        freeze_norms=True,
        weight_decay=0.0,
    )
    done = tune_(net, (x, y), epochs=1, batch=20, learning_rate=1e-12, held_out=0.0, freeze_norms=True)
    assert done.epochs[0].loss == pytest.approx(F.cross_entropy(net.eval()(x), y).item(), rel=1e-5)


def test_a_metric_is_told_in_its_unit():
    done = tune_(small_net(), data(), epochs=1, metric="log-loss")
    assert str(done).endswith(f"{done.accuracy:.4f} nats of the validation part")
    assert "% of the validation part" in str(tune_(small_net(), data(), epochs=1))


def test_other_seeds_train_otherwise_and_equal_seeds_alike():
    nets = [small_net() for _ in range(3)]
    for net, seed in zip(nets, (0, 0, 1), strict=True):
        tune_(net, data(), epochs=1, batch=16, seed=seed)
    assert same(nets[0], nets[1])
    assert not same(nets[0], nets[2])


def test_a_loss_that_is_no_number_is_one_sentence_and_the_best_weights_stay(tmp_path):
    net = small_net()
    x, y = data()

    def views(images, generator):
        views.calls += 1
        return images if views.calls < 7 else images * float("nan")

    views.calls = 0
    with pytest.raises(
        RunError, match="no number any more at step 1 of epoch 3; the network has the weights of epoch"
    ):
        tune_(net, (x, y), config=TuneConfig(epochs=4, batch=18, augment=views), to=tmp_path)
    assert all(torch.isfinite(t).all() for t in net.state_dict().values())
    with checkpoints.opened(tmp_path / "checkpoint.safetensors") as stored:
        assert '"number": 2' in stored.metadata["secateurs.tuning"]


def test_a_full_disk_keeps_the_last_checkpoint(tmp_path, monkeypatch):
    write, calls = checkpoints.write_sorted, []

    def full(state, path, metadata):
        calls.append(path)
        path.write_bytes(b"half")
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write(state, path, metadata)

    monkeypatch.setattr(checkpoints, "write_sorted", full)
    with pytest.raises(
        RunError, match=r"epoch 2 cannot be written \(No space left.*earlier epoch is kept.*make room"
    ):
        tune_(small_net(), data(), epochs=3, to=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint.safetensors", "log.csv"]
    monkeypatch.setattr(checkpoints, "write_sorted", write)
    seen = []
    tune_(small_net(), data(), epochs=3, to=tmp_path, each=seen.append)
    assert [epoch.number for epoch in seen] == [2, 3]


def test_several_labels_and_no_labels():
    x, y = data()
    many = F.one_hot(y, 3)
    net = small_net()
    done = tune_(net, (x, many), epochs=8, batch=20, learning_rate=0.05, held_out=0.25)
    assert done.epochs[-1].loss < done.epochs[0].loss
    teacher = net
    student = small_net()
    tune_(student, x, teacher=teacher, labels=0.0, held_out=0.0, epochs=8, learning_rate=0.05, batch=20)
    gap = [
        (F.softmax(each.eval()(x), 1) - F.softmax(teacher.eval()(x), 1)).abs().mean()
        for each in (student, small_net())
    ]
    assert gap[0] < 0.5 * gap[1]


def test_a_loader_is_read_in_its_own_batches():
    sizes = []
    net = small_net()
    net.register_forward_hook(
        lambda module, args, out: sizes.append(len(args[0])) if module.training else None
    )
    loader = DataLoader(TensorDataset(*data()), batch_size=25, shuffle=True)
    done = tune_(net, loader, epochs=2)
    assert sizes == [25, 25, 10] * 2
    assert "cannot be parted" in done.remarks[0]
    with pytest.raises(InputError, match="has no length"):
        tune_(net, (batch for batch in loader))


@pytest.mark.parametrize("settings", [{"precision": "bf16"}, {"channels_last": True}, {"freeze_norms": True}])
def test_other_ways_to_run_train_too(settings):
    net = small_net()
    before = net[1].running_mean.clone()
    done = tune_(net, data(), epochs=3, batch=20, learning_rate=0.05, held_out=0.0, **settings)
    assert done.epochs[-1].loss < done.epochs[0].loss
    assert net[0].weight.is_contiguous()
    assert torch.equal(before, net[1].running_mean) == ("freeze_norms" in settings)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"epochs": 0}, "epochs is 0; give a whole number from 1"),
        ({"optimizer": "adagrad"}, "optimizer is 'adagrad'; give one of sgd, adam, adamw"),
        ({"label_smoothing": 1.0}, "label_smoothing is 1; give a number from 0 and below 1"),
        ({"hints": 1.0}, "teacher is missing"),
        ({"labels": 0.0}, "teacher is missing"),
        ({"augment": "twirl"}, "augment is 'twirl'; give one of none, crop"),
        ({"drops": (2.0,)}, "drops is"),
        ({"held_out": 0.001}, "one part is empty"),
    ],
)
def test_a_mistake_is_one_sentence(settings, words):
    with pytest.raises(InputError, match=words):
        tune_(small_net(), data(), **settings)


def test_data_that_do_not_fit_are_named():
    x, y = data()
    with pytest.raises(InputError, match="have no labels"):
        tune_(small_net(), x, held_out=0.0)
    with pytest.raises(InputError, match=r"the classes 0 to 5, the network has 3 outputs"):
        tune_(small_net(), (x, y + 3 * (y == 2)), held_out=0.0)
    with pytest.raises(InputError, match="does not take the data's inputs"):
        tune_(small_net(), (torch.zeros(20, 2, 8, 8), y[:20]))
    with pytest.raises(InputError, match="batch is 1 for 1 samples"):
        tune_(small_net(), (x[:1], y[:1]), held_out=0.0)


def test_configs_go_through_json_and_recipes_are_configs():
    import json

    for name in RECIPES:
        config = TuneConfig.recipe(name, seed=3)
        config.check()
        assert TuneConfig.from_dict(json.loads(json.dumps(config.to_dict())), "here") == config
    assert TuneConfig.recipe("purohit2022").epochs == 300
    with pytest.raises(InputError, match="recipe is 'mine'; give one of purohit2022, singh2023"):
        TuneConfig.recipe("mine")


def test_every_setting_has_words():
    from dataclasses import fields

    for one in fields(TuneConfig):
        assert one.metadata["option"].help, one.name
        assert f"        {one.name}: " in TuneConfig.__doc__, one.name


def test_the_validation_part_is_none_of_the_calibrations():
    source = resolve_data("digits")
    train, apart = source.validation(0.1)
    seen = set(source.calibration(10_000).indices)
    assert not seen & set(apart.indices)
    assert set(train.indices) | set(apart.indices) == set(range(len(source.train)))
    assert not set(train.indices) & set(apart.indices)
    assert set(apart.indices) < set(source.holdout(10_000).indices)


def test_recordings_are_not_parted():
    import numpy as np

    groups = np.repeat(np.arange(20), 5)
    samples = TensorDataset(torch.zeros(100, 1), torch.zeros(100))
    train, apart = DataSource("own", samples, samples, groups=groups).validation(0.2)
    assert not set(groups[train.indices]) & set(groups[apart.indices])
    assert len(apart.indices) == 20
