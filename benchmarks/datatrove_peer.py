# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "datatrove==0.10.1",
#   "orjson>=3.10",
#   "regex",
#   "tokenizers",  # imported by all of datatrove's deduplication
#   "xxhash<4",    # version 4 refuses text, which datatrove gives it
# ]
# ///
"""The peer of benchmarks/curation.py: the same rows through datatrove, in a separate process.

`uv run --script benchmarks/datatrove_peer.py ROWS.jsonl SCRATCH` prints one JSON line: seconds of each phase, rows in and
out. uv reads the packages off the block above and puts them into a separate environment, as one of them must be an older
release than ours.

What is compared: reading, repetition filter, e-mail and IP addresses replaced, exact duplicates, near-duplicates, writing.
Where a choice was open, it favors datatrove:
- Words are runs of letters and digits, found by a regular expression; its default, spaCy, takes four times as long in all.
- No language filter: its model is fetched from the network.
- No decontamination: its indexer needs lighteval and data sets from the network.
- No secrets, no further personal data, no label noise, no splits: it has no such steps.
- Its reader gives up a file at the first byte that is not UTF-8, so such lines are taken out beforehand, off the clock, when
  the rows are dealt to two files, one for each of its two workers. Nothing it writes is compressed, and workers are forked.
"""

import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TQDM_DISABLE", "1")

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
from datatrove.pipeline.dedup.exact_dedup import ExactDedupConfig, ExactDedupFilter, ExactDedupSignature, ExactFindDedups
from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupBuckets
from datatrove.pipeline.filters import GopherRepetitionFilter
from datatrove.pipeline.formatters import PIIFormatter
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter
from datatrove.utils.logging import logger
from datatrove.utils.text import TextNormConfig, simplify_text
from datatrove.utils.word_tokenizers import WordTokenizer

WORKERS = 2
# As many hashes as fineline's: a pair of similarity 0.85 shares a bucket with probability 1 - (1 - 0.85^5)^24 > 0.9999.
# Digits count, as they do there: rows that differ in a number are different rows.
SAME_WORDS = TextNormConfig(norm_numbers=False)
MINHASH = MinhashConfig(n_grams=3, num_buckets=24, hashes_per_bucket=5, norm_config=SAME_WORDS)


class Words(WordTokenizer):
    """Runs of letters and digits."""

    def word_tokenize(self, text: str) -> list[str]:
        """The words of a text."""
        return re.findall(r"\w+", text)

    def sent_tokenize(self, text: str) -> list[str]:
        """Not needed by any step used here."""
        raise NotImplementedError

    def span_tokenize(self, text: str) -> list[tuple[int, int]]:
        """Not needed by any step used here."""
        raise NotImplementedError


def main() -> None:
    """Deal the rows, run every phase, print the account."""
    rows, scratch = Path(sys.argv[1]), Path(sys.argv[2])
    logger.remove()
    shutil.rmtree(scratch, ignore_errors=True)
    rows_in = _deal(rows, scratch / "raw")
    seconds = {name: _seconds(phase, scratch) for name, phase in PHASES.items()}
    rows_of = {"rows_in": rows_in, "rows_distinct": _rows(scratch / "distinct"), "rows_out": _rows(scratch / "kept")}
    print(json.dumps({"seconds": seconds} | rows_of))


def _deal(file: Path, into: Path) -> int:
    """Every second line to each of two files, but for lines that are not UTF-8; returns how many."""
    into.mkdir(parents=True)
    dealt = 0
    with file.open("rb") as lines, (into / "0.jsonl").open("wb") as even, (into / "1.jsonl").open("wb") as odd:
        for line in lines:
            try:
                line.decode()
            except UnicodeDecodeError:
                continue
            (odd if dealt % 2 else even).write(line)
            dealt += 1
    return dealt


def _text(_: JsonlReader, row: dict[str, Any], path: str, number: int | str) -> dict[str, Any]:
    """A row as datatrove's document; one without a completion has no text, and the reader passes over it."""
    complete = "prompt" in row and "completion" in row
    return {
        "text": f"{row['prompt']}\n{row['completion']}" if complete else "",
        "id": str(row.get("n", number)),
        "metadata": {},
    }


def _normalized(document: Any) -> str:
    return simplify_text(document.text, SAME_WORDS)


EXACT = ExactDedupConfig(content_getter=_normalized)


def _read(folder: Path) -> JsonlReader:
    return JsonlReader(str(folder), compression=None)


def _write(folder: Path) -> JsonlWriter:
    return JsonlWriter(str(folder), compression=None)


def _clean(scratch: Path) -> None:
    reader = JsonlReader(str(scratch / "raw"), compression=None, adapter=_text)
    signatures = ExactDedupSignature(str(scratch / "exact_signatures"), config=EXACT, finder_workers=WORKERS)
    _run([reader, GopherRepetitionFilter(language=Words()), PIIFormatter(), _write(scratch / "clean"), signatures], scratch)


def _exact_duplicates(scratch: Path) -> None:
    found = str(scratch / "exact_duplicates")
    _run([ExactFindDedups(str(scratch / "exact_signatures"), found, config=EXACT)], scratch)
    _run([_read(scratch / "clean"), ExactDedupFilter(found, config=EXACT), _write(scratch / "distinct")], scratch)


def _signatures(scratch: Path) -> None:
    step = MinhashDedupSignature(str(scratch / "signatures"), config=MINHASH, language=Words())
    _run([_read(scratch / "distinct"), step], scratch)


def _buckets(scratch: Path) -> None:
    step = MinhashDedupBuckets(str(scratch / "signatures"), str(scratch / "buckets"), config=MINHASH, lines_to_buffer=10_000)
    _run([step], scratch, tasks=MINHASH.num_buckets)


def _clusters(scratch: Path) -> None:
    step = MinhashDedupCluster(str(scratch / "buckets"), str(scratch / "clusters"), config=MINHASH, lines_to_buffer=10_000)
    _run([step], scratch, tasks=1)


def _keep(scratch: Path) -> None:
    _run([_read(scratch / "distinct"), MinhashDedupFilter(str(scratch / "clusters")), _write(scratch / "kept")], scratch)


PHASES: dict[str, Callable[[Path], None]] = {
    "clean": _clean,
    "exact_duplicates": _exact_duplicates,
    "signatures": _signatures,
    "buckets": _buckets,
    "clusters": _clusters,
    "keep": _keep,
}
"""In order. Signatures, buckets and clusters are the near-duplicate step; `keep` writes what it leaves."""


def _run(steps: list[Any], scratch: Path, tasks: int = WORKERS) -> None:
    workers = min(tasks, WORKERS)
    logs = str(scratch / "logs")
    LocalPipelineExecutor(
        steps, tasks=tasks, workers=workers, logging_dir=logs, skip_completed=False, start_method="fork"
    ).run()


def _seconds(phase: Callable[[Path], None], scratch: Path) -> float:
    started = time.perf_counter()
    phase(scratch)
    return time.perf_counter() - started


def _rows(folder: Path) -> int:
    return sum(1 for file in folder.glob("*.jsonl") for _ in file.open("rb"))


if __name__ == "__main__":
    main()
