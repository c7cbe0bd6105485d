"""Pictures for the browser: drawn without a display, shown as PNG inside Markdown."""

import base64
import io
import warnings
from typing import TYPE_CHECKING

import dagster as dg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 90


def canvas(width: float, height: float) -> "Figure":
    """An empty figure, sizes in inches."""
    from matplotlib.figure import Figure  # only a step that draws imports it; no pyplot, so no display and no global state

    return Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained")


def picture(figure: "Figure", caption: str) -> dg.MarkdownMetadataValue:
    """The figure as a value to show."""
    png = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # a script that the font lacks shows boxes, and stays out of the log
        figure.savefig(png, format="png")
    return dg.MetadataValue.md(f"![{caption}](data:image/png;base64,{base64.b64encode(png.getvalue()).decode()})")
