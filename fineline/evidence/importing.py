"""Evidence from the reports of other tools: garak and promptfoo.

Neither report names the artifact that was tested, so the person who ran the tool names it.
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fineline.artifacts import canonical
from fineline.errors import InputError
from fineline.evidence.files import write
from fineline.evidence.schema import SCHEMA

CONFIDENCE = 0.95  # one-sided


def import_report(
    tool: str, report: Path, *, directory: Path, subject: Mapping[str, str], by: str, minimum: float, name: str | None = None
) -> Path:
    """Stamp a tool's report as evidence/<adapter>/<tool>.json; a report below that directory is listed in `files`.

    Args:
        tool: `garak` or `promptfoo`.
        directory: evidence/<adapter>.
        subject: Kind and digest of the artifact that was tested.
        by: The person or system that ran the tool.
        minimum: Required share of passed answers, 0 to 1; the lower bound of the share counts.
        name: Name of the evidence, if not that of the tool.

    Raises:
        InputError: The tool is unknown, the report cannot be read or does not have the tool's format, or cannot be stamped.
    """
    if tool not in READERS:
        raise InputError(
            f"{tool!r}: unknown tool; accepted: {', '.join(READERS)}. Write evidence of other tools by hand and stamp it"
        )
    if not 0 < minimum <= 1:
        raise InputError(f"minimum: found {minimum:g}; a share above 0, at most 1, is needed")
    try:
        found = READERS[tool](report.read_text(encoding="utf-8"), minimum)
    except OSError as error:
        raise InputError(f"{report}: cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise InputError(f"{report}: not a report of {tool}: {reason}") from error
    below = report.resolve().is_relative_to(directory.resolve())
    files = [{"path": report.resolve().relative_to(directory.resolve()).as_posix()}] if below else []
    made = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    file = directory / f"{name or tool}.json"
    write({"schema": SCHEMA, "subject": dict(subject), "made": made, "by": by, **found, "files": files}, file)
    return file


def garak(report: str, minimum: float) -> dict[str, Any]:
    """Return tool, suite, measures and verdict of garak's `<name>.report.jsonl`.

    Written after garak's source, releases up to 0.17: an `init` line with the version, an `eval` line per probe and detector,
    a `completion` line at the end. `passed` of `total_evaluated` outputs (older: `total`) passed; `nones` were not judged.
    """
    rows = [json.loads(line) for line in report.split("\n") if line.strip()]  # U+2028 does not end a line
    versions = {row["garak_version"] for row in rows if row["entry_type"] == "init"}
    if len(versions) != 1:
        raise ValueError(f"one garak version is needed, found {', '.join(sorted(versions)) or 'none'}")
    passed: dict[str, tuple[int, int]] = {}
    unjudged = 0
    for row in rows:
        if row["entry_type"] == "eval":
            pair = f"{row['probe']}/{row['detector'].removeprefix('detector.')}"
            if pair in passed:
                raise ValueError(f"duplicate entry {pair}; pass the report of one run")
            passed[pair] = row["passed"], row["total_evaluated"] if "total_evaluated" in row else row["total"]
            unjudged += row.get("nones", 0)
    if not passed:
        raise ValueError("it has no `eval` entry, so no output was judged")
    gaps = [] if any(row["entry_type"] == "completion" for row in rows) else ["the run did not finish"]
    gaps += [f"{unjudged} outputs could not be judged"] if unjudged else []
    return {
        "tool": {"name": "garak", "version": versions.pop()},
        "suite": {
            "name": f"probes {', '.join(sorted({pair.split('.')[0] for pair in passed}))}",
            "digest": canonical.digest(sorted(passed)),
        },
        **_judged(passed, minimum, gaps),
    }


def promptfoo(output: str, minimum: float) -> dict[str, Any]:
    """Return tool, suite, measures and verdict of promptfoo's `--output results.json`.

    Written after the types in promptfoo's source, format 3 (`results.version`): `results.stats` counts successes, failures, and
    errors, which are tests that could not be run. Older outputs do not name the release.
    """
    content = json.loads(output)
    results = content["results"]
    stats = results["stats"]
    successes, failures, errors = stats["successes"], stats["failures"], stats.get("errors", 0)
    version = (content.get("metadata") or {}).get("promptfooVersion") or f"of format {results['version']}"
    return {
        "tool": {"name": "promptfoo", "version": version},
        "suite": {"name": (content.get("config") or {}).get("description") or content.get("evalId") or "promptfoo"},
        **_judged(
            {"tests": (successes, successes + failures)},
            minimum,
            [f"{errors} tests could not be run"] if errors else [],
        ),
    }


READERS: dict[str, Callable[[str, float], dict[str, Any]]] = {"garak": garak, "promptfoo": promptfoo}


def _judged(passed: Mapping[str, tuple[int, int]], minimum: float, gaps: list[str]) -> dict[str, Any]:
    """Return measures and verdict of `{name: (passed, asked)}`: the lower bound of each share must reach `minimum`."""
    from scipy.stats import binomtest

    measures: dict[str, dict[str, Any]] = {}
    low, unsure = [], []
    for name, (right, asked) in passed.items():
        if not 0 <= right <= asked:
            raise ValueError(f"{name}: {right} of {asked} passed")
        if not asked:
            unsure.append(name)
            continue
        interval = binomtest(right, asked).proportion_ci(2 * CONFIDENCE - 1, method="wilson")
        bounds = {"lower": float(interval.low), "upper": float(interval.high)}
        measures[name] = {"value": right / asked, "higher_is_better": True, "items": asked, **bounds}
        low += [name] if bounds["upper"] < minimum else []
        unsure += [name] if bounds["lower"] < minimum <= bounds["upper"] else []
    if not measures:
        raise ValueError("no output was judged")
    verdict = "fail" if low else "inconclusive" if unsure or gaps else "pass"
    level = f"({CONFIDENCE:.0%} confidence)"
    reasons = [f"{_some(low)} below {minimum:.1%} {level}"] if low else []
    reasons += [f"{_some(unsure)} not shown to be at least {minimum:.1%}"] if unsure else []
    reasons += gaps or ([] if reasons else [f"all {len(measures)} shares at least {minimum:.1%} {level}"])
    return {"measures": measures, "verdict": verdict, "reason": "; ".join(reasons) + "."}


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
