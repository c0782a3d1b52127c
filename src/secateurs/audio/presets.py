"""The front ends of the audio networks, as each was trained with."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import MappingProxyType

from secateurs.audio.front import FrontEnd
from secateurs.audio.log_mel import Spectrum
from secateurs.errors import InputError

# dcase_util's mel extractor: librosa's magnitudes of 40 ms each 20 ms, mirrored at the ends, log(m + 2^-52).
_DCASE_2021 = Spectrum(
    44_100, 1764, 882, 2048, 40, 0.0, 22_050.0, "slaney", "hamming", offset=2.0**-52, centred=True, dropped=1
)
# The baseline of 2022 keeps all 51 frames, and packs a clip to 16 bits, divided by its largest magnitude.
_DCASE_2022 = Spectrum(
    44_100, 1764, 882, 2048, 40, 0.0, 22_050.0, "slaney", "hamming", offset=2.0**-52, centred=True, peak=True
)
_VGGISH = Spectrum(16_000, 400, 160, 512, 64, 125.0, 7500.0, offset=0.01, time_first=True)
_YAMNET = Spectrum(16_000, 400, 160, 512, 64, 125.0, 7500.0, offset=0.001, time_first=True)
_CP_MOBILE = Spectrum(
    32_000,
    3072,
    500,
    4096,
    256,
    0.0,
    15_500.0,
    periodic=False,
    power=2,
    offset=1e-5,
    shift=4.5,
    divisor=5.0,
    emphasis=0.97,
    centred=True,
)
_PATCH = 400 + 95 * 160  # samples of 96 frames

FRONTS: Mapping[str, FrontEnd] = MappingProxyType(
    {
        "dcase2021": FrontEnd(44_100, 441_000, 441_000, _DCASE_2021, normalise=True),
        "dcase2022": FrontEnd(44_100, 44_100, 44_100, _DCASE_2022),
        "vggish": FrontEnd(16_000, _PATCH, 48 * 160, _VGGISH),
        "vggish_released": FrontEnd(16_000, _PATCH, 96 * 160, _VGGISH),
        "panns": FrontEnd(32_000, 320_000, 320_000),
        "yamnet": FrontEnd(16_000, _PATCH, 48 * 160, _YAMNET),
        "cp_mobile": FrontEnd(32_000, 32_000, 32_000, _CP_MOBILE),
        "soundnet": FrontEnd(22_050, 110_250, 110_250),
    }
)
"""Front ends by name."""

_PANNS = ("cnn6", "cnn10", "cnn14", "panns_mobilenet_v1")


def front_of(network: str | None) -> FrontEnd | None:
    """The front end of a network of the zoo; None for any other.

    Example:
        >>> front_of("cnn14").rate, front_of("resnet56")
        (32000, None)
    """
    return FRONTS.get("panns" if network in _PANNS else str(network))


def front_named(name: str) -> FrontEnd:
    """The front end of a name.

    Raises:
        InputError: There is none of that name.

    Example:
        >>> front_named("yamnet").shape
        (1, 96, 64)
    """
    found = front_of(name)
    if found is None:
        near = difflib.get_close_matches(name, FRONTS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(FRONTS)}."
        raise InputError(f"front: there is no front end '{name}': {hint}")
    return found
