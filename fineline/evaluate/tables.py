"""A decision as tables: differences.csv for `dvc plots`, table.md for people."""

import csv
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

Entry = Mapping[str, Any]
"""One of the `rules` of a decision."""
Row = dict[str, Any]

DIGITS = 6  # of a number in a file: what is behind them is noise, and would show up in every commit
NOTHING = "\N{EN DASH}"
ARMS = ("base", "champion", "candidate")
COLUMNS = (
    "name",
    "measure",
    "rule",
    "against",
    "unit",
    "items",
    "reference",
    "candidate",
    "difference",
    "lower",
    "upper",
    "limit",
    "verdict",
)


def amount(value: float | None, unit: str, *, signed: bool = False) -> str:
    """A score or a difference: shares as percentages, everything else with three digits."""
    if value is None:
        return NOTHING
    digits = ".1%" if unit == "share" else ".3f"
    return format(value, f"{'+' if signed else ''}z{digits}")


def between(entry: Entry) -> str:
    """The confidence bounds of an entry: of the difference, or of the score itself where the rule is a floor."""
    if entry["lower"] is None or entry["upper"] is None:
        return NOTHING
    lower, upper = (amount(entry[bound], entry["unit"], signed=entry["rule"] != "floor") for bound in ("lower", "upper"))
    return f"{lower} to {upper}"


def demand(entry: Entry) -> str:
    """What the rule of an entry asks for, in words."""
    limit = amount(entry["limit"], entry["unit"])
    match entry["rule"]:
        case "must_improve":
            return f"gain of more than {limit}" if entry["limit"] else "any gain"
        case "must_not_regress":
            return f"no drop of {limit}"
        case "champion":
            return f"no drop of {limit} below the champion"
        case "floor":
            return f"at least {limit}"
        case _:
            return "reported only"


def label(entry: Entry) -> str:
    """A measure with unit and arm where they are not the usual ones."""
    against = " against the champion" if entry["against"] == "champion" else ""
    unit = "" if entry["unit"] == "share" else f", {entry['unit']}"
    return f"{entry['measure']}{against}{unit}"


def differences(decision: Mapping[str, Any]) -> list[Row]:
    """The rows of differences.csv, a row per rule that compares; a floor compares with nothing.

    `name` is the measure, with what keeps it apart from the others on one axis: unit, arm and rule where they are not usual.
    """
    rows: list[Row] = []
    for entry in decision["rules"]:
        if entry["difference"] is None:
            continue
        row = {name: entry[name] for name in COLUMNS if name != "name"}
        row = {name: round(value, DIGITS) if isinstance(value, float) else value for name, value in row.items()}
        name = label(entry)
        rows.append({"name": name if name not in [known["name"] for known in rows] else f"{name}, {entry['rule']}", **row})
    return rows


def write(file: Path, rows: Iterable[Row]) -> None:
    """Write differences.csv; without a row there is still its heading."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def markdown(
    decision: Mapping[str, Any],
    speed: Mapping[str, Any] | None = None,
    title: str = "Evaluation",
) -> str:
    """table.md: the verdict and its reasons, every measure by arm, the noise, and what it all took.

    Args:
        decision: The content of gate.json, or one form of candidate.json; `scores` and `noise` may be missing.
        speed: The content of speed.json: `seconds`, `items`, and `by_arm` with the seconds of each.
    """
    parts = [f"# {title}: {decision['verdict']}", "\n".join(f"- {prose(reason)}" for reason in decision["reasons"])]
    parts += ["## Measures", measures(decision), _LEGEND]
    if noise := decision.get("noise"):
        parts += ["## Noise", noise_in_words(noise)]
    if speed:
        parts += ["## Time", time_in_words(speed)]
    return "\n\n".join(part for part in parts if part) + "\n"


def measures(decision: Mapping[str, Any]) -> str:
    """The table of arms and measures, a row per rule."""
    scores = decision.get("scores", {})
    arms = [arm for arm in ARMS if arm in scores or arm != "champion"]
    rows = []
    for entry in decision["rules"]:
        unit = entry["unit"]
        own = {entry["against"]: entry["reference"], "candidate": entry["candidate"]}
        means = [scores.get(arm, {}).get(entry["measure"], own.get(arm)) for arm in arms]
        rows.append(
            (
                prose(entry["measure"] if unit == "share" else f"{entry['measure']} ({unit})"),
                f"{entry['items']:,}" if entry["items"] is not None else NOTHING,
                *(amount(mean, unit) for mean in means),
                amount(entry["difference"], unit, signed=True),
                between(entry),
                amount(entry["detectable"], unit),
                demand(entry),
                f"**{entry['verdict']}**" if entry["verdict"] not in ("pass", "info") else entry["verdict"],
            )
        )
    heading = ("measure", "items", *arms, "difference", "interval", "detectable", "rule", "verdict")
    return grid(heading, rows, numeric=range(1, len(arms) + 5))


def noise_in_words(noise: Mapping[str, Any]) -> str:
    """What one model differs from itself by."""
    return (
        f"The base scored again, in batches of another size: {noise['flips']:,} of {noise['items']:,} items flipped, and"
        f" log-likelihoods were at most {noise['largest']:.3g} bits apart. A difference that small means nothing."
    )


def time_in_words(speed: Mapping[str, Any]) -> str:
    """What the evaluation took; an arm that was scored before takes next to nothing."""
    by_arm = ", ".join(f"{arm} {seconds:,.1f} s" for arm, seconds in speed["by_arm"].items())
    return f"{speed['items']:,} items for each arm in {speed['seconds']:,.1f} s: {by_arm}."


def grid(heading: Sequence[str], rows: Iterable[Sequence[str]], numeric: Container[int] = ()) -> str:
    """A Markdown table of cells that are safe already; the columns in `numeric` are flush right."""
    rule = ["---:" if column in numeric else "---" for column in range(len(heading))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heading, rule, *rows))


def prose(text: str) -> str:
    """Text as one line of Markdown in which nothing is markup."""
    return re.sub(r"([\\`*\[\]<|~&]|^[>#+-])", r"\\\1", " ".join(text.split()))


_LEGEND = """\
`difference` is candidate minus base, or minus champion where the rule names it; higher is better. `interval` lies between its
one-sided confidence bounds; for a floor, between those of the score. `detectable` is the smallest difference that so many items
show."""
