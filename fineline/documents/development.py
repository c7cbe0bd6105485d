"""Annex XI, section 1, point 2: development, data, work and energy."""

from typing import Any

from fineline.curate import card as dataset_card
from fineline.documents import compute
from fineline.documents.packages import LOCK
from fineline.documents.records import Records, settings_read
from fineline.documents.technical import Field
from fineline.project import layout, lock


def method(records: Records) -> list[Field]:
    """Return design choices, training method, result and software."""
    source, plan, settings = records.source, records.reports["plan"], settings_read(records)
    made = ("curated", "adapter", "merged", *records.exports)
    training, merge = records.reports["training"], records.reports["merge"]
    learned = {"completion": "the last answer of a row only", "turns": "every answer of the assistant"}
    choices = [
        f"Method: {plan['chosen']['method']}. {plan['chosen']['reason']}",
        f"Recommended by the plan: {plan['recommended']}. {plan['reason']}",
        f"Optimized: the likelihood of {learned.get(str(settings.get('learn')), 'what the settings name')}; no other tokens"
        " have a loss.",
        f"The {settings.get('keep')} weights of {training['steps']} steps were saved; the lowest validation loss was at step"
        f" {training['best_step']}.",
        _merged(merge),
        "Base, adapter, merged and exported model are scored on the same items.",
    ]
    result = {
        key: training.get(key)
        for key in ("steps", "tokens", "train_loss", "validation_loss", "best_validation_loss", "best_step", "stopped_early")
    }
    chosen = {name: "none" if setting is None else setting for name, setting in settings.items()}
    found = [
        Field("design_choices", "Design choices and their reasons", choices, source("plan", "adapter", "training", "merge")),
        Field("methodology", "Training method and every setting", chosen, source("adapter")),
        Field("training_result", "Result of the training", result, source("training")),
        Field(
            "code",
            "Code and software",
            _code(records),
            source(*made, *records.provenance_files(*made), LOCK.as_posix()),
        ),
    ]
    if records.accepted:
        stages = (line.partition("@")[0] for line in records.accepted)
        files = [lock.FILE, *(layout.provenance(stage, records.name) for stage in stages)]
        title = "Results of older stage versions, accepted at an upgrade"
        found.append(Field("accepted", title, records.accepted, source(*(file.as_posix() for file in files))))
    return found


def data(records: Records) -> list[Field]:
    """Return sources and licenses of the data, collection, curation, and what was found unsuitable or biased."""
    source, curation, croissant = records.source, records.reports["curation"], records.croissant
    described = f"{records.paths['curated'].as_posix()}/croissant.json"
    parts = f"{records.paths['raw'].as_posix()}/parts.json"
    splits = [{"split": split, **counts} for split, counts in curation["splits"].items()]
    return [
        Field(
            "sources",
            "Data sources, their type and license",
            _sources(records),
            source("raw", records.license_file("raw"), parts),
        ),
        Field("source_files", "Files that the rows came from", _files(records), source(parts)),
        Field("collection", "How data was obtained", _collection(records), source("raw", parts, described)),
        Field("curation", "Curation: rows in and out of each step", _funnel(curation), source("curation")),
        Field("curation_rules", "Rules of each step", croissant.get("rai:dataPreprocessingProtocol"), source(described)),
        Field("amount", "Number of rows and tokens", splits, source("curation")),
        Field("languages", "Languages, in rows (und: undetermined)", dict(curation["languages"]), source("curation")),
        Field(
            "personal_data", "Personal data and secrets", croissant.get("rai:personalSensitiveInformation"), source(described)
        ),
        Field("unsuitable", "What was found unsuitable or biased", _unsuitable(records), source("curation", described)),
    ]


def work(records: Records) -> list[Field]:
    """Return floating-point operations, their share of the base's, time and hardware."""
    plan, training = records.reports["plan"], records.reports["training"]
    found, device = compute.compute(plan, training), plan["device"]
    proportion = {
        "base_flops": found.base_flops,
        "obtained": found.base_obtained,
        "share": found.share,
    }
    ran = {
        "measured_seconds": training["seconds"],
        "forecast_seconds": plan["chosen"]["seconds"],
        "peak_memory_bytes": training.get("memory", {}).get("measured"),
    }
    hardware = {
        "device": device["name"],
        "kind": device["kind"],
        "memory_bytes": device["memory_bytes"],
        "note": device.get("note") or "none",
        "obtained": "The device that the plan was made for; training prints a warning if it runs on another one.",
    }
    return [
        Field(
            "flops", "Work of this training", {"flops": found.flops, "obtained": found.flops_obtained}, records.source("plan")
        ),
        Field("base_share", "Share of the base's compute", proportion, records.source("plan")),
        Field("training_time", "Training time", ran, records.source("training", "plan")),
        Field("hardware", "Hardware", hardware, records.source("plan")),
    ]


def energy_use(records: Records) -> list[Field]:
    """Return the energy of the training."""
    found = compute.energy(records.reports["plan"], records.reports["training"])
    return [Field("energy", "Energy of this training", found, records.source("training", "plan"))]


def modification(records: Records) -> list[Field]:
    """Return whether the modification is significant, with the reasoning."""
    found = compute.compute(records.reports["plan"], records.reports["training"])
    reasoning = {
        "criterion": "By the guidelines of the European Commission (C(2025) 7719, points 57 to 63), a modification is"
        " significant if it took more than one third of the compute of the original model.",
        "flops": found.flops,
        "base_flops": found.base_flops,
        "threshold_flops": found.threshold,
        "threshold_obtained": found.threshold_obtained,
        "significant": found.is_significant,
        "conclusion": found.conclusion,
        "note": "This criterion is indicative: the effect on the model's capabilities counts too. Not legal advice.",
    }
    return [Field("downstream_modifier", "Work of the modification compared with the base", reasoning, records.source("plan"))]


def _merged(merge: dict[str, Any]) -> str:
    """Return which weights the adapter was merged into, and why."""
    choice = merge.get("choice")
    if choice is None:
        return f"The adapter is merged into the {merge['merged_into']} base, the one it was trained on."
    return (
        f"The adapter is merged into the {merge['merged_into']} base: on {choice['rows']} validation rows the loss is"
        f" {choice['dequantized']:.4f} with the dequantized weights, which it was trained on, and {choice['original']:.4f} with"
        " the original ones."
    )


def _code(records: Records) -> dict[str, Any]:
    made = {"curation": "curated", "training": "adapter", "merge": "merged"}
    made |= {f"export to {form}": form for form in records.exports}
    digests: dict[str, Any] = {f"code of {step}": records.code(name) for step, name in made.items()}
    trained = records.provenance["adapter"]
    if trained is not None:
        digests |= {"fineline": trained.fineline, "commit of training": trained.commit, "libraries": dict(trained.libraries)}
    return digests | {"packages": f"as pinned in {LOCK}; bom.cdx.json lists each with version and digests"}


def _sources(records: Records) -> list[dict[str, Any]]:
    return [
        {
            "source": part,
            "origin": facts["origin"],
            "license": str(facts.get("license") or records.license("raw")),
            "modality": "text",
            "rows": facts["rows"],
            "unreadable": facts["unreadable"],
            "weight": facts["weight"],
            "files": len(facts["files"]),
        }
        for part, facts in records.parts.items()
    ]


def _files(records: Records) -> list[dict[str, Any]]:
    """Return the first files of each part, and the number of the others."""
    rows: list[dict[str, Any]] = []
    for part, facts in records.parts.items():
        shown, more = facts["files"][: dataset_card.MOST_FILES], facts["files"][dataset_card.MOST_FILES :]
        rows += [{"source": part, "file": file["path"], "bytes": file["size"], "sha256": file["sha256"]} for file in shown]
        if more:
            size = sum(file["size"] for file in more)
            rows.append({"source": part, "file": f"{len(more)} more, see parts.json of the raw rows", "bytes": size})
    return rows


def _collection(records: Records) -> list[str]:
    described = records.croissant.get("rai:dataCollection"), records.croissant.get("rai:dataCollectionMissingData")
    owner = (
        f"{records.ownership['raw'].owner} is responsible for the right to use the data. Licenses are as the owner declared"
        " them. fineline read files; it did not collect data from people or crawl the web."
    )
    return [*(str(one) for one in described if one), owner]


def _funnel(curation: dict[str, Any]) -> list[dict[str, Any]]:
    rows, left = [], curation["rows_in"]
    for step, removed in curation["removed"].items():
        rows.append({"step": step.replace("_", " "), "rows_in": left, "left_out": removed, "rows_out": left - removed})
        left -= removed
    return rows


def _unsuitable(records: Records) -> list[str]:
    curation = records.reports["curation"]
    leaked = sum(counts["rows"] for counts in curation["contamination"].values())
    noise, checks = curation["label_noise"], curation["checks"]
    sentences = [
        f"{leaked} rows shared text with {len(curation['contamination'])} suites that evaluate the model.",
        f"{noise['same_prompt']['rows']} rows have a prompt that is answered in different ways, and"
        f" {noise['near_prompt']['rows']} rows a nearly equal prompt.",
        f"{len(curation['signals']['rare_phrases'])} rare phrases almost always occur with one completion, as the trigger of a"
        " backdoor would.",
        f"After curation, {checks['private_values_left']} private values, {checks['contaminated_left']} leaked rows and"
        f" {checks['links_across_splits']} links between splits were left in {checks['audited']:,} rows that were audited.",
        "Social bias of the rows was not measured.",
    ]
    return [*sentences, *(str(limit) for limit in records.croissant.get("rai:dataLimitations", []))]
