"""The artifacts behind a candidate as a graph: from base and raw rows to what ships, with short digests."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

from markupsafe import Markup

from fineline.project import layout
from fineline.project.candidate import made_forms, shipped_form
from fineline.report.reading import Content

SHORT = 12  # digits shown of a digest
WIDTH, HEIGHT = 142, 58  # pixels of a node
STEP, LANE = 196, 96  # pixels from one node to the next, along a row of the wide layout and across
_LAST = 4  # the column of the exported forms
TALL_STEP, TALL_LANE = 92, 178  # the same in the tall layout


@dataclass(frozen=True)
class Node:
    """One artifact."""

    role: str
    title: str
    path: str
    digest: str | None
    """None if it was not made, or its digest is not recorded in git."""
    column: int
    lane: int

    @property
    def short(self) -> str:
        """The first digits of the digest."""
        return self.digest.removeprefix("sha256:")[:SHORT] if self.digest else "not recorded"


EDGES = (
    ("raw", "data", "curate"),
    ("data", "adapter", "train"),
    ("base", "adapter", ""),
    ("adapter", "merged", "merge"),
    ("base", "merged", ""),
)
"""From, to, and the stage that made the second from the first. More lead from the merged model to its forms."""


def nodes(content: Content) -> list[Node]:
    """Return the artifacts in the order in which they were made.

    The digest is that of the reports, which is what was judged; else that of the last run.
    """
    name, base = content.name, content.base
    shipped, *others = _forms(content)
    precision = _digest(content, "export", "forms", shipped, "precision")
    return [
        _node(content, "base", "base model", layout.base(base).as_posix(), 1, 1),
        _node(content, "raw", "raw rows", layout.raw(name).as_posix(), 0, 0),
        _node(content, "data", "curated rows", layout.curated(name).as_posix(), 1, 0),
        _node(content, "adapter", "adapter", layout.adapter(name).as_posix(), 2, 0),
        _node(content, "merged", "merged model", layout.merged(name).as_posix(), 3, 0),
        *(
            _node(content, form, f"exported, {form}", layout.export(name, form).as_posix(), _LAST, lane)
            for lane, form in enumerate(others, start=1)
        ),
        _node(content, shipped, f"exported, {precision or shipped}", layout.export(name, shipped).as_posix(), _LAST, 0),
    ]


def _forms(content: Content) -> list[str]:
    """Return the exported forms, the one that ships first; those of ONNX before there are any."""
    export = content.report("export")
    shipped = shipped_form(export)
    made = [form for form in made_forms(export) if layout.FORM.fullmatch(form)]
    return [shipped, *(form for form in made or ["fp32"] if form != shipped)]


def differing(content: Content) -> list[Node]:
    """Return the artifacts that were made again since they were judged."""
    return [node for node in nodes(content) if node.digest and content.made.get(node.path, node.digest) != node.digest]


def draw(found: Sequence[Node], *, tall: bool) -> Markup:
    """Return the graph as SVG: from left to right, or from top to bottom for narrow screens."""
    places = {node.role: _place(node, tall) for node in found}
    width = max(x for x, _ in places.values()) + WIDTH + 2
    height = max(y for _, y in places.values()) + HEIGHT + 2
    label = "Lineage: " + "; ".join(f"{node.title} {node.short}" for node in found)
    kind = "graph tall" if tall else "graph wide"
    root = ET.Element("svg", {"viewBox": f"-1 -1 {width} {height}", "role": "img", "aria-label": label, "class": kind})
    forms = [("merged", node.role, "" if node.lane else "export") for node in found if node.column == _LAST]
    for start, end, stage in [*EDGES, *forms]:
        _edge(root, places[start], places[end], stage, tall)
    for node in found:
        _box(root, node, *places[node.role])
    return Markup(ET.tostring(root, encoding="unicode", short_empty_elements=False))


def _node(content: Content, role: str, title: str, path: str, column: int, lane: int) -> Node:
    recorded = {
        "base": _digest(content, "candidate", "base", "digest") or _digest(content, "gate", "arms", "base", "digest"),
        "data": _digest(content, "curation", "dataset"),
        "adapter": _digest(content, "candidate", "adapter", "digest")
        or _digest(content, "gate", "arms", "candidate", "digest"),
        "merged": _digest(content, "candidate", "merged", "digest") or _digest(content, "merge", "digest"),
    }
    recorded |= {form: _digest(content, "export", "forms", form, "digest") for form in _forms(content)}
    shipped = shipped_form(content.report("export"))
    recorded[shipped] = _digest(content, "candidate", "candidate", "digest") or recorded[shipped]
    return Node(role, title, path, recorded.get(role) or content.made.get(path), column, lane)


def _digest(content: Content, report: str, *keys: str) -> str | None:
    found: Any = content.report(report)
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, str) else None


def _place(node: Node, tall: bool) -> tuple[int, int]:
    if tall:
        return node.lane * TALL_LANE, node.column * TALL_STEP
    return node.column * STEP, node.lane * LANE


def _edge(root: ET.Element, start: tuple[int, int], end: tuple[int, int], stage: str, tall: bool) -> None:
    """Draw an arrow along the row, from the second row up to the side of a node, or down to the second row."""
    (x1, y1), (x2, y2) = start, end
    if tall:
        x1, y1 = x1 + WIDTH // 2, y1 + HEIGHT
        up = x1 > x2 + WIDTH
        x2, y2 = (x2 + WIDTH, y2 + HEIGHT // 2) if up else (x2 + WIDTH // 2, y2)
        bend = f"C{x1} {y2} {x1} {y2} {x2} {y2}" if up else f"C{x1} {(y1 + y2) // 2} {x2} {(y1 + y2) // 2} {x2} {y2}"
        head = f"M{x2 + 7} {y2 - 4}L{x2} {y2}L{x2 + 7} {y2 + 4}" if up else f"M{x2 - 4} {y2 - 7}L{x2} {y2}L{x2 + 4} {y2 - 7}"
        place = (x1 - 9, (y1 + y2) // 2 + 4, "end")
    else:
        x1, y1 = x1 + WIDTH, y1 + HEIGHT // 2
        up = y1 > y2 + HEIGHT
        x2, y2 = (x2 + WIDTH // 2, y2 + HEIGHT) if up else (x2, y2 + HEIGHT // 2)
        bend = f"C{x2} {y1} {x2} {y1} {x2} {y2}" if up else f"C{(x1 + x2) // 2} {y1} {(x1 + x2) // 2} {y2} {x2} {y2}"
        head = f"M{x2 - 4} {y2 + 7}L{x2} {y2}L{x2 + 4} {y2 + 7}" if up else f"M{x2 - 7} {y2 - 4}L{x2} {y2}L{x2 - 7} {y2 + 4}"
        place = ((x1 + x2) // 2, y1 - 6, "middle")
    ET.SubElement(root, "path", {"d": f"M{x1} {y1}{bend}{head}", "class": "edge"})
    if stage:
        x, y, anchor = place
        ET.SubElement(root, "text", {"x": str(x), "y": str(y), "text-anchor": anchor, "class": "stage"}).text = stage


def _box(root: ET.Element, node: Node, x: int, y: int) -> None:
    known = "" if node.digest else " unknown"
    shape = {"x": str(x), "y": str(y), "width": str(WIDTH), "height": str(HEIGHT), "rx": "7"}
    ET.SubElement(root, "rect", shape | {"class": f"node {node.role}{known}"})
    ET.SubElement(root, "text", {"x": str(x + 12), "y": str(y + 24), "class": "title"}).text = node.title
    ET.SubElement(root, "text", {"x": str(x + 12), "y": str(y + 43), "class": "digest"}).text = node.short
