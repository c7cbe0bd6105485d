"""docs/models.md: how far every class of transformers' causal and image-text mappings comes in fineline.

    python tools/models.py              # write the page: `make models`
    python tools/models.py Llama Gemma  # examine the classes whose names begin so, and write their lines

A class is built as a tiny random model (tests/zoo.py) and taken through training, judging, merging and exporting
(tests/sweep.py). tests/test_sweep.py compares the lines with the page: those of the families that are used most in
`make test-all`, all of them in `make soak`.
"""

import os
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "models.md"
COLUMNS = ("class", "loaded", "trained", "judged", "merged", "formats", "reason where not")
HEAD = """# Models

Every class in the causal and image-text mappings of transformers {version}, built as a tiny random model and taken through a
LoRA training in fp32, judging, merging and exporting. Of {count} classes, transformers itself can train {able} on text alone:
{passed} of these come through. `make models` writes this page, `make test-all` compares the families that are used most, and
`make soak` all.

- **loaded:** stage `base` accepts it.
- **trained:** `flat` if rows of different lengths are trained as one sequence, `plain` if the model's forward pass reads padded
  rows.
- **judged:** scores equal those of the model's forward pass, and answers are generated.
- **merged:** the merged model, read from disk, computes what the trained one computes.
- **formats:** what it can be exported to.
- **reason where not:** the property of the model that prevents it.

Classes whose vision tower comes from timm need that package (`pip install timm`).

"""
UNABLE = """
## Not trainable on text

Of these {count} classes, transformers itself cannot train a step on text alone. The attempt, with the model's own forward pass
and loss, is part of the sweep (tests/own_step.py).

"""
UNABLE_COLUMNS = ("class", "what transformers says")


def examine(architecture: str) -> tuple[str, ...]:
    """Return the line of a class: the cells of its row."""
    from tests import sweep, zoo

    (entry,) = [one for one in zoo.classes() if one.architecture == architecture]
    with TemporaryDirectory() as scratch:
        return line(sweep.run(entry, Path(scratch)))


def line(outcome: Any) -> tuple[str, ...]:
    """Return the cells of the row of an outcome of tests/sweep.py: of the first table, or of the one of unable classes."""
    names = ("own",) if outcome.own else ("base", "trained", "judged", "merged", "formats", "reason")
    values = (getattr(outcome, name) for name in names)
    return (outcome.architecture, *(value.replace("|", "\\|").replace("<", "&lt;") for value in values))


def page(rows: list[tuple[str, ...]]) -> str:
    """Return the page with these rows."""
    import transformers

    able = [row for row in rows if len(row) == len(COLUMNS)]
    unable = [row for row in rows if len(row) == len(UNABLE_COLUMNS)]
    passed = sum(not row[-1] for row in able)
    text = HEAD.format(version=transformers.__version__, passed=passed, able=len(able), count=len(rows))
    return text + _table(COLUMNS, able) + UNABLE.format(count=len(unable)) + _table(UNABLE_COLUMNS, unable)


def _table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    table = [columns, ("---",) * len(columns), *sorted(rows)]
    return "".join(f"| {' | '.join(row)} |\n" for row in table)


def written() -> dict[str, tuple[str, ...]]:
    """Return class -> its row on the page."""
    lines = PAGE.read_text(encoding="utf-8").splitlines() if PAGE.is_file() else []
    rows = [tuple(cell.strip() for cell in one.strip("|").split(" | ")) for one in lines if one.startswith("| ")]
    return {row[0]: row for row in rows if row[0] not in (COLUMNS[0], "---")}


def main(*prefixes: str) -> None:
    """Examine classes in a process for each core, and write the page, or the rows of some in it."""
    from tests import zoo

    names = [one.architecture for one in zoo.classes() if not prefixes or one.architecture.startswith(prefixes)]
    rows = written() if prefixes else {}
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        for row in pool.map(examine, names):
            print(" | ".join(row), flush=True)
            rows[row[0]] = row
    PAGE.write_text(page(list(rows.values())), encoding="utf-8")


if __name__ == "__main__":
    os.environ |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1", "PYTHONPATH": str(ROOT)}
    sys.path.insert(0, str(ROOT))
    main(*sys.argv[1:])
