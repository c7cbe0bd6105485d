"""The dataset card of curated rows: what they are, whose, from where, what was done to them, and what to be careful about.

It is part of the artifact, so it holds nothing that varies between equal runs. No text of a row stands in it.
Format: "Dataset Cards" in the documentation of the Hugging Face Hub.
"""

import re
from collections.abc import Sequence
from typing import Any

import yaml

from fineline.project.params import Adapter
from fineline.project.params.curation import Action, Quality

# The ids that the Hub knows: "Licenses" in its documentation
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
    "pseudonymize": "replaced by a placeholder that is the same for the same value",
    "drop": "left out together with its row",
    "report": "left as it is, and counted",
}
UNTOLD = "und"
MOST_FILES = 20
COMMON = 0.01  # of the rows; a language told of fewer may be a mistake of the recogniser


BODY = """
# Training data of {name}

Conversations that the adapter `{name}` of the base model `{adapter.base}` is trained and tested on: {report[kept]} of
{report[rows_in]} raw rows. fineline made them, and this card, from the sources below.

- Owner and contact: {adapter.owner}
- License: {adapter.license}

## Sources

{sources}

{files}

## Curation

{steps}

{changed} rows were changed: see changed.jsonl. Every row that was left out stands in left_out.jsonl with its step and its
reason.

## Personal data and secrets

What is found is {default}, unless the table says otherwise.

{kinds}

## Splits

{splits}

A group never divides between splits. Which split it is in is decided by a hash, so no row changes sides when data is added.

## Fields

- `id` is a digest of the name of the source and of what the raw row is known by there: its own id, or else its content. It
  stays when rows come and go around it, and left_out.jsonl, changed.jsonl and label_noise.jsonl name rows by it. A row of
  a source that is weighted above 1 stands in train several times, under one id.
- `source` is the source above that the row came from.
- `group` is what must not be divided between splits.
- `messages` are the turns, each with `role` and `content`; the last one is the completion to learn.
- `tools` are the tools that the turns may call, where there are any.

## Languages

{languages}

## Known limits

{limits}
"""


def render(name: str, adapter: Adapter, report: dict[str, Any], parts: dict[str, Any]) -> str:
    """The card as Markdown with its YAML block.

    Args:
        report: What curation counted, without the digest of the result and without the comparison to earlier ones.
        parts: Part -> where its raw rows came from, as `ingest` recorded it.
    """
    front = yaml.safe_dump(_front(name, adapter, report), sort_keys=False, allow_unicode=True)
    return f"---\n{front}---\n{_body(name, adapter, report, parts)}"


def steps(adapter: Adapter, report: dict[str, Any]) -> dict[str, str]:
    """What each step of curation leaves out, in order."""
    rule = adapter.curate
    alike = rule.duplicates.similarity
    meanings = {
        "rejected": "rows that cannot be read, have no completion, or whose roles do not alternate",
        "privacy": "rows with personal data or secrets of a kind that is to be dropped",
        "quality": "rows that are broken, repetitive, an echo of their prompt, in an unwanted language, or longer than"
        f" {rule.max_tokens} tokens of {adapter.base}",
        "label_noise": f"prompts that are answered in different ways (equal prompts: {rule.label_noise.same_prompt}, near-equal"
        f" ones: {rule.label_noise.near_prompt})",
        "exact_duplicates": "rows that say the same as another",
        "near_duplicates": f"rows that share {alike:.0%} of their three-word shingles with another (kept:"
        f" {rule.duplicates.keep})"
        if alike
        else "nothing: near-duplicates are not looked for",
        "contamination": f"rows that share {rule.contamination.ngram} words in a row, or most of their prompt, with an item of"
        f" a suite that judges the model ({', '.join(adapter.evaluate.guards) or 'none'})",
        "linked": "rows so like one of another split that a test would ask what was trained on",
        "mixing": "rows of sources that are weighted below 1",
    }
    return {step: meanings[step] for step in report["removed"]}


def languages(report: dict[str, Any]) -> list[str]:
    """The languages that are in the rows beyond doubt, the most frequent first."""
    counts = report["languages"]
    told = sorted(counts.keys() - {UNTOLD}, key=lambda language: (-counts[language], language))
    enough = COMMON * sum(counts[language] for language in told)
    return [language for language in told if counts[language] >= enough]


def private_kinds(adapter: Adapter, report: dict[str, Any]) -> list[str]:
    """The kinds of personal data and secrets that were found, or that have a rule of their own."""
    found = {*report["changed"], *report["reported"]} - {"rows", *Quality.model_fields}
    return sorted(found | set(adapter.curate.privacy.kinds))


def limits(adapter: Adapter, report: dict[str, Any]) -> list[str]:
    """What to be careful about, one sentence or two each."""
    noise = report["label_noise"]
    untold = report["languages"].get(UNTOLD, 0)
    phrases = len(report["signals"]["rare_phrases"])
    seen = ", ".join(f"{sign} {rows}" for sign, rows in report["reported"].items() if sign in Quality.model_fields)
    guards = ", ".join(adapter.evaluate.guards)
    sentences = [
        "Personal data is found by patterns and checksums. Names, places and unusual spellings may remain.",
        f"Label noise: {noise['same_prompt']['prompts']} prompts have more than one answer, and so have"
        f" {noise['near_prompt']['prompts']} groups of near-equal prompts. Which answer is right, no rule can tell:"
        " label_noise.jsonl lists all sides.",
        f"Languages are told by a statistical recogniser; of {untold} rows, too short or not prose, it tells none.",
        f"Leaked items were looked for in {guards} only." if guards else "No suite was named to look for leaked items.",
    ]
    if seen:
        sentences.append(f"Seen and kept, in rows: {seen}.")
    if phrases:
        sentences.append(f"{phrases} rare phrases go with one completion nearly always, as the trigger of a backdoor would.")
    return sentences


def _front(name: str, adapter: Adapter, report: dict[str, Any]) -> dict[str, Any]:
    rows = sum(split["rows"] for split in report["splits"].values())
    files = [{"split": split, "path": f"{split}.jsonl"} for split, counts in report["splits"].items() if counts["rows"]]
    return {
        "pretty_name": f"Training data of {name}",
        **_license(adapter.license),
        **({"language": told} if (told := languages(report)) else {}),
        "size_categories": [next((size for limit, size in SIZES if rows < limit), "10M<n<100M")],
        "task_categories": ["text-generation"],
        "tags": ["fineline", "supervised-fine-tuning"],
        "configs": [{"config_name": "default", "data_files": files}],
    }


def _license(license: str) -> dict[str, str]:
    """A license that the Hub does not know is `other`, with a name of small letters, digits, dots and hyphens."""
    if license.lower() in LICENSES.split():
        return {"license": license.lower()}
    return {"license": "other", "license_name": re.sub(r"[^a-z0-9.]+", "-", license.lower()).strip("-")}


def _body(name: str, adapter: Adapter, report: dict[str, Any], parts: dict[str, Any]) -> str:
    meanings = steps(adapter, report).items()
    return BODY.format(
        name=name,
        adapter=adapter,
        report=report,
        sources=_table(["source", "origin", "rows", "unreadable", "kept", "weight"], _sources(report, parts)),
        files=_table(["source", "file", "bytes", "sha256"], _files(parts)),
        steps=_table(
            ["step", "rows left out", "what it leaves out"],
            [[step.replace("_", " "), report["removed"][step], meaning] for step, meaning in meanings],
        ),
        changed=report["changed"].get("rows", 0),
        default=ACTIONS[adapter.curate.privacy.default],
        kinds=_table(["kind", "what happens", "rows changed", "rows only counted"], _kinds(adapter, report)),
        splits=_table(
            ["split", "rows", "groups", "tokens"],
            [[split, counts["rows"], counts["groups"], counts["tokens"]] for split, counts in report["splits"].items()],
        ),
        languages=_table(["language", "rows"], sorted(report["languages"].items(), key=lambda item: (-item[1], item[0]))),
        limits="\n".join(f"- {sentence}" for sentence in limits(adapter, report)),
    )


def _sources(report: dict[str, Any], parts: dict[str, Any]) -> list[list[Any]]:
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


def _files(parts: dict[str, Any]) -> list[list[Any]]:
    """The first files of each part with their digests, and how many more there are."""
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
