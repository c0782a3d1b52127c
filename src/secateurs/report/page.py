"""One run as one HTML page: no scripts, no fonts, no pictures from anywhere else."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from importlib.resources import files

from secateurs.pipeline import GroupReport
from secateurs.report.record import (
    Compared,
    Measures,
    Record,
    at_places,
    milliseconds,
    peak_bytes,
    percent,
    share,
)
from secateurs.targets import Budgeted
from secateurs.targets.amounts import in_words

_NAMES = {"macs": "MACs", "params": "parameters", "latency": "latency", "keep": "prunable channels"}


def page(record: Record) -> str:
    """The page of a run: what stayed, what it costs, what was proved, and every group with its reason.

    Args:
        record: The content of result.json; nothing else is read.

    Returns:
        A whole HTML document that loads nothing.
    """
    title = f"{record.model}: {share(record.after.macs, record.before.macs)} of the MACs"
    style = files("secateurs.report").joinpath("page.css").read_text(encoding="utf-8")
    body = "\n".join(
        [
            f"<h1>{escape(title)}</h1>",
            f'<p class="soft">{escape(_made(record))}</p>',
            _cards(record),
            _proof(record),
            *_budgets(record.budget, record.budgets),
            *_comparison(record.comparison),
            *_trainings(record),
            "<h2>Groups of coupled channels</h2>",
            f'<p class="soft">{escape(groups_sentence(record.groups))}</p>',
            _groups(record.groups),
            "<h2>How it was measured</h2>",
            _facts(_measured(record)),
            "<h2>The run</h2>",
            _facts(_run(record)),
        ]
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n"
        "</body>\n</html>\n"
    )


def target_sentence(target: Mapping[str, float]) -> str:
    """What was asked to stay, in words.

    Example:
        >>> target_sentence({"macs": 0.5})
        '50 % of the MACs stay'
    """
    if not target:
        return "no target: the method's own rule decides"
    if "accuracy_drop" in target:
        return f"at most {target['accuracy_drop']:g} points of accuracy lost on held-out training data"
    return " and ".join(_goal(key, value) for key, value in target.items())


def _goal(key: str, value: float) -> str:
    if value > 1:
        return f"at most {value:,.0f} {in_words(key)}"
    return f"{100 * value:.4g} % of the {_NAMES.get(key) or in_words(key)} stay"


def groups_sentence(groups: tuple[GroupReport, ...]) -> str:
    """How many groups were cut, left whole and locked, and what the locked ones cost.

    Example:
        >>> groups_sentence((GroupReport("conv1", 8, 4, "pruned", None, 216, 9000),))
        '1 pruned, 0 left whole, 0 locked.'
    """
    count = {
        status: sum(group.status == status for group in groups) for status in ("pruned", "kept", "locked")
    }
    locked = sum(group.macs for group in groups if group.status == "locked")
    cost = f" ({locked:,} MACs in locked groups)" if count["locked"] else ""
    return f"{count['pruned']} pruned, {count['kept']} left whole, {count['locked']} locked{cost}."


def points(change: float) -> str:
    """A change in per cent points, with a real minus.

    Example:
        >>> points(-1.234)
        '−1.23 points'
    """
    return f"{change:+.2f} points".replace("-", "−")


def _made(record: Record) -> str:
    repair = "no repair" if record.compensate == "none" else f"repair: {record.compensate}"
    recalibrated = ", batch-norm statistics measured anew" if record.recalibrated else ""
    return (
        f"Pruned with {record.method}, allocation {record.allocate}, {repair}{recalibrated}; "
        f"{trained(record)}. Asked: {target_sentence(record.target)}."
    )


def trained(record: Record) -> str:
    """The training of a run in a few words."""
    if not record.tuned:
        return "no training afterwards"
    epochs = sum(len(one["epochs"]) for one in record.tuned)
    several = f" in {len(record.tuned)} parts" if len(record.tuned) > 1 else ""
    return f"{epochs} epoch{'' if epochs == 1 else 's'} of training afterwards{several}"


def _trainings(record: Record) -> list[str]:
    """A table of all epochs; nothing where nothing was trained."""
    if not record.tuned:
        return []
    rows = "".join(
        f'<tr><td class="n">{number}</td><td class="n">{epoch["number"]}{" (kept)" * (epoch["number"] == one["best"])}'
        f'</td><td class="n">{epoch["loss"]:.4f}</td><td class="n">{epoch["rate"]:.2g}</td>'
        f'<td class="n">{percent(epoch.get("accuracy"), None)}</td></tr>'
        for number, one in enumerate(record.tuned, 1)
        for epoch in one["epochs"]
    )
    said = [
        ", ".join(f"{k} {v}" for k, v in one["settings"].items()) or "default settings"
        for one in record.tuned
    ]
    return [
        "<h2>Training</h2>",
        f'<p class="soft">{escape("; ".join(said))}. A part of the training data decided which epoch is kept.</p>',
        '<div class="wide"><table><thead><tr><th class="n">training</th><th class="n">epoch</th><th class="n">loss</th>'
        '<th class="n">learning rate</th><th class="n">validation</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>",
    ]


def _cards(record: Record) -> str:
    before, after = record.before, record.after
    cards = [
        ("MACs that stay", share(after.macs, before.macs), f"{before.macs:,} → {after.macs:,}"),
        ("parameters that stay", share(after.params, before.params), f"{before.params:,} → {after.params:,}"),
    ]
    if after.peak_elements is not None and before.peak_elements is not None:
        cards.append(
            (
                "peak activations",
                share(after.peak_elements, before.peak_elements),
                f"{4 * before.peak_elements:,} → {peak_bytes(after.peak_elements, 'fp32')}",
            )
        )
    if after.accuracy is not None and before.accuracy is not None:
        change = points(100 * (after.accuracy - before.accuracy))
        cards.append(
            (
                "accuracy",
                percent(after.accuracy, None),
                f"± {100 * (after.accuracy_error or 0):.2f}; {change} from {percent(before.accuracy, None)}",
            )
        )
    if after.latency_ms is not None and before.latency_ms is not None:
        cards.append(
            (
                "latency, batch 1",
                f"{after.latency_ms:.2f} ms",
                f"{share(after.latency_ms, before.latency_ms)} of {before.latency_ms:.2f} ms",
            )
        )
    return (
        '<div class="cards">'
        + "".join(
            f'<div class="card"><span class="name">{escape(name)}</span><b>{escape(value)}</b>'
            f'<span class="from">{escape(source)}</span></div>'
            for name, value, source in cards
        )
        + "</div>"
    )


def _proof(record: Record) -> str:
    proof = record.verification
    verdict, kind = ("Proved", "proof") if proof.passed else ("NOT proved", "proof failed")
    return (
        f'<p class="{kind}"><strong>{verdict}.</strong> The smaller network was compared, in '
        f"{proof.precision}, with the original whose removed channels were silenced: the largest "
        f"difference on {' and '.join(proof.inputs)} input is {proof.max_rel_diff:.1e} of the range"
        f"{at_places(proof.places)} (limit {proof.tolerance:.0e}). What is proved is the removal, before repair and "
        "recalibration. "
        "The saved file, loaded anew, was compared with the network in memory: bit-equal.</p>"
    )


def _budgets(name: str | None, rows: tuple[Budgeted, ...]) -> list[str]:
    """What was asked of each budget and what came of it, nothing for runs without."""
    if not rows:
        return []
    cells = "".join(
        f'<tr class="{"pruned" if one.met else "over"}"><td>{escape(in_words(one.key))}</td>'
        f'<td class="bar"><span><i style="width:{100 * min(1.0, one.after / max(one.limit, 1e-12)):.1f}%"></i></span>'
        f'</td><td class="n">{one.before:,.0f}</td><td class="n">{one.after:,.0f}</td>'
        f'<td class="n">{one.limit:,.0f}</td><td>{"within" if one.met else "too much"}</td></tr>'
        for one in rows
    )
    verdict = "legal" if all(one.met for one in rows) else "not legal"
    lead = f'<p class="soft">{escape(name)}: {verdict}.</p>' if name else ""
    return [
        "<h2>Budgets</h2>",
        lead,
        '<div class="wide"><table><thead><tr><th>budget</th><th></th><th class="n">before</th><th class="n">after</th>'
        '<th class="n">asked, at most</th><th></th></tr></thead>'
        f"<tbody>{cells}</tbody></table></div>",
    ]


def _comparison(rows: tuple[Compared, ...]) -> list[str]:
    """The ways that the demo compared, nothing for other runs."""
    if not rows:
        return []
    cells = "".join(_compared(row) for row in rows)
    return [
        "<h2>Ways to the same target</h2>",
        '<p class="soft">Accuracy on test samples as removal left the network and repaired, and on training samples '
        "that neither training nor repair saw (held out), by which the way was chosen.</p>",
        '<div class="wide"><table><thead><tr><th>method</th><th>repair</th><th class="n">as removal left it</th>'
        '<th class="n">repaired</th><th class="n">held out</th><th></th></tr></thead>'
        f"<tbody>{cells}</tbody></table></div>",
    ]


def _compared(row: Compared) -> str:
    numbers = "".join(
        f'<td class="n">{percent(value, None)}</td>' for value in (row.plain, row.repaired, row.held_out)
    )
    chosen = "this run" if row.chosen else ""
    return f"<tr><td>{escape(row.method)}</td><td>{escape(row.repair)}</td>{numbers}<td>{chosen}</td></tr>"


def _groups(groups: tuple[GroupReport, ...]) -> str:
    rows = "".join(_row(group) for group in groups)
    return (
        '<div class="wide"><table><thead><tr><th>group</th><th></th><th class="n">kept</th><th>status</th>'
        '<th class="n">parameters before</th><th class="n">MACs before</th><th>reason</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _row(group: GroupReport) -> str:
    width = 100 * group.kept / max(group.size, 1)
    return (
        f'<tr class="{escape(group.status)}"><td><code>{escape(group.name)}</code></td>'
        f'<td class="bar"><span><i style="width:{width:.1f}%"></i></span></td>'
        f'<td class="n">{group.kept} of {group.size}</td><td>{escape(group.status)}</td>'
        f'<td class="n">{group.params:,}</td><td class="n">{group.macs:,}</td>'
        f"<td{' class=reason' * bool(group.reason)}>{escape(group.reason or '')}</td></tr>"
    )


def _facts(facts: dict[str, str]) -> str:
    return "<dl>" + "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in facts.items()) + "</dl>"


def _measured(record: Record) -> dict[str, str]:
    shapes = " and ".join(str(tuple(shape[1:])) for shape in (record.input_shape, *record.more_inputs))
    facts = {"MACs": f"for one input of shape {shapes}; one multiply-add counts once"}
    uncounted = record.after.uncounted
    facts["not counted"] = (
        ", ".join(f"{name} ({calls})" for name, calls in uncounted.items()) if uncounted else "nothing"
    )
    before, after = record.before.peak_elements, record.after.peak_elements
    if before is not None and after is not None:
        sizes = ", ".join(
            f"{peak_bytes(before, kind)} before and {peak_bytes(after, kind)} after at {kind}"
            for kind in ("fp32", "int8")
        )
        facts["peak activations"] = (
            f"{sizes}: the most alive at once for one sample, as PyTorch runs the operations, one after the other"
        )
    facts["accuracy"] = _accuracy(record.before, record.data)
    if record.latency is not None:
        facts["latency"] = (
            f"{milliseconds(record.before.latency_ms, record.before.latency_spread_ms)} before, "
            f"{milliseconds(record.after.latency_ms, record.after.latency_spread_ms)} after: {record.latency}"
        )
    return facts


def _accuracy(before: Measures, data: str | None) -> str:
    if before.accuracy is None:
        return "not measured: no data was given"
    return f"on the {before.samples or 0:,} test samples of {data}, with its standard error"


def _run(record: Record) -> dict[str, str]:
    facts = {"seed": str(record.seed)}
    if record.remarks:
        facts["remarks"] = " ".join(record.remarks)
    if record.original != record.before:
        facts["pruned before"] = (
            f"this run began with a pruned network; of the first original, "
            f"{share(record.after.macs, record.original.macs)} of the MACs and "
            f"{share(record.after.params, record.original.params)} of the parameters stay"
        )
    facts["seconds"] = ", ".join(f"{stage} {value:.1f}" for stage, value in record.seconds.items())
    facts["versions"] = ", ".join(f"{name} {version}" for name, version in record.versions.items())
    return facts
