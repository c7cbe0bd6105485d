"""Stage `curate@A`: raw rows -> train.jsonl, validation.jsonl, test.jsonl, and rejected.jsonl with every reason."""

from typing import Any

from pipelines import artifacts, layout, params, reports, stage
from pipelines.curate import duplicates, rows, split
from pipelines.errors import InputError

_EXAMPLES = 3


def run(name: str) -> None:
    """Curate the raw rows of adapter `name` into data/curated/<name>."""
    adapter = params.load().adapter(name)
    raw = layout.raw(name)
    with artifacts.create(
        layout.curated(name),
        kind="training-data",
        name=name,
        owner=adapter.owner,
        license=adapter.license,
        stage="pipelines.curate",
        inputs={"raw": raw},
        parameters=adapter.curate.model_dump(exclude_none=True),
    ) as directory:
        accepted, rejected = rows.read(raw / "rows.jsonl", adapter.curate.system)
        _check_rejected(rejected, len(accepted), adapter.curate.max_rejected, f"{raw}/rows.jsonl")
        kept, repeated, contradictions = duplicates.distinct(accepted)
        dealt = split.deal(kept, adapter.curate.split)
        _check_splits(dealt, adapter.curate.split, name)
        for split_name, split_rows in dealt.items():
            lines = [{"id": row.id, "group": row.group, "messages": list(row.messages)} for row in split_rows]
            reports.write_lines(directory / f"{split_name}.jsonl", lines)
        reports.write_lines(directory / "rejected.jsonl", rejected)
    report = {
        "rows_in": len(accepted) + len(rejected),
        "kept": len(kept),
        "rejected": len(rejected),
        "duplicates": len(repeated),
        "conflicting": len(contradictions),
    }
    splits = {key: {"rows": len(side), "groups": len({row.group for row in side})} for key, side in dealt.items()}
    reports.write(layout.reports(name) / "curation.json", report | {"splits": splits})
    print(", ".join(f"{key} {count}" for key, count in report.items()))
    print(", ".join(f"{key} {sizes['rows']} rows in {sizes['groups']} groups" for key, sizes in splits.items()))


def _check_rejected(rejected: list[dict[str, Any]], accepted: int, limit: float, file: str) -> None:
    total = accepted + len(rejected)
    if not total:
        raise InputError(f"{file}: not one row")
    if len(rejected) / total > limit:
        first = "\n".join(f"  {file}:{entry['line']}: {entry['reason']}" for entry in rejected[:_EXAMPLES])
        raise InputError(
            f"{len(rejected)} of {total} rows are unusable, more than `curate.max_rejected` ({limit:.1%}) allows:\n{first}\n"
            "mend the source, or raise the limit in params.yaml if they may be left out"
        )


def _check_splits(dealt: dict[str, list[rows.Row]], shares: params.Split, name: str) -> None:
    wanted = {"train": 1.0, "validation": shares.validation, "test": shares.test}
    for split_name, side in dealt.items():
        if wanted[split_name] and not side:
            raise InputError(
                f"adapters.{name}: the {split_name} split is empty: too few groups of rows; add data, raise"
                f" `curate.split.{split_name}`, or set it to 0"
                if split_name != "train"
                else f"adapters.{name}: the train split is empty: lower the shares in `curate.split`, or add data"
            )


if __name__ == "__main__":
    stage.main(run)
