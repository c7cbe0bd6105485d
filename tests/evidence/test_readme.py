"""The manual matches the code."""

import json
import re

from fineline import evidence
from fineline.evidence import schema
from tests.conftest import ROOT

MANUAL = (ROOT / "evidence" / "README.md").read_text(encoding="utf-8")


def test_the_example_of_the_manual_can_be_stamped_and_read(put):
    (example,) = re.findall(r"```json\n(.*?)```", MANUAL, re.S)
    file = put(example.encode())
    assert evidence.stamp_file(file) == evidence.read(file)
    assert json.loads(example).keys() | {"digest"} == {
        field.alias or name for name, field in schema.Evidence.model_fields.items()
    }


def test_the_manual_names_every_key():
    table = "\n".join(line for line in MANUAL.splitlines() if line.startswith("| `"))
    parts = [part for part in vars(schema).values() if isinstance(part, type) and issubclass(part, schema.StrictModel)]
    keys = {field.alias or name for part in parts for name, field in part.model_fields.items()}
    assert {key for key in keys if f"`{key}`" not in table} == set()
    assert len(keys) > 20


def test_all_evidence_in_the_repository_can_be_read():
    for directory in (path for path in (ROOT / "evidence").iterdir() if path.is_dir()):
        evidence.collect(directory, {})
