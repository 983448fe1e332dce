"""What `fruits classify` says: a line per photo, then what is known of the fruits, in English or French."""

from collections.abc import Mapping
from typing import Any

from fruits.views.summaries import write_table

MOST_FACTS = 10  # fruits described; of more, `--json` has all
WORDS = {
    "en": {
        "head": ["photo", "fruit", "probability", "decision", "or else"],
        "sure": "sure",
        "not sure": "not sure",
        "no fruit": "no fruit",
        "facts": "botanical name {}; {}; keep {}",
        "failed": "not read",
        "more": "and {} more fruits, in --json",
    },
    "fr": {
        "head": ["photo", "fruit", "probabilité", "décision", "sinon"],
        "sure": "sûr",
        "not sure": "pas sûr",
        "no fruit": "pas un fruit",
        "facts": "nom botanique {} ; {} ; conserver {}",
        "failed": "non lue",
        "more": "et {} autres fruits, dans --json",
    },
}


def show_answers(result: Mapping[str, Any]) -> str:
    """Write a row per photo with its label, its probability and the next four, then facts and what was not read."""
    language, words = result["language"], WORDS[result["language"]]
    rows = [
        [
            each["photo"],
            "-" if each["decision"] == "no fruit" else each["label"],
            "-" if each["decision"] == "no fruit" else f"{each['probability']:.1%}",
            words[each["decision"]],
            ", ".join(f"{other['label']} {other['probability']:.1%}" for other in each["next"]),
        ]
        for each in result["photos"]
    ]
    parts = [write_table(words["head"], rows)]
    named = dict.fromkeys(each["label"] for each in result["photos"] if each["decision"] != "no fruit")
    known = [label for label in named if result["information"][label]]
    facts = [_describe(label, result["information"][label], language) for label in known[:MOST_FACTS]]
    if len(known) > MOST_FACTS:
        facts.append(words["more"].format(len(known) - MOST_FACTS))
    parts.append("\n".join(facts))
    parts.append("\n".join(f"{each['photo']}: {words['failed']}, {each['error']}" for each in result["failed"]))
    return "\n\n".join(part for part in parts if part)


def _describe(label: str, facts: Mapping[str, str], language: str) -> str:
    told = WORDS[language]["facts"].format(
        facts["botanical_name"], facts[f"season_{language}"], facts[f"storage_{language}"]
    )
    return f"{label}: {facts[f'name_{language}']}\n    {told}"
