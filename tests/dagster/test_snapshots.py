"""Snapshots of the definitions graph and of the metadata names: an accidental change shows up as a diff.

After an intended change: ACCEPT_SNAPSHOTS=1 pytest tests/dagster/test_snapshots.py
"""

import difflib
import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from fineline.artifacts import reports
from fineline.dagster import build_definitions
from fineline.dagster.displays import DISPLAYS
from fineline.dagster.stages import Stage
from tests.conftest import ROOT
from tests.dagster.test_curation_metadata import CHANGE, CURATION, PARTS
from tests.dagster.test_displays import COMPARISON, EXPORT, PLAN
from tests.dagster.test_evaluation import ASSESSED, REPORT, lay_down, record

SNAPSHOTS = Path(__file__).parent / "snapshots"


def compare(name: str, content: Any) -> None:
    """Compare with the committed snapshot, or write it where ACCEPT_SNAPSHOTS is set."""
    file = SNAPSHOTS / name
    text = json.dumps(content, indent=2) + "\n"
    if os.environ.get("ACCEPT_SNAPSHOTS"):
        file.write_text(text)
    before = file.read_text() if file.exists() else ""
    diff = difflib.unified_diff(before.splitlines(), text.splitlines(), f"snapshots/{name}", "now", lineterm="", n=6)
    if changed := "\n".join(diff):
        pytest.fail(
            f"{changed}\n\nIf this change is intended, run:\n  ACCEPT_SNAPSHOTS=1 pytest {Path(__file__).relative_to(ROOT)}",
            pytrace=False,
        )


def test_the_definitions_graph_is_the_committed_one(own_project):
    definitions = build_definitions(own_project.root)
    workspace = yaml.safe_load((ROOT / "workspace.yaml").read_text())["load_from"]
    compare(
        "definitions.json",
        {
            "code_locations": workspace,
            "assets": assets(definitions),
            "jobs": {
                job.name: job_content(job)
                for job in sorted(definitions.resolve_all_job_defs(), key=lambda job: job.name)
                if not job.name.startswith("__")
            },
            "schedules": {
                one.name: {"job": one.job_name, "cron": one.cron_schedule, "timezone": one.execution_timezone}
                for one in definitions.schedules or ()
            },
            "sensors": {
                one.name: {
                    "type": one.sensor_type.value,
                    "seconds": one.minimum_interval_seconds,
                    "default": one.default_status.value,
                    "jobs": sorted(target.job_name for target in one.targets),
                }
                for one in sorted(definitions.sensors or (), key=lambda one: one.name)
            },
        },
    )


def assets(definitions: dg.Definitions) -> dict[str, Any]:
    graph = definitions.resolve_asset_graph()
    found = {}
    for key in sorted(graph.get_all_asset_keys()):
        node = graph.get(key)
        found[key.to_user_string()] = {
            "deps": names(node.parent_keys),
            "group": node.group_name,
            "kinds": sorted(node.kinds),
            "pools": sorted(node.pools or ()),
            "checks": sorted(check.name for check in graph.get_check_keys_for_assets({key})),
            "tags": sorted(name for name in node.tags if not name.startswith("dagster/kind/")),
        }
    return found


def job_content(job: dg.JobDefinition) -> dict[str, Any]:
    if job.asset_layer.selected_asset_keys:
        return {"assets": names(job.asset_layer.selected_asset_keys)}
    return {
        "ops": [node.name for node in job.nodes_in_topological_order],
        "partitions": job.partitions_def.get_partition_keys(),
    }


def names(keys: Iterable[dg.AssetKey]) -> list[str]:
    return sorted(key.to_user_string() for key in keys)


@pytest.fixture
def made(tmp_path) -> Path:
    """A project whose stages have all left their reports."""
    place = tmp_path / "reports" / "home-en"
    rendered = "```diff\n+ on\n```\n"
    row = {"file": "train.jsonl", "line": 3, "id": "a", "tokens": 40, "learned": 9}
    messages = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}]
    preflight = {
        "rows": {"train": 5},
        "lengths": {"median": 30, "longest": 40},
        "longest": [row],
        "findings": [{"name": "length", "severity": "ok", "found": {"context": 8192}, "message": "all fit"}],
        "rendered": hashlib.sha256(rendered.encode()).hexdigest(),
    }
    training = {"train_loss": 0.5, "seconds": 100.0, "energy_wh": {"value": 3.5}, "value": {"cost": 2.0}}
    chosen = {"method": "lora", "rank": 8, "memory_bytes": {"weights": 9, "total": 11}}
    for name, content in {
        "curation": CURATION,
        "curation/change": CHANGE,
        "plan": PLAN | {"configured": "lora", "chosen": chosen},
        "training": training,
        "preflight": preflight,
        "gate": REPORT,
        "candidate": ASSESSED,
        "merge": COMPARISON,
        "export": EXPORT,
        "evaluation/speed": {"seconds": 61.5, "by_arm": {"base": 0.5}},
    }.items():
        reports.write(place / f"{name}.json", content)
    for file, text in {
        "curation/funnel.csv": "step,rows\nrows in,10\nquality,7\n",
        "curation/lengths.csv": "tokens,rows\n16,4\n32,3\n",
        "curation/change.csv": "what,before,now\nrows,4,7\n",
        "loss.csv": "step,loss,learning_rate\n1,2.0,0.1\n2,1.0,0.1\n",
        "evaluation/table.md": "",
        "index.html": "",
        "../../.fineline/preflight/home-en.md": rendered,
        "../../data/curated/home-en/train.jsonl": json.dumps({"source": "tickets", "messages": messages}) + "\n",
        "../../data/raw/home-en/tickets.jsonl": '{"id": "1", "at": "a:1", "content": {"q": "Why?"}}\n',
        "../../data/raw/home-en/parts.json": json.dumps(PARTS),
    }.items():
        (place / file).parent.mkdir(parents=True, exist_ok=True)
        (place / file).write_text(text)
    stage = Stage(tmp_path, "evaluate@home-en", "", "", "", (), {}, {}, (), ())
    lay_down(stage, "evaluation", base=[record(0, 1.0)], candidate=[record(0, 0.0)])
    lay_down(stage, "assessment", merged=[record(0, 1.0)], exported=[record(0, 0.0)])
    return tmp_path


def test_every_stage_shows_the_committed_metadata(made):
    shown = {}
    for kind, display in DISPLAYS.items():
        stage = Stage(made, f"{kind}@home-en", "", "", "", (), {}, {}, (), ())
        shown[kind] = {name: described(value) for name, value in display.metadata(stage).items()}
    compare("metadata.json", shown)


def described(value: Any) -> str:
    if isinstance(value, dg.TableMetadataValue):
        return " ".join(f"{column.name}:{column.type}" for column in value.schema.columns)
    return type(value).__name__
