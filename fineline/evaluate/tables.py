"""A decision as tables: differences.csv for `dvc plots`, table.md for people."""

import csv
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

Entry = Mapping[str, Any]
"""One of the `rules` of a decision."""
Row = dict[str, Any]

DIGITS = 6  # of a number in a file: further digits are noise, and would change in every commit
NOTHING = "\N{EN DASH}"
ARMS = ("base", "champion", "candidate")
COLUMNS = (
    "name", "measure", "rule", "against", "unit", "items", "reference", "candidate", "difference", "lower", "upper", "limit",
    "verdict",
)  # fmt: skip


def amount(value: float | None, unit: str, *, signed: bool = False) -> str:
    """Format a score or a difference: shares as percentages, everything else with three digits."""
    if value is None:
        return NOTHING
    digits = ".1%" if unit == "share" else ".3f"
    return format(value, f"{'+' if signed else ''}z{digits}")


def between(entry: Entry) -> str:
    """Format the confidence bounds of an entry: of the difference, or of the score if the rule is a floor."""
    if not has_bounds(entry):
        return NOTHING
    lower, upper = (amount(entry[bound], entry["unit"], signed=entry["rule"] != "floor") for bound in ("lower", "upper"))
    return f"{lower} to {upper}"


def has_bounds(entry: Entry) -> bool:
    """True if the difference has confidence bounds; those of a single cluster are unknown."""
    return entry["lower"] is not None and entry["upper"] is not None


def has_margin(entry: Entry) -> bool:
    """True if the rule of an entry allows a drop up to a margin."""
    return entry["rule"] in ("must_not_regress", "champion")


def bound_to_exceed(entry: Entry) -> float | None:
    """Return the right end of the range that the rule must rule out; None if there is no such range."""
    if entry["limit"] is None or entry["rule"] == "info":
        return None
    return entry["limit"] if entry["rule"] == "must_improve" else -entry["limit"]


def detectable_drop(entry: Entry) -> float | None:
    """Return the smallest detectable drop if a margin is set; beyond the margin, the sample is too small."""
    if not has_margin(entry) or entry["detectable"] is None or entry["difference"] is None:
        return None
    return -entry["detectable"]


def demand(entry: Entry) -> str:
    """Return the requirement of an entry in words."""
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
    """Return the name of a measure, with unit and arm unless they are share and base."""
    against = " against the champion" if entry["against"] == "champion" else ""
    unit = "" if entry["unit"] == "share" else f", {entry['unit']}"
    return f"{entry['measure']}{against}{unit}"


def differences(decision: Mapping[str, Any]) -> list[Row]:
    """Return the rows of differences.csv, one for each rule that compares two models; a floor does not.

    `name` is the measure, with unit, arm and rule where they are needed to make it unique.
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
    """Write differences.csv; without rows it has its heading only."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def markdown(decision: Mapping[str, Any], speed: Mapping[str, Any] | None = None, title: str = "Evaluation") -> str:
    """Return table.md: the verdict and its reasons, every measure by arm, noise, and time.

    Args:
        decision: The content of gate.json, or one of `forms` in candidate.json; `scores` and `noise` may be missing.
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
    """Return the table of arms and measures, one row for each rule."""
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
    """Return the result of the A/A test in words."""
    return (
        f"The base was scored again in smaller batches: {noise['flips']:,} of {noise['items']:,} items flipped, and"
        f" log-likelihoods differed by at most {noise['largest']:.3g} bits. Differences of this size are noise."
    )


def time_in_words(speed: Mapping[str, Any]) -> str:
    """Return the time of the evaluation in words; an arm with cached scores takes almost none."""
    by_arm = ", ".join(f"{arm} {_seconds(seconds)}" for arm, seconds in speed["by_arm"].items())
    return f"{speed['items']:,} items for each arm in {_seconds(speed['seconds'])}: {by_arm}."


def _seconds(seconds: float) -> str:
    return f"{seconds:,.1f} s" if seconds >= 0.1 else "less than 0.1 s"


def grid(heading: Sequence[str], rows: Iterable[Sequence[str]], numeric: Container[int] = ()) -> str:
    """Return a Markdown table of escaped cells; the columns in `numeric` are aligned right."""
    rule = ["---:" if column in numeric else "---" for column in range(len(heading))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heading, rule, *rows))


def prose(text: str) -> str:
    """Escape a text as one line of Markdown without markup."""
    return re.sub(r"([\\`*\[\]<|~&]|^[>#+-])", r"\\\1", " ".join(text.split()))


_LEGEND = """\
`difference` is candidate minus base, or minus champion if the rule names it; higher is better. `interval` is bounded by its
one-sided confidence bounds; for a floor, by those of the score. `detectable` is the smallest difference that this sample size
can detect."""
