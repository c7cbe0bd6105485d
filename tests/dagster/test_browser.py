"""A user's first steps in the browser: open the graph, materialize an adapter, read its metadata and its checks."""

import os
import shutil

import dagster as dg
import pytest

from tests.dagster.conftest import BIN
from tests.dagster.front import CHROMIUM, ROOT, SETTINGS, browser, front
from tests.dagster.small import SERVED, Small, until

pytest.importorskip("playwright")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (chromium)"),
]


@pytest.fixture
def project(tmp_path):
    return Small(tmp_path / "project")


@pytest.fixture
def home(tmp_path, monkeypatch):
    found = tmp_path / "home"
    found.mkdir()
    shutil.copy(SETTINGS, found)
    monkeypatch.setenv("DAGSTER_HOME", str(found))
    return found


@pytest.fixture
def address(project, home, tmp_path):
    (tmp_path / "served.py").write_text(SERVED.format(str(project.root)))
    environment = os.environ | {
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}",
        "RUNS": str(project.log),
    }
    with front(tmp_path, ["--module-name", "served"], environment, tmp_path / "log") as found:
        yield found


def materializations(home, *key):
    with dg.DagsterInstance.from_config(str(home)) as instance:
        return len(instance.fetch_materializations(dg.AssetKey(key), limit=10).records)


@pytest.mark.timeout(600)
def test_an_adapter_from_the_graph_to_its_verdict(project, home, address):
    with browser() as page:
        page.goto(f"{address}/locations/served/asset-groups/support/lineage")
        for stage in ("ingest", "train", "evaluate", "assess", "challenger"):
            page.get_by_text(stage, exact=True).first.wait_for()
        until(lambda: materializations(home, "support", "assess"))  # the sensor reports what `dvc repro` made

        project.rows("day-2", "two")
        before = len(project.runs())
        page.get_by_role("button", name="Materialize all").click()
        until(lambda: "assess@support" in project.runs()[before:])
        until(lambda: materializations(home, "support", "assess") > 1)
        assert project.runs()[before:] == ["ingest@support", "train@support", "evaluate@support", "assess@support"]

        page.goto(f"{address}/assets/support/assess")
        page.get_by_role("cell", name="verdict", exact=True).first.wait_for()
        text = page.inner_text("body")
        assert "pass" in text
        assert "a@example.com" in text
        assert "fineline/base: tiny" in text

        page.goto(f"{address}/assets/support/assess?view=checks")
        page.get_by_text("approved", exact=True).first.wait_for()
        assert "nothing is signed in this project yet" in page.inner_text("body")
