"""The rule of torchvision's deformable convolution, on the operation itself, for torchvision need not be there."""

import numpy as np
import pytest

from secateurs.graph.groups import make_groups
from secateurs.graph.labels import Labels
from secateurs.graph.program import Op, Value
from secateurs.graph.rules import rule_of


@pytest.mark.parametrize(("shares", "units"), [(1, 8), (2, 4)])
def test_inputs_leave_by_shares_of_the_offset_groups(shares, units):
    labels = Labels({})
    before, made, offset = Value((8, 3, 1, 1)), Value((6, 8, 3, 3)), Value((18 * shares, 3, 1, 1))
    for value, name in ((before, "before.weight"), (made, "deform.weight"), (offset, "offset.weight")):
        labels.add_state(value, name)
    x, places, out = Value((2, 8, 5, 5)), Value((2, 18 * shares, 5, 5)), Value((2, 6, 5, 5))
    labels.producers.extend([labels.of(before)[0], labels.of(offset)[0]])
    labels.set(x, [None, labels.of(before)[0], None, None])
    labels.set(places, [None, labels.of(offset)[0], None, None])
    mask = Value((2, 1))
    sizes = (1, 1, 1, 1, 1, 1, 1, shares, False)
    op = Op("torchvision::deform_conv2d", (x, made, places, mask, None, *sizes), {}, (out,))
    rule_of(op)(labels, op)
    groups = {g.name: g for g in make_groups(labels).groups}
    assert groups["before"].locked is None
    assert groups["before"].size == units
    read = groups["before"].slots_as("consumer")[0]
    assert (read.tensor, read.axis) == ("deform.weight", 1)
    assert sorted(read.positions[0].tolist()) == [0, *([4] if shares == 2 else [])]
    assert "is an offset" in (groups["offset"].locked or "")
    assert groups["deform"].size == 6
    assert np.array_equal(labels.of(out)[1], labels.of(made)[0])
