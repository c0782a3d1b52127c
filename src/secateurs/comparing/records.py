"""What is known of a ranking and of a cell once they are done, as their files hold it."""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

import numpy as np

from secateurs.allocate.sensitivity import Curve
from secateurs.checks import (
    Form,
    any_number,
    any_prose,
    any_text,
    any_whole,
    list_of,
    map_of,
    maybe,
    one_of,
    parsed,
    record,
)
from secateurs.comparing.marks import Marks
from secateurs.contracts import Order
from secateurs.proof import proof_form
from secateurs.surgery import Verification

SCHEMA = 1


@dataclass(frozen=True)
class Ranked:
    """Orders of removal by one method, and measured damage where the allocation asks for it; or why there are none."""

    kind: ClassVar[str] = "rankings"
    key: str
    method: str
    reason: str | None = None
    orders: Mapping[str, Order] = field(default_factory=dict)
    curves: Mapping[str, Curve] | None = None
    seconds: float = 0.0

    def to_json(self) -> str:
        """The text of its file."""
        raw = {**_fields(self), "orders": {name: _packed(order) for name, order in self.orders.items()}}
        return json.dumps({"schema": SCHEMA, **raw}, default=str) + "\n"

    @classmethod
    def from_json(cls, text: str, where: str) -> Ranked:
        """Read what `to_json` wrote.

        Raises:
            ValueError: It is something else.
            InputError: It is no JSON.
        """
        raw = parsed(text, where)
        _RANKED(raw, "")
        orders = {name: _unpacked(order) for name, order in raw["orders"].items()}
        curves = raw["curves"]
        if curves is not None:
            curves = {name: tuple((int(n), float(d)) for n, d in curve) for name, curve in curves.items()}
        return cls(**{**_own(cls, raw), "orders": orders, "curves": curves})


@dataclass(frozen=True)
class Scored:
    """One cell: what was asked, and what came of it or the `reason` why nothing did.

    Accuracies are shares of 1 on `samples` test samples, `error` is their standard error over test sets of that size.
    `share` is what was to stay, a share of `budget` or, above 1, the most itself. `params` and `macs` are those of
    the smaller network. `kept` are the units that stay, by group, and `proof` compares the removal, before the
    repair, with the silenced original.
    """

    kind: ClassVar[str] = "cells"
    key: str
    method: str
    allocate: str
    budget: str
    share: float
    repair: str
    seed: int
    reason: str | None = None
    accuracy: float | None = None
    error: float | None = None
    samples: int | None = None
    params: int | None = None
    macs: int | None = None
    proof: Verification | None = None
    right: Marks | None = None
    kept: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def found(self) -> dict[str, Any]:
        """Everything but the time it took, which differs from run to run."""
        return {name: value for name, value in _fields(self).items() if name != "seconds"}

    def to_json(self) -> str:
        """The text of its file."""
        return json.dumps({"schema": SCHEMA, **self.to_dict()}, allow_nan=False) + "\n"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON holds them."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, text: str, where: str) -> Scored:
        """Read what `to_json` wrote.

        Raises:
            ValueError: It is something else.
            InputError: It is no JSON.
        """
        raw = parsed(text, where)
        _SCORED(raw, "")
        own = _own(cls, raw)
        proof, right = own["proof"], own["right"]
        if proof is not None:
            own["proof"] = Verification(**{**_own(Verification, proof), "inputs": tuple(proof["inputs"])})
        if right is not None:
            own["right"] = Marks(**_own(Marks, right))
            own["right"].values()
        own["kept"] = {name: tuple(units) for name, units in own["kept"].items()}
        return cls(**{**own, "remarks": tuple(own["remarks"])})


Record: TypeAlias = Ranked | Scored


def _fields(thing: Any) -> dict[str, Any]:
    return {one.name: getattr(thing, one.name) for one in dataclasses.fields(thing)}


def _own(kind: Any, raw: Mapping[str, Any]) -> dict[str, Any]:
    """What a class knows of a file's fields; a later release may have more."""
    return {one.name: raw[one.name] for one in dataclasses.fields(kind) if one.name in raw}


def _packed(order: Order) -> dict[str, Any]:
    """An order as JSON; damage is packed, for it may be infinite and has to come back bit by bit."""
    damage = None
    if order.damage is not None:
        damage = base64.b64encode(np.array(order.damage, dtype="<f8").tobytes()).decode()
    units = [int(unit) for unit in order.units]
    own = None if order.own is None else int(order.own)
    partners = None if order.partners is None else [int(unit) for unit in order.partners]
    notes = dict(order.notes)
    return {"units": units, "damage": damage, "own": own, "notes": notes, "partners": partners}


def _unpacked(raw: Mapping[str, Any]) -> Order:
    damage = raw["damage"]
    if damage is not None:
        damage = tuple(np.frombuffer(base64.b64decode(damage, validate=True), dtype="<f8").tolist())
    partners = raw.get("partners")
    return Order(
        tuple(raw["units"]), damage, raw["own"], raw["notes"], None if partners is None else tuple(partners)
    )


def _encoded(value: Any, place: str) -> None:
    """Base64, of any length."""
    if not isinstance(value, str) or not value.isascii():
        raise ValueError(f"{place} has to be base64")


def _anything(value: Any, place: str) -> None:
    """Notes of a method, which are only shown."""


_ORDER = record(
    ("partners",),
    units=list_of(any_whole()),
    damage=maybe(_encoded),
    own=maybe(any_whole()),
    notes=map_of(_anything),
    partners=maybe(list_of(any_whole(-1))),
)
_RANKED: Form = record(
    schema=any_whole(SCHEMA, SCHEMA),
    key=any_text,
    method=any_text,
    reason=maybe(any_prose),
    orders=map_of(_ORDER),
    curves=maybe(map_of(list_of(list_of(any_number, most=2, least=2)))),
    seconds=any_number,
)
_SCORED: Form = record(
    schema=any_whole(SCHEMA, SCHEMA),
    key=any_text,
    method=any_text,
    allocate=any_text,
    budget=any_text,
    share=any_number,
    repair=any_text,
    seed=any_whole(),
    reason=maybe(any_prose),
    accuracy=maybe(any_number),
    error=maybe(any_number),
    samples=maybe(any_whole(1)),
    params=maybe(any_whole()),
    macs=maybe(any_whole()),
    proof=maybe(proof_form()),
    right=maybe(record(coding=one_of("bits", "float32"), samples=any_whole(1), packed=_encoded)),
    kept=map_of(list_of(any_whole())),
    remarks=list_of(any_prose),
    seconds=map_of(any_number),
)
