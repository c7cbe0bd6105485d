"""Stage `evaluate@A`: the adapter against its base (and the champion) on the same items, and the verdict of the gate."""

import time
from typing import Any

from fineline import artifacts
from fineline.artifacts import reports
from fineline.project import layout, params


def run(name: str) -> None:
    """Evaluate adapter `name`: per-item results in reports/<name>/evaluation/, the verdict in reports/<name>/gate.json."""
    all_params = params.load()
    block = all_params.adapter(name)
    rule, base = block.evaluate, layout.base(block.base)
    data = artifacts.verified(layout.curated(name))

    from fineline.chat.tokens import tokenizer_of
    from fineline.evaluate import overlap, verdict

    tokenizer = tokenizer_of(base)
    tasks = verdict.tasks(name, rule, tokenizer)
    overlap.refuse(rule.guards, layout.curated(name), block.curate, name)

    from fineline.evaluate import arms, noise

    started = time.perf_counter()
    seconds: dict[str, float] = {}
    pair = arms.Arms(base, layout.adapter(name))
    judged = [pair.arm(arms.BASE), pair.arm(arms.CANDIDATE)]
    if rule.champion:
        judged.append(arms.champion(rule.champion, base).arm(arms.CHAMPION))
    records: dict[str, list[dict[str, Any]]] = {}
    own_noise: dict[str, Any] = {}
    for arm in judged:
        records[arm.name] = arms.records(arm, tasks, tokenizer)
        seconds[arm.name] = round(time.perf_counter() - started - sum(seconds.values()), 1)
        if arm.name == arms.BASE:  # now, while it is there as it is
            own_noise = noise.measured(arm, tasks, records[arm.name], tokenizer)
            seconds["noise"] = round(time.perf_counter() - started - sum(seconds.values()), 1)

    decision = verdict.judge(
        tasks,
        records[arms.BASE],
        records[arms.CANDIDATE],
        rule.gate,
        champion=records.get(arms.CHAMPION),
        pools=rule.pools,
    )
    decision["noise"] = own_noise
    decision["arms"] = {arm.name: arm.described for arm in judged}
    decision["data"] = data.digest
    decision["policy"] = rule.gate.model_dump(mode="json")
    decision["precision"] = pair.precision

    evidence = layout.reports(name) / "evaluation"
    for arm in judged:
        verdict.write_samples(evidence, arm.name, records[arm.name])
    speed = {"seconds": round(time.perf_counter() - started, 1), "by_arm": seconds, "items": decision["items"]}
    _picture(name, decision, records, speed, rule.pools)
    reports.write(evidence / "speed.json", speed)
    reports.write(layout.reports(name) / "gate.json", decision)
    verdict.tell(decision)


def _picture(
    name: str, decision: dict[str, Any], records: dict[str, Any], speed: dict[str, Any], pools: dict[str, list[str]]
) -> None:
    """What a person looks at, beside the verdict."""
    from fineline.evaluate import arms, flips, forest, tables
    from fineline.plan import value

    directory, training = layout.reports(name) / "evaluation", layout.reports(name) / "training.json"
    forest.draw(decision, directory / "forest.svg", name)
    tables.write(directory / "differences.csv", tables.differences(decision))
    points = value.per_point(reports.read(training), decision) if training.is_file() else ()
    texts = {
        "flips.md": flips.markdown(records[arms.BASE], records[arms.CANDIDATE], decision, pools=pools),
        "table.md": tables.markdown(decision, speed, points, title=name),
    }
    for file, text in texts.items():
        (directory / file).write_text(text, encoding="utf-8")
