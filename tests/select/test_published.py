"""Published selections, reproduced from the published weights, or the difference explained."""

import numpy as np
import pytest
from plain import nearest_pairs_once
from safetensors.numpy import load_file

from secateurs.measure import cosine, nystrom_cosine, nystrom_error
from secateurs.represent import rank_one_direction
from secateurs.select import nearest_pairs


@pytest.fixture(scope="module")
def published(shared_data):
    return np.load(shared_data / "filter_indexes" / "published_filter_indexes.npz")


@pytest.fixture(scope="module")
def weights(shared_data):
    state = load_file(shared_data / "audio_models" / "dcase2022_unpruned_and_pruned_folded.safetensors")
    return {
        k: state[f"unpruned/conv{k}.weight"].reshape(*state[f"unpruned/conv{k}.weight"].shape[:2], 9)
        for k in (1, 2, 3)
    }


def kept(likeness, *, faithful=False):
    order = nearest_pairs(likeness, faithful=faithful)
    return sorted(order.units[order.own :])


@pytest.mark.parametrize("layer", [1, 2])
@pytest.mark.parametrize("faithful", [False, True])
def test_dcase_2022_selections_are_reproduced(published, weights, layer, faithful):
    directions = rank_one_direction(weights[layer])
    assert (
        kept(cosine(directions, decimals=5), faithful=faithful)
        == published[f"dcase2022_recovered.C{layer}"].tolist()
    )


def test_third_dcase_2022_layer_has_the_published_count_but_not_the_set(published, weights):
    """As many filters stay, 22 of 32, but only 16 of them are the published ones.

    It is not the rule: the published algorithm as a plain loop (below) gives our set on these weights. Nor is it the
    recovery of the published set: each kernel of the pruned network C3 is nearest to exactly that filter.
    So that selection was made on other weights of this layer than the ones that were published; nothing in the
    data tells which.
    """
    ours = kept(cosine(rank_one_direction(weights[3]), decimals=5))
    theirs = published["dcase2022_recovered.C3"].tolist()
    rows = []
    for one in weights[3].astype(np.float64):
        left, _, right = np.linalg.svd(one.T)
        column = left[:, 0] * right[0, 0]
        rows.append(column / np.linalg.norm(column))
    distance = np.round(1.0 - np.array(rows) @ np.array(rows).T, 5)
    assert ours == nearest_pairs_once(-distance)
    assert len(ours) == len(theirs) == 22
    assert len(set(ours) & set(theirs)) == 16


def test_the_recovered_third_layer_is_beyond_doubt(published, weights, shared_data):
    state = load_file(shared_data / "audio_models" / "dcase2022_unpruned_and_pruned_folded.safetensors")
    whole, pruned = (x.reshape(len(x), -1) for x in (weights[3], state["C3/conv3.weight"]))
    whole, pruned = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (whole, pruned))
    assert (pruned @ whole.T).argmax(axis=1).tolist() == published["dcase2022_recovered.C3"].tolist()


@pytest.mark.parametrize("layer", [1, 2, 3])
def test_nine_columns_are_enough_for_nine_taps(weights, layer):
    """The Nystroem selection equals the full one once m reaches the number of taps."""
    directions = rank_one_direction(weights[layer])
    assert nystrom_error(directions, columns=9) < 1e-6
    assert kept(nystrom_cosine(directions, columns=9, decimals=5)) == kept(cosine(directions, decimals=5))
    assert nystrom_error(directions, columns=6) > 0.1


def test_published_counts_obey_the_rule(published):
    """The rule never removes more than half of a layer, and these are the counts of the papers' table."""
    sizes = {"interspeech22.C1": (16, 11), "interspeech22.C2": (16, 11), "interspeech22.C3": (32, 22)}
    vggish = {0: (64, 51), 2: (128, 101), 4: (256, 215), 6: (256, 204), 8: (512, 404), 10: (512, 402)}
    sizes |= {f"similarity.VGGish.COSINE_SIM.sim_index{k}": v for k, v in vggish.items()}
    for key, (n, stay) in sizes.items():
        assert len(published[key]) == stay
        assert 2 * stay >= n
