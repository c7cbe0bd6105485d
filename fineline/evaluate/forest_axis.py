"""One axis of the forest plot: points, lines, and the range that must be ruled out."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fineline.evaluate.tables import Entry

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINE, GRAY, RULED_OUT = "#222222", "#666666", "#d55e00"
# colors of Okabe and Ito, safe for color blindness; the symbols carry the same information in black and white
STYLES = {
    "pass": ("#009e73", "o", None),
    "fail": ("#d55e00", "X", None),
    "inconclusive": ("#b07800", "D", "white"),
    "info": (GRAY, "s", None),
}
SMALLEST_SPAN = 0.01  # of an axis
LARGEST_SPAN = 4.0  # to either side of an axis with margins, in multiples of the largest margin
HALF = 0.42  # shaded part of a row, to either side of its middle


def draw(axes: "Axes", rows: Sequence[Entry], unit: str, size: float) -> None:
    """Draw rows of one unit, the first on top.

    Args:
        size: Font size of the tick labels, in points.
    """
    from matplotlib.ticker import MaxNLocator

    axes.set(xlim=limits(rows), ylim=(len(rows) - 0.5, -0.5), yticks=[])
    axes.axvline(0, color=LINE, linewidth=0.9)
    for position, entry in enumerate(rows):
        _shade(axes, entry, position)
        if entry["difference"] is not None:
            _mark(axes, entry, position)
    axes.spines[["top", "left", "right"]].set_visible(False)
    axes.tick_params(axis="x", labelsize=size)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=7, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(lambda value, _: _tick(value, unit))
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)


def legend(rows: Sequence[Entry]) -> list[Any]:
    """Return the legend of the symbols in these rows."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [
        Line2D([], [], color=color, marker=marker, markersize=6.5, markerfacecolor=fill or color, label=verdict)
        for verdict, (color, marker, fill) in STYLES.items()
        if any(entry["verdict"] == verdict for entry in rows)
    ]
    if any(edge(entry) is not None for entry in rows):
        handles.append(Patch(color=RULED_OUT, alpha=0.25, linewidth=0, label="the line must stay to the right of this"))
    if any(visible(entry) is not None for entry in rows):
        label = "smallest drop that this sample size can detect"
        handles.append(Line2D([], [], color=GRAY, marker="|", markersize=9, linestyle="none", label=label))
    return handles


def has_bounds(entry: Entry) -> bool:
    """True if the difference has confidence bounds; those of a single cluster are unknown."""
    return entry["lower"] is not None and entry["upper"] is not None


def edge(entry: Entry) -> float | None:
    """Return the right end of the range that the rule must rule out; None if there is no such range."""
    if entry["limit"] is None or entry["rule"] == "info":
        return None
    return entry["limit"] if entry["rule"] == "must_improve" else -entry["limit"]


def visible(entry: Entry) -> float | None:
    """Return the smallest detectable drop if a margin is set; beyond the margin, the sample is too small."""
    if not _has_margin(entry) or entry["detectable"] is None or entry["difference"] is None:
        return None
    return -entry["detectable"]


def limits(rows: Sequence[Entry]) -> tuple[float, float]:
    """Return the ends of the axis: it contains 0, all bounds and edges, and some of the range that must be ruled out.

    If margins are set, they stay visible although one measure dropped far: an arrow marks what is outside.
    """
    edges = [place for place in map(edge, rows) if place is not None]
    places = [0.0, *edges, *(place for place in map(visible, rows) if place is not None)]
    places += [entry[end] for entry in rows for end in ("lower", "difference", "upper") if entry[end] is not None]
    if edges and all(_has_margin(entry) for entry in rows):
        furthest = LARGEST_SPAN * max(map(abs, edges))
        places = [min(max(place, -furthest), furthest) for place in places]
    if max(places) - min(places) < SMALLEST_SPAN:
        places += [min(places) - SMALLEST_SPAN / 2, max(places) + SMALLEST_SPAN / 2]
    span = max(places) - min(places)
    return min(places) - 0.1 * span, max(places) + 0.05 * span


def minus(text: str) -> str:
    """Replace hyphens by minus signs, which are as wide as a plus."""
    return text.replace("-", "\N{MINUS SIGN}")


def _has_margin(entry: Entry) -> bool:
    return entry["rule"] in ("must_not_regress", "champion")


def _shade(axes: "Axes", entry: Entry, position: int) -> None:
    place = edge(entry)
    if place is not None:
        rows = (position - HALF, position + HALF)
        axes.fill_betweenx(rows, axes.get_xlim()[0], place, color=RULED_OUT, alpha=0.16, linewidth=0)
        axes.plot((place, place), rows, color=RULED_OUT, linewidth=1.4)


def _mark(axes: "Axes", entry: Entry, position: int) -> None:
    left, right = axes.get_xlim()
    color, marker, fill = STYLES[entry["verdict"]]
    ends, style = ((entry["lower"], entry["upper"]), "-") if has_bounds(entry) else ((left, right), ":")
    axes.plot(ends, (position, position), style, color=color, linewidth=1.8, snap=False)
    for end, beyond, arrow in ((left, ends[0] < left, "<"), (right, ends[1] > right, ">")):
        if beyond:
            axes.plot(end, position, arrow, color=color, markersize=6.5, clip_on=False)
    smallest = visible(entry)
    if smallest is not None:
        axes.plot(smallest, position, "|", color=GRAY, markersize=9, snap=False)
    axes.plot(entry["difference"], position, marker, color=color, markersize=6.5, markerfacecolor=fill or color, snap=False)


def _tick(value: float, unit: str) -> str:
    number = f"{round(100 * value, 6):+g}%" if unit == "share" else f"{round(value, 6):+g}"
    return minus(number) if float(number.rstrip("%")) else "0"
