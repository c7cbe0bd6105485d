"""Rows as one flat sequence: no padding in any linear layer, no row twice over what all rows begin with.

A linear layer does not care which row a token belongs to, so the tokens of a micro-step stand one behind another. Rows of a
data set usually begin alike (the system prompt, the start of the template); attention looks back only, so their first hidden
states are equal, and are computed once. Attention alone must know the rows: it spreads them out as the layout says, so that
a row sees its own tokens and the shared ones, never another row. The last token of a row predicts nothing and is left
out. Loss and gradients are those of the rows one by one (tests/train/test_rows.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from fineline.chat.tokens import IGNORED, Tokens

_TOLERATED = 0.75  # of the longest row in a group: shorter rows go to a group of their own, as attention pads within a group


@dataclass(frozen=True)
class Group:
    """Rows of like length that stand one behind another, for attention."""

    rows: int
    longest: int
    """Tokens of the longest row."""
    places: torch.Tensor
    """(tokens of the group,): place of each in the padded rows, counted line by line: below rows * longest."""


@dataclass(frozen=True)
class Layout:
    """Where the rows stand among the flat tokens: first the shared ones, then group by group."""

    shared: int
    """How many tokens at the front belong to all rows."""
    groups: tuple[Group, ...]

    def behind(self, virtual: int) -> "Layout":
        """The layout when so many further tokens, which all rows share, stand before the flat ones."""
        return replace(self, shared=self.shared + virtual)


def collate(rows: Sequence[Tokens], *, virtual: int = 0) -> dict[str, Any]:
    """One micro-step.

    Args:
        rows: At least one, each with a label.
        virtual: Learned tokens that will stand before every row; positions begin behind them.

    Returns:
        `input_ids` and `position_ids` (1, flat tokens); `labels` (label positions,) without any that is ignored; `places`
        (label positions,): the flat token that predicts each; `shared`, `shapes` and `group_places`: see `layout`.
    """
    rows = sorted(rows, key=lambda row: -len(row.input_ids))
    inputs = [row.input_ids[:-1] for row in rows]
    shared = _shared(inputs)
    flat, positions, places, labels = list(inputs[0][:shared]), list(range(shared)), [], []
    for row, tokens in zip(rows, inputs, strict=True):
        start = len(flat) - shared  # of the row, as if the shared tokens stood right before its own
        flat += tokens[shared:]
        positions += range(shared, len(tokens))
        for place, label in enumerate(row.labels[1:]):
            if label != IGNORED:
                places.append(place if place < shared else start + place)
                labels.append(label)
    groups = _groups([len(tokens) - shared for tokens in inputs])
    return {
        "input_ids": torch.tensor([flat]),
        "position_ids": torch.tensor([positions]) + virtual,
        "labels": torch.tensor(labels),
        "places": torch.tensor(places),
        "shared": shared,
        "shapes": [(group.rows, group.longest) for group in groups],
        "group_places": [group.places for group in groups],
    }


def layout(batch: Mapping[str, Any]) -> Layout:
    """The layout of a collated micro-step, its tensors where the micro-step's are."""
    groups = zip(batch["shapes"], batch["group_places"], strict=True)
    return Layout(batch["shared"], tuple(Group(count, longest, places) for (count, longest), places in groups))


def _shared(inputs: Sequence[list[int]]) -> int:
    """How many tokens all rows begin with; each row keeps one of its own."""
    if len(inputs) == 1:
        return 0
    first, last = min(inputs), max(inputs)  # in lexical order these two differ earliest
    most = min(len(tokens) for tokens in inputs) - 1
    same = 0
    while same < most and first[same] == last[same]:
        same += 1
    return same


def _groups(lengths: Sequence[int]) -> list[Group]:
    """Groups of rows that come in the order of falling length."""
    alike: list[list[int]] = []
    for length in lengths:
        if alike and length >= _TOLERATED * alike[-1][0]:
            alike[-1].append(length)
        else:
            alike.append([length])
    groups = []
    for group in alike:
        places = [torch.arange(length) + line * group[0] for line, length in enumerate(group)]
        groups.append(Group(len(group), group[0], torch.cat(places)))
    return groups
