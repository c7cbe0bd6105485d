"""One line at the end of the output that names the tests that were not run for lack of a program, and why."""

from collections import Counter

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Write the line, if a test was skipped."""
    if reasons := Counter(_reason(report) for report in terminalreporter.stats.get("skipped", ())):
        listed = "; ".join(
            f"{reason} ({count} {'tests' if count > 1 else 'test'})" for reason, count in sorted(reasons.items())
        )
        terminalreporter.write_line(f"not run: {listed}", yellow=True)


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Return the reason that a skip gives."""
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")
