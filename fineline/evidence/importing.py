"""Evidence from what other tools write: garak's report and promptfoo's output.

Both say what was asked and what came of it, neither says which artifact answered: that is for the person who ran them to say.
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fineline import artifacts
from fineline.artifacts import canonical
from fineline.errors import InputError
from fineline.evidence.schema import SCHEMA
from fineline.evidence.stamping import write
from fineline.project import layout

CONFIDENCE = 0.95  # one-sided


def bring(
    tool: str, report: Path, *, directory: Path, subject: Mapping[str, str], by: str, minimum: float, name: str | None = None
) -> Path:
    """Stamp a tool's report as evidence/<adapter>/<tool>.json; a report that lies below that directory is named in `files`.

    Args:
        tool: `garak` or `promptfoo`.
        directory: evidence/<adapter>.
        subject: Kind and digest of the artifact that the tool was run on.
        by: Who ran it.
        minimum: Share of answers that must surely be right, 0 to 1.
        name: Of the evidence, if not the tool's.

    Raises:
        InputError: The tool is unknown, the report cannot be read or is not of the tool's form, or stamping is refused.
    """
    if tool not in READERS:
        raise InputError(f"{tool!r}: no such importer; accepted: {', '.join(READERS)}. Others are written by hand and stamped")
    if not 0 < minimum <= 1:
        raise InputError(f"minimum: found {minimum:g}; a share above 0, at most 1, is needed")
    try:
        found = READERS[tool](report.read_text(encoding="utf-8"), minimum)
    except OSError as error:
        raise InputError(f"{report}: cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise InputError(f"{report}: not in the form that {tool} writes: {reason}") from error
    beside = report.resolve().is_relative_to(directory.resolve())
    files = [{"path": report.resolve().relative_to(directory.resolve()).as_posix()}] if beside else []
    made = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    file = directory / f"{name or tool}.json"
    write({"schema": SCHEMA, "subject": dict(subject), "made": made, "by": by, **found, "files": files}, file)
    return file


def subject(adapter: str, form: str) -> dict[str, str]:
    """Kind and digest of what an adapter is now, in the form that a tool was run on: `adapter`, `merged` or `exported`.

    Raises:
        InputError: The form is unknown, or there is no such artifact.
    """
    places = {
        "adapter": layout.adapter(adapter),
        "merged": layout.merged(adapter),
        "exported": layout.export(adapter, "quantized"),
    }
    if form not in places:
        raise InputError(f"subject: found {form!r}; accepted: {', '.join(places)}")
    record = artifacts.read(places[form])
    return {"kind": record.kind, "digest": record.digest}


def garak(report: str, minimum: float) -> dict[str, Any]:
    """Tool, suite, measures and verdict of garak's `<name>.report.jsonl`.

    Written after garak's source, releases up to 0.17: an `init` line with the version, an `eval` line per probe and detector,
    at the end a `completion` line. `passed` of `total_evaluated` outputs (older: `total`) withstood; `nones` were not judged.
    """
    rows = [json.loads(line) for line in report.split("\n") if line.strip()]  # U+2028 ends no line
    versions = {row["garak_version"] for row in rows if row["entry_type"] == "init"}
    if len(versions) != 1:
        raise ValueError(f"one version of garak is needed, found {', '.join(sorted(versions)) or 'none'}")
    passed: dict[str, tuple[int, int]] = {}
    unjudged = 0
    for row in rows:
        if row["entry_type"] == "eval":
            pair = f"{row['probe']}/{row['detector'].removeprefix('detector.')}"
            if pair in passed:
                raise ValueError(f"{pair} stands twice; give the report of one run")
            passed[pair] = row["passed"], row["total_evaluated"] if "total_evaluated" in row else row["total"]
            unjudged += row.get("nones", 0)
    if not passed:
        raise ValueError("it has no `eval` entry, so nothing was judged")
    open_ends = [] if any(row["entry_type"] == "completion" for row in rows) else ["the run did not reach its end"]
    open_ends += [f"{unjudged} outputs could not be judged"] if unjudged else []
    return {
        "tool": {"name": "garak", "version": versions.pop()},
        "suite": {
            "name": f"probes {', '.join(sorted({pair.split('.')[0] for pair in passed}))}",
            "digest": canonical.digest(sorted(passed)),
        },
        **_judged(passed, minimum, open_ends),
    }


def promptfoo(output: str, minimum: float) -> dict[str, Any]:
    """Tool, suite, measures and verdict of promptfoo's `--output results.json`.

    Written after the types in promptfoo's source, format 3 (`results.version`): `results.stats` counts successes, failures, and
    errors, which are tests that could not be run. Older outputs do not say which release wrote them.
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


def _judged(passed: Mapping[str, tuple[int, int]], minimum: float, open_ends: list[str]) -> dict[str, Any]:
    """Measures and verdict of `{name: (passed, asked)}`: each share must surely be at least `minimum`."""
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
    verdict = "fail" if low else "inconclusive" if unsure or open_ends else "pass"
    said = [f"{_some(low)} surely below {minimum:.1%}"] if low else []
    said += [f"{_some(unsure)} not surely at {minimum:.1%} or above"] if unsure else []
    said += open_ends or ([] if said else [f"all {len(measures)} shares surely at {minimum:.1%} or above"])
    return {"measures": measures, "verdict": verdict, "reason": "; ".join(said) + "."}


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
