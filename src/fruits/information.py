"""What people want to know of a fruit: its names, when it is in season in France, how to keep it.

`species.csv` has a line per species, and per variety where something differs; `storage.csv` says each way of keeping
once, in two languages. Names of plants follow Plants of the World Online (Kew) and, for what growers call otherwise,
the trade; seasons the calendars of Interfel and of ADEME, for produce of France where there is any, else for what is
imported; keeping follows Kader, Thompson, Sylva and Harris, Storing Fresh Fruits and Vegetables for Better Taste
(University of California), and FoodKeeper (USDA). The words are our own. Months and days are rules of thumb.
"""

import csv
from functools import cache
from importlib import resources

LANGUAGES = ("en", "fr")
MONTHS = {
    "en": "January,February,March,April,May,June,July,August,September,October,November,December",
    "fr": "janvier,février,mars,avril,mai,juin,juillet,août,septembre,octobre,novembre,décembre",
}
SEASONS = {
    "en": {"france": "from France", "import": "imported", "span": "{}, {} to {}", "always": "{}, all year"},
    "fr": {"france": "de France", "import": "d'importation", "span": "{}, {} à {}", "always": "{}, toute l'année"},
}
FIELDS = ("botanical_name", *(f"{what}_{language}" for language in LANGUAGES for what in ("name", "season", "storage")))


@cache
def describe_fruit(label: str) -> dict[str, str] | None:
    """Give what is known of a label: FIELDS; None where its words begin like those of no species we know.

    The longest line wins whose words the label begins with: `Apple Braeburn` has one of its own, `Apple Red 3` that of
    `Apple Red`, `Applewood` none.
    """
    words = label.split()
    for end in range(len(words), 0, -1):
        if (row := _read("species").get(" ".join(words[:end]))) is not None:
            break
    else:
        return None
    told = {"botanical_name": row["botanical_name"]}
    for language in LANGUAGES:
        told[f"name_{language}"] = row[f"name_{language}"]
        told[f"season_{language}"] = _say_season(row["origin"], row["months"], language)
        told[f"storage_{language}"] = _read("storage")[row["storage"]][language]
    return told


def _say_season(origin: str, months: str, language: str) -> str:
    """Write `9-4` as people say it; it may pass over the end of the year."""
    words = SEASONS[language]
    first, last = (int(month) for month in months.split("-"))
    if (first, last) == (1, 12):
        return words["always"].format(words[origin])
    names = MONTHS[language].split(",")
    return words["span"].format(words[origin], names[first - 1], names[last - 1])


@cache
def _read(table: str) -> dict[str, dict[str, str]]:
    """Read a table of this package, by its first column."""
    lines = resources.files(__package__).joinpath(f"{table}.csv").read_text(encoding="utf-8").splitlines()
    rows = csv.DictReader(lines)
    return {row[rows.fieldnames[0]]: row for row in rows}
