"""Decisions that need all rows together: conflicts, duplicates, links between splits, and weights. No file is written."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from fineline.curate import label_noise, similar, split
from fineline.curate.label_noise import Conflict
from fineline.curate.table import Table
from fineline.curate.text import key, mixed, normalize, words
from fineline.project.params.curation import Curate

STEPS = (
    "rejected",
    "privacy",
    "quality",
    "contamination",
    "label_noise",
    "exact_duplicates",
    "linked",
    "near_duplicates",
    "mixing",
)
"""Steps at which a row can be left out, in order; `examine` decides the first four."""

_FAR = 6.0  # robust standard deviations of the logarithm of the length
_ENOUGH = 100  # rows from which the spread of lengths is meaningful
_SAME_WORDS = 0.7  # share of common words from which two long completions are equivalent
_LONG = 8  # words; shorter completions, and JSON, are equivalent only if they are equal


@dataclass(frozen=True)
class Reason:
    """The reason why a row was left out."""

    step: str
    text: str
    because: int | None = None
    """The row that stays in its place."""
    similarity: float | None = None


@dataclass
class Decision:
    """The decision on each row of a table."""

    left_out: dict[int, Reason]
    side: np.ndarray
    """(rows,) index into `split.NAMES`."""
    copies: np.ndarray
    """(rows,) how often the row occurs in its split; 0 if it is left out."""
    linked: list[tuple[int, int]] = field(default_factory=list)
    """Similar rows that both stay, the later one first."""
    clusters: dict[int, int] = field(default_factory=dict)
    """Hash of a group with such rows -> hash of the group that represents all connected ones."""
    same_prompt: list[Conflict] = field(default_factory=list)
    near_prompt: list[Conflict] = field(default_factory=list)
    outliers: int = 0
    bounded: int = 0
    """Rows whose search for similar ones met a bound."""

    @property
    def kept(self) -> np.ndarray:
        """Return the (rows kept,) indices, in order."""
        return np.nonzero(self.copies)[0]


def decide(table: Table, rule: Curate, weights: list[float], on_step: Callable[[str], None] = lambda step: None) -> Decision:
    """Decide on every row of a table.

    Args:
        weights: Weight of each part, in the order of `table.parts`.
        on_step: Called with the name of each step when it begins.
    """
    decision = Decision({}, table.side.copy(), np.ones(len(table), dtype=np.int64))
    decision.side = split.stratified(table.side, table.group, table.stratum)
    steps = (_outliers, _same_prompt, _exact_duplicates, _linked_prompts, _near_duplicates, _near_prompts)
    for step in steps:
        on_step(step.__name__.strip("_").replace("_", " "))
        step(table, rule, decision)
    _mix(table, weights, decision)
    return decision


def _drop(decision: Decision, row: int, reason: Reason) -> None:
    decision.left_out[row] = reason
    decision.copies[row] = 0


def _outliers(table: Table, rule: Curate, decision: Decision) -> None:
    """Count lengths far from the median, in median absolute deviations of the logarithm, or leave their rows out of train."""
    if len(table) < _ENOUGH:
        return
    lengths = np.log(np.maximum(table.tokens, 1))
    away = np.abs(lengths - np.median(lengths))
    spread = 1.4826 * np.median(away)  # the standard deviation of a normal distribution
    (far,) = np.nonzero(away > _FAR * max(spread, 0.1))
    decision.outliers = len(far)
    if rule.quality.outliers == "remove":
        for row in far[decision.side[far] == split.TRAIN].tolist():  # outliers change with the data, and a test set must not
            _drop(decision, row, Reason("quality", "outlying length"))


def _same_prompt(table: Table, rule: Curate, decision: Decision) -> None:
    for rows in label_noise.conflicts(table.prompt, decision.kept, table.completion):
        conflict = label_noise.resolve(rows, table.completion, table.time, rule.label_noise.same_prompt)
        decision.same_prompt.append(conflict)
        _drop_conflict(decision, conflict, "same prompt, different completions")


def _drop_conflict(decision: Decision, conflict: Conflict, text: str) -> None:
    stays = min(conflict.kept, default=None)
    for row in conflict.rows:
        if row not in conflict.kept:
            other = next(one for one in conflict.rows if one != row) if stays is None else stays
            _drop(decision, row, Reason("label_noise", text, other))


def _exact_duplicates(table: Table, rule: Curate, decision: Decision) -> None:
    """Keep the first of the rows with the same normalized prompt and completion."""
    rows = decision.kept
    both = mixed(table.prompt[rows]) ^ table.completion[rows]
    _, first, place = np.unique(both, return_index=True, return_inverse=True)
    leader = rows[first][place]
    for row, earlier in zip(rows[rows != leader].tolist(), leader[rows != leader].tolist(), strict=True):
        _drop(decision, row, Reason("exact_duplicates", "exact duplicate", earlier))


def _linked_prompts(table: Table, rule: Curate, decision: Decision) -> None:
    """Leave out rows whose prompt occurs in another split."""
    for row, earlier in split.crossing(table.prompt, decision.side, decision.kept):
        _drop(decision, row, Reason("linked", "same prompt in another split", earlier))


def _near_duplicates(table: Table, rule: Curate, decision: Decision) -> None:
    threshold = rule.duplicates.similarity
    if threshold is None:
        return
    likeness: dict[int, float] = {}

    def similarity(earlier: int, row: int) -> float:
        one, two = (frozenset.union(*table.shingles(of)) for of in (earlier, row))
        likeness[row] = similar.jaccard(one, two)
        return likeness[row]

    def absorbs(earlier: int, row: int) -> bool:
        same = rule.duplicates.keep != "all" and _equivalent(table, earlier, row)
        if same:
            _drop(decision, row, Reason("near_duplicates", "near-duplicate", earlier, round(likeness[row], 3)))
        elif decision.side[earlier] != decision.side[row]:
            text = "near-duplicate of a row in another split"
            _drop(decision, row, Reason("linked", text, earlier, round(likeness[row], 3)))
        return row in decision.left_out

    order = _precedence(table, rule, decision)
    found = similar.search(order, table.bands, similarity, threshold, absorbs)
    decision.bounded += found.bounded
    pairs = [(row, earlier) for row, earlier, _ in found.pairs if row not in decision.left_out]
    decision.linked = pairs
    decision.clusters = components([(int(table.group[row]), int(table.group[earlier])) for row, earlier in pairs])


def _precedence(table: Table, rule: Curate, decision: Decision) -> np.ndarray:
    """Return the rows kept so far; of two similar ones the first in this order stays."""
    rows = decision.kept
    if rule.duplicates.keep in ("first", "all"):
        return rows
    in_train = decision.side[rows] == split.TRAIN
    if rule.duplicates.keep == "longest":
        worth = -table.tokens[rows].astype(np.float64)
        last = rows
    else:
        worth = -np.nan_to_num(table.time[rows], nan=-np.inf)
        last = -rows
    # held-out rows come first and in their order, so that held-out splits only grow
    return rows[np.lexsort((np.where(in_train, last, rows), np.where(in_train, worth, 0), in_train))]


def _equivalent(table: Table, one: int, two: int) -> bool:
    if table.completion[one] == table.completion[two]:
        return True
    texts = [normalize(table.messages(row)[-1]["content"]) for row in (one, two)]
    if any(text[:1] in ("{", "[", "") for text in texts):
        return False
    sets = [frozenset(map(key, words(text))) for text in texts]
    return min(map(len, sets)) >= _LONG and similar.jaccard(*sets) >= _SAME_WORDS


def _near_prompts(table: Table, rule: Curate, decision: Decision) -> None:
    """Resolve near-equal prompts with different completions; chains of such pairs are one conflict."""
    threshold = rule.duplicates.similarity
    if threshold is None:
        return
    rows = decision.kept
    found = similar.search(
        rows,
        table.prompt_bands,
        lambda earlier, row: similar.jaccard(table.shingles(earlier)[0], table.shingles(row)[0]),
        threshold,
        lambda earlier, row: bool(table.completion[earlier] == table.completion[row]),
    )
    decision.bounded += found.bounded
    pairs = [(row, earlier) for row, earlier, _ in found.pairs if table.prompt[row] != table.prompt[earlier]]
    cluster = components(pairs)
    if not cluster:
        return
    members = np.array(sorted(cluster), dtype=np.int64)
    label = np.zeros(len(table), dtype=np.int64)
    label[members] = [cluster[int(row)] for row in members]
    for group in label_noise.conflicts(label, members, table.completion):
        conflict = label_noise.resolve(group, table.completion, table.time, rule.label_noise.near_prompt)
        decision.near_prompt.append(conflict)
        _drop_conflict(decision, conflict, "near-equal prompt, different completions")


def _mix(table: Table, weights: list[float], decision: Decision) -> None:
    """Apply the weights of parts to train: whole copies, and a fraction of the rows chosen by the hash of their content."""
    for part, weight in enumerate(weights):
        if weight == 1:
            continue
        rows = decision.kept
        rows = rows[(table.part[rows] == part) & (decision.side[rows] == split.TRAIN)]
        chance = (mixed(table.prompt[rows]) ^ table.completion[rows]) / np.float64(2**64)
        decision.copies[rows] = int(weight) + (chance < weight - int(weight))
        for row in rows[decision.copies[rows] == 0].tolist():
            decision.left_out[row] = Reason("mixing", f"thinned out by the weight {weight:g} of its part")


def components(pairs: list[tuple[int, int]]) -> dict[int, int]:
    """Return for each node the smallest node that it is connected to."""
    parent: dict[int, int] = {}

    def root(node: int) -> int:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for one, two in pairs:
        low, high = sorted((root(one), root(two)))
        parent[high] = low
    return {node: root(node) for node in parent}
