"""Decisions that need all rows together: conflicts, duplicates, links between splits, and weights. No file is written.

No model can learn two answers to one prompt, and no rule can know which one is wrong. So every such conflict (label noise) is
listed with all answers, and params.yaml says how it is resolved.
"""

from collections import Counter
from collections.abc import Callable

import numpy as np

from fineline.curate import similar
from fineline.curate.decision import TRAIN, Conflict, Decision, Reason, crossing, stratified
from fineline.curate.table import Table
from fineline.curate.text import key, mixed, normalize, words
from fineline.project.params.curation import Curate, Resolution

_FAR = 6.0  # robust standard deviations of the logarithm of the length
_ENOUGH = 100  # rows from which the spread of lengths is meaningful
_SAME_WORDS = 0.7  # share of common words from which two long completions are equivalent
_LONG = 8  # words; shorter completions, and JSON, are equivalent only if they are equal


def decide(table: Table, rule: Curate, weights: list[float], on_step: Callable[[str], None] = lambda step: None) -> Decision:
    """Decide on every row of a table.

    Args:
        weights: Weight of each part, in the order of `table.parts`.
        on_step: Called with the name of each step when it begins.
    """
    decision = Decision({}, table.side.copy(), np.ones(len(table), dtype=np.int64))
    decision.side = stratified(table.side, table.group, table.stratum)
    steps = (_outliers, _same_prompt, _exact_duplicates, _linked_prompts, _near_duplicates, _near_prompts)
    for step in steps:
        on_step(step.__name__.strip("_").replace("_", " "))
        step(table, rule, decision)
    _mix(table, weights, decision)
    return decision


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
        for row in far[decision.side[far] == TRAIN].tolist():  # outliers change with the data, and a test set must not
            decision.drop(row, Reason("quality", "outlying length"))


def _same_prompt(table: Table, rule: Curate, decision: Decision) -> None:
    for rows in conflicts(table.exact_prompt, decision.kept, table.completion):
        conflict = resolve(rows, table.completion, table.time, rule.label_noise.same_prompt)
        decision.same_prompt.append(conflict)
        _drop_conflict(decision, conflict, "same prompt, different completions")


def _drop_conflict(decision: Decision, conflict: Conflict, text: str) -> None:
    stays = min(conflict.kept, default=None)
    for row in conflict.rows:
        if row not in conflict.kept:
            other = next(one for one in conflict.rows if one != row) if stays is None else stays
            decision.drop(row, Reason("label_noise", text, other))


def _exact_duplicates(table: Table, rule: Curate, decision: Decision) -> None:
    """Keep the first of the rows with near-equal prompts and one completion, or one prompt and near-equal completions.

    Near-equal texts differ in case, white space and Unicode form only. Where both prompt and completion differ in form, and
    that may be what the task is about (`text.compared_answer`), both rows stay.
    """
    _keep_first(table, decision, mixed(table.prompt) ^ table.exact_completion, "exact duplicate")
    reason = "same prompt; the completion differs in case, white space or Unicode form only"
    _keep_first(table, decision, mixed(table.exact_prompt) ^ table.completion, reason)


def _keep_first(table: Table, decision: Decision, both: np.ndarray, reason: str) -> None:
    """Drop the rows with a value of `both`, and the reasoning, of an earlier row."""
    rows = decision.kept
    _, first, place = np.unique((both ^ mixed(table.reasoning))[rows], return_index=True, return_inverse=True)
    leader = rows[first][place]
    for row, earlier in zip(rows[rows != leader].tolist(), leader[rows != leader].tolist(), strict=True):
        decision.drop(row, Reason("exact_duplicates", reason, earlier))


def _linked_prompts(table: Table, rule: Curate, decision: Decision) -> None:
    """Leave out rows whose prompt occurs in another split."""
    for row, earlier in crossing(table.prompt, decision.side, decision.kept):
        decision.drop(row, Reason("linked", "same prompt in another split", earlier))


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
        same = rule.duplicates.keep != "all" and _equivalent(table, earlier, row, rule.normalize == "strict")
        if same:
            decision.drop(row, Reason("near_duplicates", "near-duplicate", earlier, round(likeness[row], 3)))
        elif decision.side[earlier] != decision.side[row]:
            text = "near-duplicate of a row in another split"
            decision.drop(row, Reason("linked", text, earlier, round(likeness[row], 3)))
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
    in_train = decision.side[rows] == TRAIN
    if rule.duplicates.keep == "longest":
        worth = -table.tokens[rows].astype(np.float64)
        last = rows
    else:
        worth = -np.nan_to_num(table.time[rows], nan=-np.inf)
        last = -rows
    # held-out rows come first and in their order, so that held-out splits only grow
    return rows[np.lexsort((np.where(in_train, last, rows), np.where(in_train, worth, 0), in_train))]


def _equivalent(table: Table, one: int, two: int, strict: bool) -> bool:
    """True if two completions are equal, or long with mostly the same words, for `strict` with the same numbers."""
    if table.completion[one] == table.completion[two]:
        return bool(table.exact_completion[one] == table.exact_completion[two] and table.reasoning[one] == table.reasoning[two])
    texts = [normalize(table.messages(row)[-1]["content"]) for row in (one, two)]
    if any(text[:1] in ("{", "[", "") for text in texts):
        return False
    said = [words(text) for text in texts]
    if strict and len({frozenset(word for word in text if any(map(str.isdigit, word))) for text in said}) > 1:
        return False  # other numbers are another answer
    sets = [frozenset(map(key, text)) for text in said]
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
    pairs = [(row, earlier) for row, earlier, _ in found.pairs if table.exact_prompt[row] != table.exact_prompt[earlier]]
    cluster = components(pairs)
    if not cluster:
        return
    members = np.array(sorted(cluster), dtype=np.int64)
    label = np.zeros(len(table), dtype=np.int64)
    label[members] = [cluster[int(row)] for row in members]
    for group in conflicts(label, members, table.completion):
        conflict = resolve(group, table.completion, table.time, rule.label_noise.near_prompt)
        decision.near_prompt.append(conflict)
        _drop_conflict(decision, conflict, "near-equal prompt, different completions")


def _mix(table: Table, weights: list[float], decision: Decision) -> None:
    """Apply the weights of parts to train: whole copies, and a fraction of the rows chosen by the hash of their content."""
    for part, weight in enumerate(weights):
        if weight == 1:
            continue
        rows = decision.kept
        rows = rows[(table.part[rows] == part) & (decision.side[rows] == TRAIN)]
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


def conflicts(prompt: np.ndarray, rows: np.ndarray, completion: np.ndarray) -> list[tuple[int, ...]]:
    """Return groups of rows with one prompt and more than one completion, in the order of their first rows.

    Args:
        prompt: (all rows,) hash of the prompt.
        rows: (rows to look at,) in order.
        completion: (all rows,) hash of the completion.
    """
    order = rows[np.argsort(prompt[rows], kind="stable")]
    if not len(order):
        return []
    groups = np.split(order, np.nonzero(np.diff(prompt[order]))[0] + 1)
    return sorted(tuple(group.tolist()) for group in groups if len(group) > 1 and len(set(completion[group].tolist())) > 1)


def resolve(rows: tuple[int, ...], completion: np.ndarray, time: np.ndarray, policy: Resolution) -> Conflict:
    """Decide which rows of a conflict stay.

    keep_majority keeps the most frequent completion, and none if there is a tie. keep_newest keeps the completion of the row
    with the latest time, or of the last row if no row has a time.
    """
    match policy:
        case "keep_all":
            kept = rows
        case "drop_all":
            kept = ()
        case "keep_majority":
            (first, most), *others = Counter(int(completion[row]) for row in rows).most_common(2)
            tied = bool(others) and others[0][1] == most
            kept = () if tied else tuple(row for row in rows if completion[row] == first)
        case "keep_newest":
            newest = max(rows, key=lambda row: (-np.inf if np.isnan(time[row]) else time[row], row))
            kept = tuple(row for row in rows if completion[row] == completion[newest])
    return Conflict(rows, frozenset(kept))
