"""The verdict in words, and every measure by model: the table and the forest plot of the page."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from fineline.evaluate import forest
from fineline.evaluate.tables import NOTHING, Entry, amount, between, demand
from fineline.project.candidate import shipped_form
from fineline.report import figures
from fineline.report.reading import Content

GROUPS = {
    "must_improve": "Must improve on the base",
    "must_not_regress": "Must not regress from the base",
    "champion": "Must not fall behind the champion",
    "floor": "Must reach",
    "info": "Reported only, without effect on the verdict",
}
WORST_FIRST = ("fail", "inconclusive", "pass", "info")
SYMBOLS = {"pass": "\N{CHECK MARK}", "fail": "\N{MULTIPLICATION X}", "inconclusive": "?", "info": "\N{MIDDLE DOT}"}


@dataclass(frozen=True)
class Verdict:
    """The head of the page."""

    word: str
    """`pass`, `fail`, `inconclusive`, or `open` if nothing was judged yet."""
    sentence: str
    problems: Sequence[tuple[str, str]]
    """(verdict, reason) of each requirement that is not met."""
    reasons: Sequence[str]
    """Every reason, as the report has it."""
    digest: str | None
    """Of the candidate, or of the adapter if there is no candidate."""


@dataclass(frozen=True)
class Row:
    """One rule and measure in the table."""

    measure: str
    demand: str
    items: str
    scores: Sequence[str]
    """Of the reference models, then of each judged model."""
    difference: str
    bounds: str
    verdict: str
    detail: str
    """The models with this verdict; empty if all have it."""


@dataclass(frozen=True)
class Strip:
    """One row of the forest plot."""

    measure: str
    difference: str
    bounds: str
    verdict: str
    drawn: Markup


@dataclass(frozen=True)
class Panel:
    """Rows of the forest plot that share an axis."""

    title: str
    axis: Markup
    rows: Sequence[Strip]
    judged: bool
    """True if a rule judges the rows."""


def decisions(content: Content) -> dict[str, Mapping[str, Any]]:
    """Return judged model -> its decision: the adapter, then the models that were made from it."""
    found = {"adapter": content.report("gate")} | content.report("candidate").get("forms", {})
    return {arm: decision for arm, decision in found.items() if decision.get("rules")}


def verdict(content: Content) -> Verdict:
    """Return the verdict and why it is so."""
    candidate, gate = content.report("candidate"), content.report("gate")
    problems = list(_problems(content))
    if candidate:
        word, digest = candidate["verdict"], candidate.get("candidate", {}).get("digest")
        return Verdict(word, _sentence(word, content), problems, candidate["reasons"], digest)
    if gate:
        word, digest = gate["verdict"], gate.get("arms", {}).get("candidate", {}).get("digest")
        words = f"{_sentence(word, content)} The merged and the exported model were not assessed yet."
        return Verdict(word, words, problems, gate["reasons"], digest)
    return Verdict("open", "The adapter was not evaluated yet.", [], [], None)


def table(content: Content) -> list[tuple[str, list[Row]]]:
    """Return (title, rows) for each kind of rule that has rows."""
    judged = decisions(content)
    if not judged:
        return []
    shipped = list(judged)[-1]
    found = []
    for rule, title in GROUPS.items():
        entries = [entry for entry in judged[shipped]["rules"] if entry["rule"] == rule]
        if entries:
            found.append((title, [_row(content, judged, entry) for entry in entries]))
    return found


def columns(content: Content) -> list[str]:
    """Return the headings of the scores."""
    return [*_references(content), *(heading(content, arm) for arm in decisions(content))]


def heading(content: Content, arm: str) -> str:
    """Return the name of a judged model, with the precision of the exported one."""
    export = content.report("export")
    form = export.get("forms", {}).get(shipped_form(export), {})
    return f"exported ({form['precision']})" if arm == "exported" and form.get("precision") else arm


def plot(content: Content) -> list[Panel]:
    """Return the panels of the forest plot, one for each kind of rule and unit."""
    judged = decisions(content)
    if not judged:
        return []
    drawn = []
    for panel in forest.panels(list(judged.values())[-1]):
        rows = [_same(judged, entry) for entry in panel.rows]
        limits = forest.limits([entry for arms in rows for entry in arms.values()])
        strips = [_strip(entry, arms, limits) for entry, arms in zip(panel.rows, rows, strict=True)]
        judged_rows = any(entry["rule"] != "info" for entry in panel.rows)
        drawn.append(Panel(panel.title, figures.axis(limits, panel.unit), strips, judged_rows))
    return drawn


def _sentence(word: str, content: Content) -> str:
    judged = [entry for decision in decisions(content).values() for entry in decision["rules"] if entry["verdict"] != "info"]
    rules = len({(entry["rule"], entry["measure"]) for entry in judged})
    counted = "1 rule, judged by its" if rules == 1 else f"{rules} rules, each judged by its"
    match word:
        case "pass":
            arms = list(decisions(content))
            who = "The adapter meets" if arms == ["adapter"] else f"{_listed(arms).capitalize()} model meet"
            return f"{who} every rule of the gate: {counted} confidence bounds."
        case "fail":
            return "At least one requirement is not met."
        case _:
            return "No requirement failed, and at least one could not be decided."


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1]))) if names else ""


def _problems(content: Content) -> Iterator[tuple[str, str]]:
    for place in ("fail", "inconclusive"):
        for arm, decision in decisions(content).items():
            for entry in decision["rules"]:
                if entry["verdict"] == place:
                    yield place, f"{arm}: {entry['reason']}"
    if content.report("merge").get("passed") is False:
        yield "fail", "merge: the merged weights are not those of base and adapter."
    if content.report("export").get("parity", {}).get("passed") is False:
        yield "fail", "export: the exported model does not compute the same as the merged one."
    required = content.report("gate").get("policy", {}).get("evidence", [])
    found = {entry["name"]: entry for entry in content.report("candidate").get("evidence", [])}
    for name in required if content.report("candidate") else ():
        entry = found.get(name, {"verdict": "inconclusive", "reason": "missing"})
        if entry["verdict"] != "pass":
            yield entry["verdict"], f"evidence {name}: {entry['reason']}"


def _references(content: Content) -> list[str]:
    return [arm for arm in ("base", "champion") if arm in content.report("gate").get("scores", {})] or ["base"]


def _same(judged: Mapping[str, Mapping[str, Any]], entry: Entry) -> dict[str, Entry]:
    """Return model -> its entry of the same rule and measure."""
    key = (entry["rule"], entry["measure"])
    each = {arm: [one for one in decision["rules"] if (one["rule"], one["measure"]) == key] for arm, decision in judged.items()}
    return {arm: found[0] for arm, found in each.items() if found}


def _row(content: Content, judged: Mapping[str, Mapping[str, Any]], entry: Entry) -> Row:
    unit, measure, arms = entry["unit"], entry["measure"], _same(judged, entry)
    known = content.report("gate").get("scores", {})
    means = [known.get(arm, {}).get(measure) for arm in _references(content)]
    means += [judged[arm].get("scores", {}).get("candidate", {}).get(measure, one["candidate"]) for arm, one in arms.items()]
    verdicts = {arm: one["verdict"] for arm, one in arms.items()}
    worst = min(verdicts.values(), key=WORST_FIRST.index)
    judged_so = [arm for arm, word in verdicts.items() if word == worst]
    return Row(
        measure=named(entry),
        demand="" if entry["rule"] == "info" else demand(entry),
        items=NOTHING if entry["items"] is None else f"{entry['items']:,}",
        scores=[forest.minus(amount(mean, unit)) for mean in means],
        difference=forest.minus(amount(entry["difference"], unit, signed=True)),
        bounds=_bounds(entry),
        verdict=worst,
        detail="" if len(judged_so) == len(verdicts) else ", ".join(judged_so),
    )


def _bounds(entry: Entry) -> str:
    if entry["rule"] == "champion" and entry["difference"] is None:
        return "no champion yet"
    return forest.minus(between(entry))


def _strip(entry: Entry, arms: Mapping[str, Entry], limits: figures.Limits) -> Strip:
    said = [f"{arm} {amount(one['difference'], one['unit'], signed=True)}, {between(one)}" for arm, one in arms.items()]
    return Strip(
        measure=named(entry),
        difference=forest.minus(amount(entry["difference"], entry["unit"], signed=True)),
        bounds=forest.minus(between(entry)),
        verdict=min((one["verdict"] for one in arms.values()), key=WORST_FIRST.index),
        drawn=figures.strip(arms, limits, f"Difference of {entry['measure']}: {'; '.join(said)}"),
    )


def named(entry: Entry) -> str:
    """Return the name of a measure, with its unit unless that is a share."""
    return entry["measure"] if entry["unit"] == "share" else f"{entry['measure']} ({entry['unit']})"
