"""Inline SVG that scales with the width of the page and follows its light or dark colors.

Positions across are percentages, so lines move and text keeps its size. Colors are classes of page.css. Each figure has a label
that says in words what it shows.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from xml.etree import ElementTree as ET

from markupsafe import Markup

from fineline.evaluate import forest, tables
from fineline.evaluate.tables import Entry

LANE = 15  # pixels from one model to the next in a row of the forest plot
EDGE = 6  # pixels above the first and below the last
LOSS = 220  # pixels of height
LOG_FROM = 50  # a loss that falls by this factor is drawn on a logarithmic axis
MARKS = {"adapter": "M0-4.5A4.5 4.5 0 1 1 0 4.5A4.5 4.5 0 1 1 0-4.5Z", "merged": "M0-5.5 5.5 0 0 5.5-5.5 0Z"}
SHIPPED_MARK = "M-4.5-4.5h9v9h-9Z"

Points = Sequence[tuple[float, float]]
Limits = tuple[float, float]


def mark(arm: str) -> Markup:
    """Return the symbol of a model, for a legend."""
    root = _svg("", "16", "16", hidden=True)
    group = ET.SubElement(root, "g", {"transform": "translate(8 8)"})
    ET.SubElement(group, "path", {"d": MARKS.get(arm, SHIPPED_MARK), "class": f"mark {arm}"})
    return _markup(root)


def strip(arms: Mapping[str, Entry], limits: Limits, label: str) -> Markup:
    """Return a row of the forest plot: the difference of each model with its bounds, and the range to rule out.

    Args:
        arms: Model -> the entry of the same rule and measure in its decision.
        limits: Ends of the axis.
    """
    height = EDGE * 2 + LANE * len(arms)
    root = _svg(label, "100%", str(height))
    for tick in ticks(*limits):
        _line(root, _across(tick, limits), 0, _across(tick, limits), height, "zero" if tick == 0 else "grid")
    edges = {place for entry in arms.values() if (place := tables.bound_to_exceed(entry)) is not None}
    for place in sorted(edges):
        ET.SubElement(root, "rect", {"width": _across(place, limits), "height": str(height), "class": "excluded"})
        _line(root, _across(place, limits), 0, _across(place, limits), height, "limit")
    for lane, (arm, entry) in enumerate(arms.items()):
        middle = EDGE + LANE * (lane + 0.5)
        if entry["difference"] is None:
            continue
        if tables.has_bounds(entry):
            ends = (_across(entry["lower"], limits), _across(entry["upper"], limits))
            _line(root, ends[0], middle, ends[1], middle, f"interval {arm}")
        center = ET.SubElement(root, "svg", {"x": _across(entry["difference"], limits), "y": f"{middle:g}", "class": "at"})
        ET.SubElement(center, "path", {"d": MARKS.get(arm, SHIPPED_MARK), "class": f"mark {arm}"})
    return _markup(root)


def axis(limits: Limits, unit: str) -> Markup:
    """Return the axis below rows of the forest plot."""
    root = _svg("", "100%", "18", hidden=True)
    for tick in ticks(*limits):
        _text(root, _across(tick, limits), 13, _difference(tick, unit), "middle")
    return _markup(root)


def losses(train: Points, validation: Points) -> Markup:
    """Return the loss curves; the axis is logarithmic if the loss falls far."""
    values = [loss for _, loss in (*train, *validation)]
    log = is_logarithmic(values)
    height = [math.log10(value) if log else value for value in values]
    top, bottom = max(height), min(height) if log else 0.0
    span = (top - bottom) or 1.0
    last = max(step for step, _ in (*train, *validation)) or 1.0

    def down(value: float) -> float:
        return LOSS * (top + 0.05 * span - (math.log10(value) if log else value)) / (1.1 * span)

    label = f"Loss by step. {_ends('Training', train)}{_ends('Validation', validation)}"
    root = _svg(label.strip(), "100%", str(LOSS + 38))
    for tick in _powers(bottom, top) if log else ticks(0, top):
        y = down(tick)
        if 0 <= y <= LOSS:
            _line(root, "0", y, "100%", y, "grid")
            _text(root, "-8", y + 4, f"{tick:g}", "end")
    for tick in ticks(0, last, 6):
        _text(root, _across(tick, (0, last)), LOSS + 20, f"{tick:g}", "start" if tick == 0 else "middle")
    _text(root, "100%", LOSS + 36, "step", "end")
    for kind, points in (("train", train), ("validation", validation)):
        inner = {"viewBox": f"0 0 1000 {LOSS}", "preserveAspectRatio": "none", "width": "100%", "height": str(LOSS)}
        shape = " ".join(f"{1000 * step / last:.1f},{down(value):.1f}" for step, value in points)
        ET.SubElement(
            ET.SubElement(root, "svg", inner | {"class": "at"}), "polyline", {"points": shape, "class": f"curve {kind}"}
        )
    for step, value in validation:
        place = {"cx": _across(step, (0, last)), "cy": f"{down(value):.1f}", "r": "3.5", "class": "point validation"}
        ET.SubElement(root, "circle", place)
    return _markup(root)


def is_logarithmic(values: Sequence[float]) -> bool:
    """True if losses are drawn on a logarithmic axis."""
    return bool(values) and min(values) > 0 and max(values) / min(values) >= LOG_FROM


def bar(parts: Iterable[tuple[str, float]], whole: float, label: str) -> Markup:
    """Return a bar of parts, each (class, size), where `whole` takes the full width."""
    root = _svg(label, "100%", "18")
    start = 0.0
    for kind, size in parts:
        place = {"x": f"{100 * start / whole:.3f}%", "width": f"{100 * size / whole:.3f}%", "height": "18"}
        ET.SubElement(root, "rect", place | {"class": f"part {kind}"})
        start += size
    return _markup(root)


def balance(lost: int, gained: int, items: int, label: str) -> Markup:
    """Return a bar from the middle: to the left the share of items that got worse, to the right of those that got better."""
    root = _svg(label, "100%", "14")
    left, right = 50 * lost / items, 50 * gained / items
    ET.SubElement(root, "rect", {"x": f"{50 - left:.3f}%", "width": f"{left:.3f}%", "height": "14", "class": "part removed"})
    ET.SubElement(root, "rect", {"x": "50%", "width": f"{right:.3f}%", "height": "14", "class": "part gained"})
    _line(root, "50%", -3, "50%", 17, "zero")
    return _markup(root)


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Return at most `most` round numbers within an axis, and 0 if it is there."""
    raw = (high - low) / most or 1.0
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.9999)
    first = math.ceil(low / step - 1e-9)
    return [round(step * place, 9) + 0.0 for place in range(first, math.floor(high / step + 1e-9) + 1)]


def _powers(bottom: float, top: float) -> list[float]:
    """Return the powers of ten between two logarithms, with their triples where there are few."""
    powers = range(math.floor(bottom), math.ceil(top) + 1)
    factors = (1, 3) if top - bottom < 3 else (1,)
    return [factor * 10.0**power for power in powers for factor in factors]


def _ends(name: str, points: Points) -> str:
    return f"{name}: from {points[0][1]:.3g} to {points[-1][1]:.3g} at step {points[-1][0]:g}. " if points else ""


def _difference(value: float, unit: str) -> str:
    if value == 0:
        return "0"
    return forest.minus(f"{100 * value:+g}%" if unit == "share" else f"{value:+g}")


def _across(value: float, limits: Limits) -> str:
    """Return a position across as a percentage; what is beyond the axis is at its end."""
    low, high = limits
    return f"{100 * min(max((value - low) / (high - low), 0.0), 1.0):.2f}%"


def _svg(label: str, width: str, height: str, hidden: bool = False) -> ET.Element:
    shown = {"aria-hidden": "true"} if hidden else {"role": "img", "aria-label": label}
    return ET.Element("svg", {"width": width, "height": height, **shown})


def _line(parent: ET.Element, x1: str, y1: float, x2: str, y2: float, kind: str) -> None:
    ET.SubElement(parent, "line", {"x1": x1, "y1": f"{y1:g}", "x2": x2, "y2": f"{y2:g}", "class": kind})


def _text(parent: ET.Element, x: str, y: float, text: str, anchor: str) -> None:
    ET.SubElement(parent, "text", {"x": x, "y": f"{y:g}", "text-anchor": anchor}).text = text


def _markup(root: ET.Element) -> Markup:
    """Return an element as markup; ElementTree escapes texts and attributes."""
    return Markup(ET.tostring(root, encoding="unicode", short_empty_elements=False))
