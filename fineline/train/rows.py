"""Rows as one flat sequence: linear layers see no padding, and a beginning that all rows share only once.

A linear layer computes each token independently, so the tokens of a micro-step form one sequence. Rows of a data set usually
begin with the same tokens (the system prompt, the start of the template); attention is causal, so the hidden states of these
tokens are equal and are computed once. Only attention distinguishes the rows: it spreads them out by the layout, so that a row
sees its own tokens and the shared ones, never another row. The last token of a row predicts nothing and is left out. Loss and
gradients equal those of the rows one by one (tests/train/test_rows.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from fineline.chat.tokens import IGNORED, TokenizedRow

_TOLERATED = 0.75  # of the longest row in a group: shorter rows form a separate group, as attention pads within a group


@dataclass(frozen=True)
class RowGroup:
    """Consecutive rows of similar length, which attention computes together."""

    rows: int
    longest: int
    """Tokens of the longest row."""
    places: torch.Tensor
    """(tokens of the group,): index of each token in the padded rows, from 0 to rows * longest - 1."""


@dataclass(frozen=True)
class RowLayout:
    """The positions of the rows among the flat tokens: first the shared tokens, then group by group."""

    shared: int
    """Number of tokens at the front that belong to all rows."""
    groups: tuple[RowGroup, ...]
    reach: int
    """Tokens of the longest row, including virtual ones: how far a token may look back."""

    def behind(self, virtual: int) -> "RowLayout":
        """Return the layout with `virtual` further shared tokens before the flat ones."""
        return replace(self, shared=self.shared + virtual)


def collate(rows: Sequence[TokenizedRow], *, virtual: int = 0) -> dict[str, Any]:
    """Return one micro-step.

    Args:
        rows: At least one, each with a label.
        virtual: Number of learned tokens before every row; positions start after them.

    Returns:
        `input_ids` and `position_ids` (1, flat tokens); `labels` (label positions,) without ignored ones; `places` (label
        positions,): the flat token that predicts each; `shared`, `shapes` and `group_places`: see `layout`.
    """
    rows = sorted(rows, key=lambda row: -len(row.input_ids))
    inputs = [row.input_ids[:-1] for row in rows]
    shared = _shared(inputs)
    flat, positions, places, labels = list(inputs[0][:shared]), list(range(shared)), [], []
    for row, tokens in zip(rows, inputs, strict=True):
        start = len(flat) - shared  # of the row, as if the shared tokens were directly before its own
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
        "reach": len(inputs[0]) + virtual,
    }


def layout(batch: Mapping[str, Any]) -> RowLayout:
    """Return the layout of a collated micro-step, with tensors on the device of the micro-step."""
    groups = zip(batch["shapes"], batch["group_places"], strict=True)
    return RowLayout(
        batch["shared"], tuple(RowGroup(count, longest, places) for (count, longest), places in groups), batch["reach"]
    )


def _shared(inputs: Sequence[list[int]]) -> int:
    """Return the number of tokens that all rows begin with. Each row keeps at least one token that is not shared."""
    if len(inputs) == 1:
        return 0
    first, last = min(inputs), max(inputs)  # in lexical order these two differ earliest
    most = min(len(tokens) for tokens in inputs) - 1
    same = 0
    while same < most and first[same] == last[same]:
        same += 1
    return same


def _groups(lengths: Sequence[int]) -> list[RowGroup]:
    """Return groups of rows, given their lengths in descending order."""
    alike: list[list[int]] = []
    for length in lengths:
        if alike and length >= _TOLERATED * alike[-1][0]:
            alike[-1].append(length)
        else:
            alike.append([length])
    groups = []
    for group in alike:
        places = [torch.arange(length) + line * group[0] for line, length in enumerate(group)]
        groups.append(RowGroup(len(group), group[0], torch.cat(places)))
    return groups
