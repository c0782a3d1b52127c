"""The accuracy floor: what is held out, what is counted, what is said."""

import pytest
import torch
from torch import nn

import secateurs as sc
from secateurs.errors import InputError
from secateurs.meters.paired import samples_for, upper_drop
from secateurs.planning import plan_for
from secateurs.targets import AccuracyDrop, Attempt
from secateurs.targets.accuracy import held_out
from secateurs.targets.judge import Judge


def numbered(n, batch=32):
    x = torch.arange(n).float()[:, None]
    return [(x[k : k + batch], x[k : k + batch, 0].long()) for k in range(0, n, batch)]


def values(read):
    return [int(v) for inputs, _ in read for v in inputs[0][:, 0]]


@pytest.mark.parametrize(
    ("n", "drop", "aside"),
    [
        (6000, 1.0, samples_for(1.0)),  # what tells the drop
        (1000, 1.0, 500),  # at most half
        (6000, 10.0, 1200),  # at least a fifth
        (2, 1.0, 1),
    ],
)
def test_so_many_are_held_out_and_spread(n, drop, aside):
    calibrate, held = (values(part) for part in held_out(numbered(n), drop, n))
    assert len(held) == aside
    assert sorted(calibrate + held) == list(range(n))
    for start in range(0, n - 31, 32):  # sorted data lose as much of each class
        share = sum(start <= v < start + 32 for v in held)
        assert abs(share - 32 * aside / n) <= 1


def test_samples_of_ones_own_leave_all_data_to_calibration():
    data = numbered(50)
    calibrate, held = held_out(data, 1.0, 50, (torch.full((9, 1), 7.0), torch.zeros(9).long()))
    assert calibrate is data
    assert values(held) == [7] * 9


def test_too_few_are_refused():
    with pytest.raises(InputError, match="needs a part of its own"):
        held_out(numbered(1), 1.0, 10)


class Answers(nn.Module):
    """Gives the class it was told for the sample of each number."""

    def __init__(self, classes, of):
        super().__init__()
        self.classes, self.of = classes, of

    def forward(self, x):
        return nn.functional.one_hot(self.classes[x[:, 0].long()], self.of).float()


def test_losses_are_paired_by_sample():
    """20 samples; the original gets 15 right, the other breaks 4 of those and mends 1."""
    truth = torch.arange(20) % 3
    first, second = truth.clone(), truth.clone()
    first[15:] = (truth[15:] + 1) % 3
    second[16:] = (truth[16:] + 1) % 3
    second[:4] = (truth[:4] + 1) % 3
    read = [((torch.arange(20).float()[:, None],), truth)]
    judge = Judge.of(Answers(first, 3), read)
    found = judge.drop(Answers(second, 3))
    assert (found.measured, found.samples) == (pytest.approx(15.0), 20)
    assert found.bound == pytest.approx(100 * upper_drop(4, 1, 20))
    # Without labels the original is right by definition, so that what is mended is broken too.
    blind = Judge.of(Answers(first, 3), [(read[0][0], None)]).drop(Answers(second, 3))
    assert blind.bound == pytest.approx(100 * upper_drop(5, 0, 20))


def test_a_metric_of_ones_own_judges_all_samples_at_once():
    truth = torch.arange(40) % 2
    worse = truth.clone()
    worse[:10] = 1 - worse[:10]
    read = [((torch.arange(40).float()[:, None],), truth)]
    shapes = []

    def recall(outputs, labels):
        shapes.append(len(outputs))
        chosen = labels == 1
        return (outputs[chosen].argmax(dim=1) == 1).double().mean()

    judge = Judge.of(Answers(truth, 2), read, recall)
    found = judge.drop(Answers(worse, 2))
    assert found.measured == pytest.approx(25.0)  # 5 of the 20 of class 1
    assert found.bound > found.measured
    assert set(shapes) == {40, 38}
    with pytest.raises(InputError, match="a metric compares outputs with labels"):
        Judge.of(Answers(truth, 2), [(read[0][0], None)], recall)


def test_remarks_say_what_was_measured_and_what_cannot_be_told():
    truth = torch.arange(100) % 3
    judge = Judge.of(Answers(truth, 3), [((torch.arange(100).float()[:, None],), truth)])
    said = judge.remarks(1.0, judge.drop(Answers(truth, 3)))
    assert said[0] == "Accuracy: 0.00 points lost on 100 held-out samples, at most 2.63 with 95 % confidence."
    assert said[1].startswith(
        "Warning: 100 held-out samples cannot tell a drop of 1 points from noise, so the measured"
    )
    assert "with 2,165 it can be told" in said[1]
    assert "gets 100.0 % of the held-out samples right" in said[2]
    assert not judge.tells(1.0)
    assert judge.tells(2.7)
    assert len(judge.remarks(25.0, judge.drop(Answers(truth, 3)))) == 2


@pytest.fixture(scope="module")
def striped():
    """A network that has learnt to tell which thirds of a picture are bright, and unseen pictures."""
    torch.manual_seed(0)
    labels = torch.randint(2, (1200, 3))
    images = 0.4 * torch.randn(1200, 1, 6, 6)
    for k in range(3):
        images[:, :, :, 2 * k : 2 * k + 2] += labels[:, k, None, None, None]
    net = nn.Sequential(
        nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)
    )
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(net(images[:600]), labels[:600].float()).backward()
        optimizer.step()
    return net.eval(), images, labels


def test_several_labels_a_sample_and_samples_of_ones_own(striped):
    net, images, labels = striped
    held = (images[600:], labels[600:])
    result = sc.prune(
        net,
        images[:1],
        accuracy_drop=3.0,
        data=images[:600],
        holdout=held,
        method="l1-norm",
        compensate="bias",
    )
    said = " ".join(result.remarks).replace("−", "-")

    def share(model):
        with torch.no_grad():
            return float(((model(held[0]) > 0) == (held[1] > 0)).double().mean())

    lost = 100 * (share(net) - share(result.model))
    assert lost <= 3.0
    assert result.after.macs < 0.8 * result.before.macs
    assert f"Accuracy: {lost:.2f} points lost on 600 held-out samples, at most " in said
    assert lost < float(said.split("at most ")[1].split(" ")[0]) <= 3.0
    assert "few for a drop of 3 points, so the cut is cautious; with 722 it can go further" in said


def test_a_metric_decides_the_cut(striped):
    net, images, labels = striped

    def exact(outputs, wanted):
        return float(((outputs > 0) == (wanted > 0)).all(dim=1).double().mean())

    held = (images[600:], labels[600:])
    result = sc.prune(
        net, images[:1], accuracy_drop=4.0, data=images[:600], holdout=held, metric=exact, method="l1-norm"
    )
    with torch.no_grad():
        assert exact(net(held[0]), held[1]) - exact(result.model(held[0]), held[1]) <= 0.04


def test_candidates_that_cannot_be_made_are_passed_over_unless_all_are(striped):
    net, images, labels = striped
    ranking = sc.rank(sc.trace(net, images[:1]), sc.methods.get("l1-norm"))
    read = [((images[600:],), labels[600:])]

    def make(plan, least):
        small = sc.remove(net, plan)
        if small[0].out_channels < least:
            raise InputError("too small to be repaired")
        return small

    plan = plan_for(AccuracyDrop(60.0), Attempt(ranking, holdout=read, finish=lambda plan: make(plan, 6)))
    assert len(plan.kept["0"]) == 6
    with pytest.raises(InputError, match="too small to be repaired"):
        plan_for(AccuracyDrop(60.0), Attempt(ranking, holdout=read, finish=lambda plan: make(plan, 99)))


def test_the_original_is_judged_once(striped):
    net, images, labels = striped
    ranking = sc.rank(sc.trace(net, images[:1]), "l1-norm")
    target, attempt = AccuracyDrop(60.0), Attempt(ranking, holdout=[((images[600:],), labels[600:])])
    seen = []
    with net.register_forward_hook(lambda module, *_: seen.append(module is net)):
        small = attempt.finished(target.counts(attempt))
        target.remarks(attempt, small)
    assert Judge.of(net, attempt.holdout).before.tolist() == attempt.judge.before.tolist()
    assert sum(seen) == 1
    with pytest.raises(InputError, match="got none; give some training data"):
        target.counts(Attempt(ranking))


def test_a_holdout_is_refused_where_no_floor_is_asked(striped):
    net, images, _ = striped
    with pytest.raises(InputError, match="holdout is for accuracy_drop"):
        sc.prune(net, images[:1], macs=0.5, holdout=images)
