"""The table of docs/deployment.md: each exported form in each program that loads it, from tests/consumers/results.json.

    python tools/consumers.py           # write the table
    python tools/consumers.py check     # fail if it is not the one of the results

`make test-consumers` records the results.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGE, RESULTS = ROOT / "docs" / "deployment.md", ROOT / "tests" / "consumers" / "results.json"
BEGIN, END = "<!-- consumers: written by tools/consumers.py -->", "<!-- /consumers -->"
COLUMNS = ("model", "format", "consumer", "size", "tokens/s", "KL", "likelihoods", "same answers", "exact match", "verdict")
_MIB = 1024**2


def table(results: Sequence[dict[str, Any]]) -> str:
    """Return the table of the results, in their order."""
    rows = [COLUMNS, ("---",) * len(COLUMNS), *(line(result) for result in results)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def line(result: dict[str, Any]) -> tuple[str, ...]:
    """Return the cells of one result."""
    if "not_run" in result:
        reason = result["not_run"].replace("|", "\\|").replace("<", "&lt;")
        return (result["model"], result["form"], result["consumer"], *[""] * 6, f"not run: {reason}")
    versions = ", ".join(f"{package} {version}" for package, version in result["versions"].items())
    return (
        result["model"],
        result["form"],
        versions if result["dtype"] == "float32" else f"{versions} ({result['dtype']})",
        f"{result['bytes'] / _MIB:.1f} MiB",
        f"{result['tokens_per_second']:.0f}",
        f"{result['mean_kl']:.1e}",
        f"{result['difference']:.1e} of {result['tolerance']:.1e}",
        f"{result['same_answers']:.0%}",
        f"{result['exact_match']:.0%}",
        "; ".join(result["problems"])
        or ("as judged, if the request asks for temperature 0" if result["samples"] else "as judged"),
    )


def page(text: str, results: Sequence[dict[str, Any]]) -> str:
    """Return the text of the page with the table of the results.

    Raises:
        ValueError: The page has no place for it.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{PAGE}: no lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{table(results)}\n{END}{after}"


def main(*arguments: str) -> int:
    """Write or check the page; return the exit code."""
    text = PAGE.read_text(encoding="utf-8")
    wanted = page(text, json.loads(RESULTS.read_text(encoding="utf-8")))
    if arguments == ("check",):
        if text != wanted:
            print(f"{PAGE.relative_to(ROOT)}: not the table of {RESULTS.relative_to(ROOT)}; run python tools/consumers.py")
        return int(text != wanted)
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
