"""One axis of the forest plot: points, lines, and what must be ruled out."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fineline.evaluate.tables import Entry

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINE, GREY, RULED_OUT = "#222222", "#666666", "#d55e00"
# colours of Okabe and Ito, told apart by colour-blind eyes; the symbols tell the same in black and white
STYLES = {
    "pass": ("#009e73", "o", None),
    "fail": ("#d55e00", "X", None),
    "inconclusive": ("#b07800", "D", "white"),
    "info": (GREY, "s", None),
}
SMALLEST_SPAN = 0.01  # of an axis
LARGEST_SPAN = 4.0  # of an axis with margins, to either side: so many times the largest margin
HALF = 0.42  # of a row, that is shaded


def draw(axes: "Axes", rows: Sequence[Entry], unit: str, size: float) -> None:
    """Draw rows of one unit, the first on top.

    Args:
        size: Of the numbers at the axis, in points.
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
    """What the symbols in these rows mean."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [
        Line2D([], [], color=colour, marker=marker, markersize=6.5, markerfacecolor=fill or colour, label=verdict)
        for verdict, (colour, marker, fill) in STYLES.items()
        if any(entry["verdict"] == verdict for entry in rows)
    ]
    if any(edge(entry) is not None for entry in rows):
        handles.append(Patch(color=RULED_OUT, alpha=0.25, linewidth=0, label="the line must stay to the right of this"))
    if any(visible(entry) is not None for entry in rows):
        label = "smallest drop that so many items show"
        handles.append(Line2D([], [], color=GREY, marker="|", markersize=9, linestyle="none", label=label))
    return handles


def has_bounds(entry: Entry) -> bool:
    """Whether the difference has confidence bounds; of a single cluster they are not known."""
    return entry["lower"] is not None and entry["upper"] is not None


def edge(entry: Entry) -> float | None:
    """Where begins, to the left, what the rule must rule out; None where nothing is asked for."""
    if entry["limit"] is None or entry["rule"] == "info":
        return None
    return entry["limit"] if entry["rule"] == "must_improve" else -entry["limit"]


def visible(entry: Entry) -> float | None:
    """The smallest drop that the items show, where a margin is set: beyond the margin, the items are too few."""
    if not _has_margin(entry) or entry["detectable"] is None or entry["difference"] is None:
        return None
    return -entry["detectable"]


def limits(rows: Sequence[Entry]) -> tuple[float, float]:
    """The ends of the axis: it holds 0, all bounds and all edges, and at the left some of what must be ruled out.

    Where margins are set, none becomes invisible because one measure fell far: what lies beyond is an arrow.
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
    """Text with the sign that is as wide as a plus."""
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
    colour, marker, fill = STYLES[entry["verdict"]]
    ends, style = ((entry["lower"], entry["upper"]), "-") if has_bounds(entry) else ((left, right), ":")
    axes.plot(ends, (position, position), style, color=colour, linewidth=1.8, snap=False)
    for end, beyond, arrow in ((left, ends[0] < left, "<"), (right, ends[1] > right, ">")):
        if beyond:
            axes.plot(end, position, arrow, color=colour, markersize=6.5, clip_on=False)
    smallest = visible(entry)
    if smallest is not None:
        axes.plot(smallest, position, "|", color=GREY, markersize=9, snap=False)
    axes.plot(entry["difference"], position, marker, color=colour, markersize=6.5, markerfacecolor=fill or colour, snap=False)


def _tick(value: float, unit: str) -> str:
    number = f"{round(100 * value, 6):+g}%" if unit == "share" else f"{round(value, 6):+g}"
    return minus(number) if float(number.rstrip("%")) else "0"
