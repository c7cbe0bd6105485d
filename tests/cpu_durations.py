"""CPU seconds of each test and of each shared fixture, with the processes that they waited for.

Unlike the time on the clock, CPU seconds hardly depend on how busy the machine is. `--cpu-durations=N` lists the N most
expensive tests and fixtures. Tests above CAP are listed always, except those marked `slow` or `soak`. No test fails for its
duration.
"""

import resource
from collections.abc import Generator, Iterable

import pytest

CAP = 20.0
"""CPU seconds a test of `make test` may take. Fixtures that several tests share do not count."""
TIERS = ("slow", "soak")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option `--cpu-durations`."""
    help = "list the N most expensive tests and shared fixtures by CPU seconds (0: all)"
    parser.addoption("--cpu-durations", type=int, metavar="N", help=help)


def pytest_configure(config: pytest.Config) -> None:
    """Measure in each process of the suite."""
    config.pluginmanager.register(CpuDurations(), "cpu-durations")


class CpuDurations:
    """Measures in a process that runs tests, and reports in the process that collects their results."""

    def __init__(self) -> None:
        self._last = _spent()
        self._shared: list[tuple[str, float]] = []
        """Shared fixtures made for the present phase of a test."""
        self._tests: dict[str, float] = {}
        self._fixtures: dict[str, float] = {}
        self._above: dict[str, float] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        """Leave out what happened before the test, such as collecting it."""
        self._last = _spent()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef, request: pytest.FixtureRequest
    ) -> Generator[None, object, object]:
        """Measure a fixture that several tests share, without the shared fixtures that it needs."""
        if fixturedef.scope == "function":
            return (yield)
        start, within = _spent(), len(self._shared)
        try:
            return (yield)
        finally:
            own = _spent() - start - sum(cpu for _, cpu in self._shared[within:])
            self._shared.append((f"{fixturedef.baseid} fixture {fixturedef.argname}", own))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Add what was measured to the report of a phase; xdist sends such attributes on."""
        report = yield
        now = _spent()
        report.shared = list(self._shared)
        report.cpu = now - self._last - sum(cpu for _, cpu in self._shared)
        report.tier = next((tier for tier in TIERS if item.get_closest_marker(tier)), "")
        self._last = now
        self._shared.clear()
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add a phase to what its test and its fixtures took."""
        self._tests[report.nodeid] = self._tests.get(report.nodeid, 0.0) + getattr(report, "cpu", 0.0)
        for name, cpu in getattr(report, "shared", ()):
            self._fixtures[name] = self._fixtures.get(name, 0.0) + cpu
        if self._tests[report.nodeid] > CAP and not report.tier:
            self._above[report.nodeid] = self._tests[report.nodeid]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
        """List the most expensive tests if asked, and the tests above the cap."""
        asked = config.getoption("--cpu-durations")
        if asked is not None:
            everything = _by_cost((self._tests | self._fixtures).items())
            total = sum(cpu for _, cpu in everything)
            terminalreporter.section(f"{total:.0f} CPU seconds in tests and shared fixtures")
            for name, cpu in everything[: asked or None]:
                terminalreporter.line(f"{cpu:8.2f}  {name}")
        if self._above:
            terminalreporter.section(f"above the cap of {CAP:.0f} CPU seconds: make cheaper, or mark as slow")
            for name, cpu in _by_cost(self._above.items()):
                terminalreporter.line(f"{cpu:8.2f}  {name}")


def _by_cost(measured: Iterable[tuple[str, float]]) -> list[tuple[str, float]]:
    return sorted(measured, key=lambda entry: entry[1], reverse=True)


def _spent() -> float:
    """CPU seconds of this process and of its finished children."""
    usages = (resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
