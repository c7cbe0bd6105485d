"""Dagster's web interface as a user starts it, and a headless browser.

`python -m tests.dagster.front docs/pictures` takes the pictures of the documentation: the shipped adapter, after `make demo`.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = ROOT / ".dagster" / "dagster.yaml"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SIZE = {"width": 1500, "height": 940}
WIDE = {"width": 2900, "height": 1300}
STARTS = 120.0  # seconds that it may take


@contextmanager
def front(directory: Path, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> Iterator[str]:
    """`dagster dev` in a directory; yields its address."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = ["dagster", "dev", *arguments, "--host", "127.0.0.1", "--port", str(port)]
    with log.open("w") as stream:
        process = subprocess.Popen(
            command, cwd=directory, env=environment, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True
        )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait(address, process, log)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(30)
        finally:
            with_group_gone(process.pid)


def with_group_gone(group: int) -> None:
    """End what is left of a process group."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


def _wait(address: str, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + STARTS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"{address}/server_info", timeout=5).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
        else:
            return
    raise AssertionError(f"the front did not start:\n{log.read_text()[-2000:]}")


@contextmanager
def browser() -> Iterator:
    """A page in headless Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        # root may not use the sandbox; nothing but our own front is opened
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = chromium.new_page(viewport=SIZE, device_scale_factor=1)
        page.set_default_timeout(60_000)
        yield page
        chromium.close()


def take_pictures(into: Path) -> None:
    """Of the graph, the data, the training, the verdict and its checks."""
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        shutil.copy(SETTINGS, home)
        environment = os.environ | {"DAGSTER_HOME": home}
        arguments = ["--workspace", "workspace.yaml"]
        with front(ROOT, arguments, environment, Path(home) / "log") as address, browser() as page:
            _wait_for_results(home)
            _picture(page, f"{address}/assets/home_en/curate", into / "data.png", "[Show Markdown]")
            _picture(page, f"{address}/assets/home_en/assess", into / "verdict.png")
            _picture(page, f"{address}/assets/home_en/assess?view=checks", into / "checks.png")
            page.set_viewport_size(WIDE)  # the graph leaves out the details of its nodes where they would be small
            _picture(page, f"{address}/locations/fineline/asset-groups/home_en/lineage", into / "graph.png")


def _wait_for_results(home: str) -> None:
    """Wait until the sensor has reported the results of DVC."""
    deadline = time.monotonic() + STARTS
    with dg.DagsterInstance.from_config(home) as instance:
        while instance.get_latest_materialization_event(dg.AssetKey(["home_en", "assess"])) is None:
            assert time.monotonic() < deadline, "the sensor has reported nothing"
            time.sleep(1)


def _picture(page, address: str, file: Path, click: str | None = None) -> None:
    page.goto(address)
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(6_000)  # it draws its graph with an animation, and asks for the state of each asset
    if click:
        page.get_by_text(click).first.click()
        page.wait_for_timeout(2_000)
    page.screenshot(path=file)


if __name__ == "__main__":
    take_pictures(Path(sys.argv[1]))
