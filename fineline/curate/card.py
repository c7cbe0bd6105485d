"""The dataset card of curated rows: origin, owner, curation, content and known limits. The text is in card.md.j2.

The card is part of the artifact, so it contains nothing that varies between equal runs. It quotes no text of a row.
Format: "Dataset Cards" in the documentation of the Hugging Face Hub.
"""

import re
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import yaml
from jinja2 import Environment, StrictUndefined

from fineline.project.params.curation import Action, Quality
from fineline.project.params.project import Adapter

# The identifiers that the Hub knows: "Licenses" in its documentation
LICENSES = """
apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0 bigcode-openrail-m afl-3.0
artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear c-uda cc cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0
cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0
cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 cdla-permissive-1.0 cdla-permissive-2.0 wtfpl ecl-2.0
epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0 lgpl lgpl-2.1 lgpl-3.0 isc lppl-1.3c ms-pl mpl-2.0
odc-by odbl openrail++ osl-3.0 postgresql ofl-1.1 ncsa unlicense zlib pddl lgpl-lr unknown
"""
SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))
ACTIONS: dict[Action, str] = {
    "redact": "replaced by a placeholder that names the kind",
    "pseudonymize": "replaced by a placeholder that is the same for equal values",
    "drop": "left out together with their row",
    "report": "kept and counted",
}
NOTES = {
    "function_calls": "calls in another form became `tool_calls`",
    "parsed_arguments": "arguments of tool calls given as JSON text became objects",
    "null_arguments": "null in arguments of tool calls was left out",
    "history": "earlier turns of a column come first",
    "reasoning": "answers have reasoning, as `reasoning_content`",
    "unlearned_answers": "answers with `weight` 0 are context and not learned",
    "other_weights": "weights other than 0 and 1 were not applied",
    "trimmed_start": "messages before the first one of the user were removed",
    "trimmed_end": "messages after the last answer to learn were removed",
    "joined_messages": "consecutive messages of one role were joined",
    "joined_system": "several system messages were joined",
    "first_of_several_answers": "the first of several accepted answers was taken",
    "preference_chosen": "the better answer of a preference pair was taken",
}
"""Note on the reading of rows -> what was done to them."""
UNDETECTED = "und"
MOST_FILES = 20
COMMON = 0.01  # share of the rows; a language detected in fewer may be a mistake


def render(name: str, adapter: Adapter, report: dict[str, Any], parts: Mapping[str, Any]) -> str:
    """Return the card as Markdown with its YAML block.

    Args:
        report: Content of curation.json, without the digest of the data set.
        parts: Part -> its entry in parts.json of the raw rows.
    """
    front = yaml.safe_dump(_front(name, adapter, report), sort_keys=False, allow_unicode=True)
    return f"---\n{front}---\n{_body(name, adapter, report, parts)}"


def steps(adapter: Adapter, report: dict[str, Any]) -> dict[str, str]:
    """Return, for each step of curation in order, a phrase that says which rows it leaves out."""
    rule = adapter.curate
    alike = rule.duplicates.similarity
    meanings = {
        "rejected": "rows that cannot be read, have no completion, or whose roles do not alternate",
        "privacy": "rows with personal data or secrets of a kind whose action is drop",
        "quality": "rows that are garbled, repetitive, an echo of their prompt, in an unwanted language, or longer than"
        f" {rule.max_tokens} tokens of {adapter.base}",
        "label_noise": f"prompts that are answered in different ways (equal prompts: {rule.label_noise.same_prompt}, near-equal"
        f" ones: {rule.label_noise.near_prompt})",
        "exact_duplicates": "rows with the same prompt and completion as another",
        "near_duplicates": f"rows that share {alike:.0%} of their three-word shingles with another (kept:"
        f" {rule.duplicates.keep})"
        if alike
        else "none: near-duplicates are not searched for",
        "contamination": f"rows that share {rule.contamination.ngram} words in a row, or most of their prompt, with an item of"
        f" a suite that judges the model ({', '.join(adapter.evaluate.guards) or 'none'})",
        "linked": "rows so similar to a row in another split that a test would ask for trained content",
        "mixing": "rows of sources with a weight below 1",
    }
    return {step: meanings[step] for step in report["removed"]}


def languages(report: dict[str, Any]) -> list[str]:
    """Return the languages that certainly occur in the rows, the most frequent first."""
    counts = report["languages"]
    detected = sorted(counts.keys() - {UNDETECTED}, key=lambda language: (-counts[language], language))
    enough = COMMON * sum(counts[language] for language in detected)
    return [language for language in detected if counts[language] >= enough]


def private_kinds(adapter: Adapter, report: dict[str, Any]) -> list[str]:
    """Return the kinds of personal data and secrets that were found, or that have an action of their own."""
    found = {*report["changed"], *report["reported"]} - {"rows", *Quality.model_fields}
    return sorted(found | set(adapter.curate.privacy.kinds))


def limits(adapter: Adapter, report: dict[str, Any]) -> list[str]:
    """Return the known limits of the data set, one or two sentences each."""
    noise = report["label_noise"]
    undetected = report["languages"].get(UNDETECTED, 0)
    phrases = len(report["signals"]["rare_phrases"])
    seen = ", ".join(f"{sign} {rows}" for sign, rows in report["reported"].items() if sign in Quality.model_fields)
    guards = ", ".join(adapter.evaluate.guards)
    sentences = [
        "Personal data are found by patterns and checksums. Names, places and unusual spellings may remain.",
        f"Label noise: {noise['same_prompt']['prompts']} prompts and {noise['near_prompt']['prompts']} groups of near-equal"
        " prompts have more than one answer. No rule can decide which answer is right; label_noise.jsonl lists all of them.",
        f"Languages are detected statistically; none was detected in {undetected} rows that are too short or not prose.",
        f"Only items of {guards} were searched for leaks." if guards else "No suite was searched for leaked items.",
    ]
    if seen:
        sentences.append(f"Found and kept, in rows: {seen}.")
    if phrases:
        sentences.append(f"{phrases} rare phrases predict one completion almost always, as the trigger of a backdoor would.")
    return sentences


def reading(report: dict[str, Any]) -> list[str]:
    """Return a sentence on the changes that reading made to rows, and one on the columns and keys that were not read."""
    notes = [f"{NOTES.get(note, note)} ({rows})" for note, rows in report.get("read", {}).items()]
    unread = [
        f"{kind.replace('_', ' ')} {', '.join(f'`{name}` ({rows})' for name, rows in names.items())}"
        for kind, names in report.get("unread", {}).items()
        if names
    ]
    sentences = [f"In reading, with the number of rows: {'; '.join(notes)}."] if notes else []
    return sentences + ([f"Not read, with the number of rows: {'; '.join(unread)}."] if unread else [])


def _front(name: str, adapter: Adapter, report: dict[str, Any]) -> dict[str, Any]:
    rows = sum(split["rows"] for split in report["splits"].values())
    files = [{"split": split, "path": f"{split}.jsonl"} for split, counts in report["splits"].items() if counts["rows"]]
    return {
        "pretty_name": f"Training data of {name}",
        **_license(adapter.license),
        **({"language": found} if (found := languages(report)) else {}),
        "size_categories": [next((size for limit, size in SIZES if rows < limit), "10M<n<100M")],
        "task_categories": ["text-generation"],
        "tags": ["fineline", "supervised-fine-tuning"],
        "configs": [{"config_name": "default", "data_files": files}],
    }


def _license(license: str) -> dict[str, str]:
    """Return the license fields; a license unknown to the Hub is `other`, with a name as the Hub accepts it."""
    if license.lower() in LICENSES.split():
        return {"license": license.lower()}
    return {"license": "other", "license_name": re.sub(r"[^a-z0-9.]+", "-", license.lower()).strip("-")}


def _body(name: str, adapter: Adapter, report: dict[str, Any], parts: Mapping[str, Any]) -> str:
    template = Environment(undefined=StrictUndefined, keep_trailing_newline=True, trim_blocks=True).from_string(
        resources.files(__package__).joinpath("card.md.j2").read_text(encoding="utf-8")
    )
    described = steps(adapter, report).items()
    return template.render(
        name=name,
        adapter=adapter,
        report=report,
        table=_table,
        sources=_sources(report, parts),
        files=_files(parts),
        steps=[[step.replace("_", " "), report["removed"][step], meaning] for step, meaning in described],
        reading=reading(report),
        default_action=ACTIONS[adapter.curate.privacy.default],
        kinds=_kinds(adapter, report),
        splits=[[split, *(counts[key] for key in ("rows", "groups", "tokens"))] for split, counts in report["splits"].items()],
        languages=sorted(report["languages"].items(), key=lambda item: (-item[1], item[0])),
        limits=limits(adapter, report),
    )


def _sources(report: dict[str, Any], parts: Mapping[str, Any]) -> list[list[Any]]:
    kept = {source: counts["kept"] for source, counts in report["sources"].items()}
    return [
        [part, facts["origin"], facts["rows"], facts["unreadable"], kept.get(part, 0), facts["weight"]]
        for part, facts in parts.items()
    ]


def _kinds(adapter: Adapter, report: dict[str, Any]) -> list[list[Any]]:
    return [
        [kind, ACTIONS[adapter.curate.privacy.action(kind)], report["changed"].get(kind, 0), report["reported"].get(kind, 0)]
        for kind in private_kinds(adapter, report)
    ]


def _files(parts: Mapping[str, Any]) -> list[list[Any]]:
    """Return the first files of each part with their digests, and the number of further ones."""
    rows: list[list[Any]] = []
    for part, facts in parts.items():
        rows += [[part, file["path"], file["size"], file["sha256"]] for file in facts["files"][:MOST_FILES]]
        more = facts["files"][MOST_FILES:]
        if more:
            rows.append([part, f"{len(more)} more, see parts.json of the raw rows", sum(file["size"] for file in more), ""])
    return rows


def _table(heading: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    if not rows:
        return "None."
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join(f"| {' | '.join(_cell(value) for value in line)} |" for line in lines)


def _cell(value: Any) -> str:
    return " ".join(str(value).split()).replace("|", r"\|").replace("<", "&lt;")
