"""The forest plot: every difference of a decision with its confidence bounds, next to what its rule must rule out.

Targets, guards, the champion and reported measures have separate panels, and so has each unit: a gain of 85 points on the
target does not change the axis of a guard with a margin of 5.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fineline.evaluate import forest_axis, tables
from fineline.evaluate.forest_axis import GRAY, LINE, STYLES, has_bounds, minus

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Entry = tables.Entry

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


@dataclass(frozen=True)
class Panel:
    """Rows that share an axis."""

    title: str
    unit: str
    rows: Sequence[Entry]

    @property
    def height(self) -> float:
        """Return the height in inches, without heading and axis."""
        return ROW * len(self.rows)


def panels(decision: Mapping[str, Any]) -> list[Panel]:
    """Return the panels in order; floors compare nothing, so only the table shows them."""
    found = []
    for rule, title in TITLES.items():
        rows = [entry for entry in decision["rules"] if entry["rule"] == rule and _is_drawn(entry)]
        for unit in sorted({entry["unit"] for entry in rows}, key=lambda unit: (unit != "share", unit)):
            of_unit = [entry for entry in rows if entry["unit"] == unit]
            found.append(Panel(title if unit == "share" else f"{title}, in {unit}", unit, of_unit))
    return found


def draw(decision: Mapping[str, Any], file: Path, title: str = "") -> None:
    """Write the plot as SVG; the same decision gives the same bytes."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    with _plain_style():
        metadata = {"Date": None, "Creator": None, "Title": _headline(decision, title)}
        figure(decision, title).savefig(draft, format="svg", metadata=metadata)
    draft.replace(file)


def figure(decision: Mapping[str, Any], title: str = "") -> "Figure":
    """Return the plot, to be saved in any format.

    Args:
        decision: The content of gate.json, or one of `forms` in candidate.json.
        title: Subject of the decision, e.g. the adapter's name.
    """
    from matplotlib.figure import Figure  # no pyplot, so no display and no global state

    shown = panels(decision)
    height = TOP + sum(HEAD + panel.height + FOOT for panel in shown) + LEGEND
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
            axes = page.axes(LEFT, top + HEAD, PLOT, panel.height)
            forest_axis.draw(axes, panel.rows, panel.unit, SMALL)
            for position, entry in enumerate(panel.rows):
                _write_row(page, entry, top + HEAD + (position + 0.5) * ROW)
            top += HEAD + panel.height + FOOT
        handles = forest_axis.legend([entry for panel in shown for entry in panel.rows])
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


def _is_drawn(entry: Entry) -> bool:
    """True if an entry has a difference, or is a rule that could not be judged and so did not pass."""
    return entry["difference"] is not None or entry["verdict"] not in ("info", "pass")


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
    bounds = tables.between(entry) if has_bounds(entry) else "bounds unknown"
    difference = f"{tables.amount(entry['difference'], unit, signed=True)}  ({bounds})"
    page.write(RIGHT, middle, minus(scores))
    page.write(RIGHT + SCORES, middle, minus(difference) if compared else "could not be compared")
    page.write(RIGHT + SCORES + DIFFERENCE, middle, entry["verdict"], color=STYLES[entry["verdict"]][0], weight="bold")
