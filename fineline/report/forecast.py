"""The forecast of memory and time compared with what was measured, and size and speed of the exported forms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from fineline.evaluate.tables import NOTHING
from fineline.plan.workload import duration
from fineline.project.candidate import made_forms, shipped_form
from fineline.report import figures
from fineline.report.reading import Content

PARTS = ("base", "adapters", "gradients", "optimizer", "activations", "logits", "context")
CLOSE = 1.005  # a factor below this is shown as equal


@dataclass(frozen=True)
class Bar:
    """One amount."""

    name: str
    amount: str
    drawn: Markup


@dataclass(frozen=True)
class Comparison:
    """A forecast and its measurement, on one scale."""

    title: str
    bars: Sequence[Bar]
    sentence: str
    parts: Sequence[tuple[str, str]]
    """(class, name and amount) of each part of the forecast, for a legend."""


@dataclass(frozen=True)
class Form:
    """One exported form."""

    name: str
    size: str
    speed: str
    divergence: str
    agreement: str
    verdict: str


def comparisons(content: Content) -> list[Comparison]:
    """Return memory and time; only what was forecast or measured."""
    training, chosen = content.report("training"), content.report("plan").get("chosen", {})
    memory, time = training.get("memory", {}), training.get("time", {})
    expected = memory.get("predicted") or chosen.get("memory_bytes") or {}
    found = [
        _compare("Memory, peak", expected.get("total"), memory.get("measured"), _gib, expected),
        _compare("Training time", time.get("predicted") or chosen.get("seconds"), time.get("measured"), duration, {}),
    ]
    return [one for one in found if one is not None]


def forms(content: Content) -> list[Form]:
    """Return the exported forms, each with its own verdict; one that only checks a conversion has none."""
    candidate = content.report("candidate")
    verdicts = {form: found["verdict"] for form, found in candidate.get("others", {}).items()}
    if "verdict" in candidate:
        verdicts[shipped_form(content.report("export"))] = candidate["verdict"]
    return [
        Form(
            name=f"{'ONNX' if name in ('fp32', 'quantized') else name}, {form['precision']}",
            size=f"{form['bytes'] / 1e6:,.0f} MB" if form["bytes"] >= 1e7 else f"{form['bytes'] / 1e6:.2f} MB",
            speed=f"{form['tokens_per_second']:,.1f}",
            divergence=NOTHING if form.get("mean_kl") is None else f"{form['mean_kl']:.2g}",
            agreement=NOTHING if form.get("top1_agreement") is None else f"{form['top1_agreement']:.1%}",
            verdict=verdicts.get(name, NOTHING),
        )
        for name, form in made_forms(content.report("export")).items()
    ]


def _compare(
    title: str, predicted: float | None, measured: float | None, shown: Any, parts: Mapping[str, float]
) -> Comparison | None:
    amounts = [amount for amount in (predicted, measured) if amount]
    if not amounts:
        return None
    whole = max(amounts)
    bars = []
    if predicted:
        split = [(f"part-{place}", float(parts[part])) for place, part in enumerate(PARTS) if parts.get(part)]
        label = f"{title}, forecast: {shown(predicted)}"
        bars.append(Bar("forecast", shown(predicted), figures.bar(split or [("part-0", predicted)], whole, label)))
    if measured:
        drawn = figures.bar([("measured", measured)], whole, f"{title}, measured: {shown(measured)}")
        bars.append(Bar("measured", shown(measured), drawn))
    legend = [(f"part-{place}", f"{part} {shown(parts[part])}") for place, part in enumerate(PARTS) if parts.get(part)]
    return Comparison(title, bars, _sentence(predicted, measured), legend)


def _sentence(predicted: float | None, measured: float | None) -> str:
    if not measured:
        return "Not measured yet."
    if not predicted:
        return "There was no forecast."
    factor = max(predicted, measured) / min(predicted, measured)
    if factor < CLOSE:
        return "As forecast."
    if factor >= 2:
        return f"{factor:.1f} times {'the forecast' if measured > predicted else 'less than forecast'}."
    return f"{abs(measured / predicted - 1):.0%} {'more' if measured > predicted else 'less'} than forecast."


def _gib(size: float) -> str:
    return f"{size / 2**30:.2f} GiB" if size >= 2**30 / 100 else f"{size / 2**20:.1f} MiB"
