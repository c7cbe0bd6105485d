"""Selections as strings, which fail as a whole under the antlr4 that DVC asks for (pyproject.toml, [tool.uv])."""

import dagster as dg
import pytest

from fineline.dagster.definitions import build_definitions

TRAIN = dg.AssetKey(["home_en", "train"])


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ("*", 7),
        ('group:"home_en"', 3),
        ('kind:"peft"', 2),
        ('owner:"voice@fineline.example"', 3),
        ('+key:"home_en/train"', 3),
    ],
)
def test_a_selection_string_is_understood(fresh_project, selection, expected):
    graph = build_definitions(fresh_project.root).resolve_asset_graph()
    assert len(dg.AssetSelection.from_string(selection).resolve(graph)) == expected
