"""The forest plot: every difference of a decision with its confidence bounds, next to what its rule must rule out.

Targets, guards, the champion and reported measures have separate panels, and so has each unit: a gain of 85 points on the
target does not change the axis of a guard with a margin of 5.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fineline.artifacts import files
from fineline.evaluate import tables
from fineline.evaluate.tables import Entry

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLES = {
    "must_improve": "Must improve on the base",
    "must_not_regress": "Must not regress from the base",
    "champion": "Must not fall behind the champion",
    "info": "Reported only, against the base",
}

# inches
NAME, ITEMS, PLOT, SCORES, DIFFERENCE, VERDICT = 2.3, 0.55, 3.9, 1.45, 2.15, 0.95
EDGE, GAP, ROW, HEAD, FOOT, TOP, LEGEND = 0.15, 0.2, 0.27, 0.3, 0.35, 0.62, 0.32
WIDTH = EDGE + NAME + ITEMS + PLOT + GAP + SCORES + DIFFERENCE + VERDICT + EDGE
LEFT = EDGE + NAME + ITEMS  # of the plots
RIGHT = LEFT + PLOT + GAP  # of the numbers

LONGEST_NAME = 32
TEXT, SMALL = 9.0, 8.0  # points

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


@dataclass(frozen=True)
class Panel:
    """Rows that share an axis."""

    title: str
    unit: str
    rows: Sequence[Entry]


def panels(decision: Mapping[str, Any]) -> list[Panel]:
    """Return the panels in order; floors compare nothing, so only the table shows them."""
    found = []
    for rule, title in TITLES.items():
        rows = [entry for entry in decision["rules"] if entry["rule"] == rule]
        # not a rule without a difference, unless it could not be judged and so did not pass
        rows = [entry for entry in rows if entry["difference"] is not None or entry["verdict"] not in ("info", "pass")]
        for unit in sorted({entry["unit"] for entry in rows}, key=lambda unit: (unit != "share", unit)):
            of_unit = [entry for entry in rows if entry["unit"] == unit]
            found.append(Panel(title if unit == "share" else f"{title}, in {unit}", unit, of_unit))
    return found


def draw(decision: Mapping[str, Any], file: Path, title: str = "") -> None:
    """Write the plot as SVG; the same decision gives the same bytes."""
    drawn = io.StringIO()
    with _plain_style():
        metadata = {"Date": None, "Creator": None, "Title": _headline(decision, title)}
        figure(decision, title).savefig(drawn, format="svg", metadata=metadata)
    files.write_text(file, drawn.getvalue())


def figure(decision: Mapping[str, Any], title: str = "") -> "Figure":
    """Return the plot, to be saved in any format.

    Args:
        decision: The content of gate.json, or one of `forms` in candidate.json.
        title: Subject of the decision, e.g. the adapter's name.
    """
    from matplotlib.figure import Figure  # no pyplot, so no display and no global state

    shown = panels(decision)
    height = TOP + sum(HEAD + ROW * len(panel.rows) + FOOT for panel in shown) + LEGEND
    with _plain_style():
        drawn = Figure(figsize=(WIDTH, height), dpi=100, facecolor="white")
        page = _Page(drawn, height)
        page.write(EDGE, 0.22, _headline(decision, title), size=12, weight="bold")
        if not shown:
            page.write(EDGE, TOP, "There are no differences to plot.")
            return drawn
        _name_columns(page)
        top = TOP
        for panel in shown:
            page.write(EDGE, top + HEAD / 2, panel.title, weight="bold")
            axes = page.axes(LEFT, top + HEAD, PLOT, ROW * len(panel.rows))
            draw_axis(axes, panel.rows, panel.unit, SMALL)
            for position, entry in enumerate(panel.rows):
                _write_row(page, entry, top + HEAD + (position + 0.5) * ROW)
            top += HEAD + ROW * len(panel.rows) + FOOT
        handles = legend([entry for panel in shown for entry in panel.rows])
        drawn.legend(handles=handles, loc="lower center", ncols=len(handles), frameon=False, fontsize=SMALL)
    return drawn


@dataclass(frozen=True)
class _Page:
    """A figure with positions in inches from the top left."""

    figure: "Figure"
    height: float

    def write(self, left: float, top: float, text: str, *, size: float = TEXT, **style: Any) -> None:
        """Write text whose vertical center is at `top`."""
        look: dict[str, Any] = {"va": "center", "color": LINE, "parse_math": False}
        self.figure.text(left / WIDTH, 1 - top / self.height, text, fontsize=size, **look | style)

    def axes(self, left: float, top: float, width: float, height: float) -> "Axes":
        """Add axes over a rectangle."""
        return self.figure.add_axes((left / WIDTH, 1 - (top + height) / self.height, width / WIDTH, height / self.height))


@contextmanager
def _plain_style() -> Iterator[None]:
    """Use matplotlib's defaults, independent of the matplotlibrc of the machine."""
    from matplotlib import style

    # text stays text in the file, so that a diff shows which number changed
    text = {"font.size": TEXT, "font.sans-serif": ["DejaVu Sans", "Verdana"], "svg.fonttype": "none"}
    with style.context(["default", text | {"svg.hashsalt": "fineline"}]):
        yield


def _headline(decision: Mapping[str, Any], title: str) -> str:
    return f"{title or 'Evaluation'}: {decision['verdict']}"


def _name_columns(page: _Page) -> None:
    top = TOP - 0.12
    for left, text in (
        (EDGE, "measure"),
        (RIGHT, "reference → candidate"),
        (RIGHT + SCORES, "difference (bounds)"),
        (RIGHT + SCORES + DIFFERENCE, "verdict"),
    ):
        page.write(left, top, text, size=SMALL, color=GRAY)
    page.write(LEFT - 0.15, top, "items", size=SMALL, color=GRAY, ha="right")
    page.write(LEFT, top, "← worse", size=SMALL, color=GRAY)
    page.write(LEFT + PLOT / 2, top, "difference and its bounds", size=SMALL, color=GRAY, ha="center")
    page.write(LEFT + PLOT, top, "better →", size=SMALL, color=GRAY, ha="right")


def _write_row(page: _Page, entry: Entry, middle: float) -> None:
    unit = entry["unit"]
    name = entry["measure"]
    page.write(EDGE + 0.1, middle, name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…")
    page.write(LEFT - 0.15, middle, f"{entry['items']:,}" if entry["items"] is not None else tables.NOTHING, ha="right")
    compared = entry["difference"] is not None
    scores = " → ".join(tables.amount(entry[arm], unit) for arm in ("reference", "candidate")) if compared else tables.NOTHING
    bounds = tables.between(entry) if tables.has_bounds(entry) else "bounds unknown"
    difference = f"{tables.amount(entry['difference'], unit, signed=True)}  ({bounds})"
    page.write(RIGHT, middle, minus(scores))
    page.write(RIGHT + SCORES, middle, minus(difference) if compared else "could not be compared")
    page.write(RIGHT + SCORES + DIFFERENCE, middle, entry["verdict"], color=STYLES[entry["verdict"]][0], weight="bold")


def draw_axis(axes: "Axes", rows: Sequence[Entry], unit: str, size: float) -> None:
    """Draw rows of one unit, the first on top.

    Args:
        size: Font size of the tick labels, in points.
    """
    from matplotlib.ticker import MaxNLocator

    axes.set(xlim=limits(rows), ylim=(len(rows) - 0.5, -0.5), yticks=[])
    axes.axvline(0, color=LINE, linewidth=0.9)
    for position, entry in enumerate(rows):
        if (place := tables.bound_to_exceed(entry)) is not None:
            height = (position - HALF, position + HALF)
            axes.fill_betweenx(height, axes.get_xlim()[0], place, color=RULED_OUT, alpha=0.16, linewidth=0)
            axes.plot((place, place), height, color=RULED_OUT, linewidth=1.4)
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
    if any(tables.bound_to_exceed(entry) is not None for entry in rows):
        handles.append(Patch(color=RULED_OUT, alpha=0.25, linewidth=0, label="the line must stay to the right of this"))
    if any(tables.detectable_drop(entry) is not None for entry in rows):
        label = "smallest drop that this sample size can detect"
        handles.append(Line2D([], [], color=GRAY, marker="|", markersize=9, linestyle="none", label=label))
    return handles


def limits(rows: Sequence[Entry]) -> tuple[float, float]:
    """Return the ends of the axis: it contains 0, all bounds and edges, and some of the range that must be ruled out.

    If margins are set, they stay visible although one measure dropped far: an arrow marks what is outside.
    """
    edges = [place for place in map(tables.bound_to_exceed, rows) if place is not None]
    places = [0.0, *edges, *(place for place in map(tables.detectable_drop, rows) if place is not None)]
    places += [entry[end] for entry in rows for end in ("lower", "difference", "upper") if entry[end] is not None]
    if edges and all(tables.has_margin(entry) for entry in rows):
        furthest = LARGEST_SPAN * max(map(abs, edges))
        places = [min(max(place, -furthest), furthest) for place in places]
    if max(places) - min(places) < SMALLEST_SPAN:
        places += [min(places) - SMALLEST_SPAN / 2, max(places) + SMALLEST_SPAN / 2]
    span = max(places) - min(places)
    return min(places) - 0.1 * span, max(places) + 0.05 * span


def minus(text: str) -> str:
    """Replace hyphens by minus signs, which are as wide as a plus."""
    return text.replace("-", "\N{MINUS SIGN}")


def _mark(axes: "Axes", entry: Entry, position: int) -> None:
    left, right = axes.get_xlim()
    color, marker, fill = STYLES[entry["verdict"]]
    ends, style = ((entry["lower"], entry["upper"]), "-") if tables.has_bounds(entry) else ((left, right), ":")
    axes.plot(ends, (position, position), style, color=color, linewidth=1.8, snap=False)
    for end, beyond, arrow in ((left, ends[0] < left, "<"), (right, ends[1] > right, ">")):
        if beyond:
            axes.plot(end, position, arrow, color=color, markersize=6.5, clip_on=False)
    if (smallest := tables.detectable_drop(entry)) is not None:
        axes.plot(smallest, position, "|", color=GRAY, markersize=9, snap=False)
    axes.plot(entry["difference"], position, marker, color=color, markersize=6.5, markerfacecolor=fill or color, snap=False)


def _tick(value: float, unit: str) -> str:
    number = f"{round(100 * value, 6):+g}%" if unit == "share" else f"{round(value, 6):+g}"
    return minus(number) if float(number.rstrip("%")) else "0"
