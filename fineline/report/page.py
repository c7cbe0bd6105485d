"""The page of an adapter: its sections, and where it is written. The text is in page.html.j2, the style in page.css."""

import base64
import hashlib
from importlib import resources
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from fineline.artifacts.files import write_text
from fineline.project import layout
from fineline.report import approval, examples, figures, forecast, funnel, lineage, measures
from fineline.report.reading import Content, Local, read, read_local

NAME = "index.html"


def file_of(name: str) -> Path:
    """Return the path of the page that `assess` writes."""
    return layout.reports(name) / NAME


def local_file_of(name: str) -> Path:
    """Return the path of the copy with examples and approval status; it is not in git."""
    return layout.SCRATCH / "reports" / name / NAME


def write(name: str) -> Path:
    """Write the page of adapter `name`, and return its path. The same files in git give the same bytes.

    Raises:
        InputError: params.yaml has no such adapter, or a report is not valid.
    """
    write_text(file_of(name), render(read(name)))
    return file_of(name)


def write_local(name: str) -> Path:
    """Write the copy of the page that also has what only this machine knows, and return its path.

    Raises:
        InputError: params.yaml has no such adapter, or a report is not valid.
    """
    content = read(name)
    write_text(local_file_of(name), render(content, read_local(name, content.adoption)))
    return local_file_of(name)


def render(content: Content, local: Local | None = None) -> str:
    """Return the page as HTML.

    Args:
        local: Examples and approval status, for the copy that is not in git.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    nodes = lineage.nodes(content)
    style = _text("page.css")
    losses = [*content.train_loss, *content.validation_loss]
    return environment.from_string(_text("page.html.j2")).render(
        content=content,
        local=local,
        style=Markup(style),
        style_digest=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        verdict=measures.verdict(content),
        symbols=measures.SYMBOLS,
        columns=measures.columns(content),
        table=measures.table(content),
        plot=measures.plot(content),
        arms=[(measures.heading(content, arm), figures.mark(arm)) for arm in measures.decisions(content)],
        losses=figures.losses(content.train_loss, content.validation_loss) if losses else None,
        logarithmic=figures.is_logarithmic([loss for _, loss in losses]),
        funnel=funnel.funnel(content),
        counts=examples.counts(content),
        changes=examples.changes(content, local) if local else [],
        comparisons=forecast.comparisons(content),
        forms=forecast.forms(content),
        nodes=nodes,
        differing=lineage.differing(content),
        wide=lineage.draw(nodes, tall=False),
        tall=lineage.draw(nodes, tall=True),
        requirements=approval.requirements(content.adoption),
    )


def _text(name: str) -> str:
    return resources.files("fineline.report").joinpath(name).read_text(encoding="utf-8")
