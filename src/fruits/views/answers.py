"""What `fruits classify` says: a line per photo, then what is known of the fruits, in English or French."""

from collections.abc import Mapping
from typing import Any

from fruits.views.summaries import write_table

NO_FRUIT = "no fruit"
MOST_FACTS = 10  # fruits described; of more, `--json` has all
WORDS = {
    "en": {
        "head": ["photo", "fruit", "probability", "decision", "or else"],
        "sure": "sure",
        "not sure": "not sure",
        NO_FRUIT: "no fruit",
        "facts": "botanical name {}; {}; keep {}",
        "failed": "not read",
        "more": "and {} more fruits, in --json",
    },
    "fr": {
        "head": ["photo", "fruit", "probabilité", "décision", "sinon"],
        "sure": "sûr",
        "not sure": "pas sûr",
        NO_FRUIT: "pas un fruit",
        "facts": "nom botanique {} ; {} ; conserver {}",
        "failed": "non lue",
        "more": "et {} autres fruits, dans --json",
    },
}


def show_answers(result: Mapping[str, Any]) -> str:
    """Write a row per photo with its label, its probability and the next four, then facts and what was not read."""
    language, words = result["language"], WORDS[result["language"]]
    parts = [write_table(words["head"], [_write_row(each, words) for each in result["photos"]])]
    named = dict.fromkeys(each["label"] for each in result["photos"] if each["decision"] != NO_FRUIT)
    known = [label for label in named if result["information"][label]]
    facts = [_describe(label, result["information"][label], language) for label in known[:MOST_FACTS]]
    if len(known) > MOST_FACTS:
        facts.append(words["more"].format(len(known) - MOST_FACTS))
    parts.append("\n".join(facts))
    parts.append("\n".join(f"{each['photo']}: {words['failed']}, {each['error']}" for each in result["failed"]))
    return "\n\n".join(part for part in parts if part)


def _write_row(answer: Mapping[str, Any], words: Mapping[str, Any]) -> list[str | None]:
    if answer["decision"] == NO_FRUIT:
        return [answer["photo"], None, None, words[NO_FRUIT], ""]
    others = ", ".join(f"{each['label']} {each['probability']:.1%}" for each in answer["next"])
    return [answer["photo"], answer["label"], f"{answer['probability']:.1%}", words[answer["decision"]], others]


def _describe(label: str, facts: Mapping[str, str], language: str) -> str:
    told = WORDS[language]["facts"].format(
        facts["botanical_name"], facts[f"season_{language}"], facts[f"storage_{language}"]
    )
    return f"{label}: {facts[f'name_{language}']}\n    {told}"
