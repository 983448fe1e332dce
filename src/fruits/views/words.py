"""Texts of a page in the language of its readers, and numbers as they write them."""

import re
import tomllib
from datetime import datetime
from importlib.resources import files
from typing import Any

LANGUAGES = ("en", "fr")
NARROW = "\u202f"  # a narrow space that breaks no line


class Words:
    """What a page says in one language. Texts come from `texts/<language>.toml`, the same names in each."""

    def __init__(self, language: str, texts: str = "") -> None:
        """Read the texts of a language, one of LANGUAGES; `texts` names another file than that of the page."""
        self.language = language
        # Through the loader: the package may be in a zip.
        text = files(__package__).joinpath("texts", f"{texts or language}.toml").read_text("utf-8")
        if language == "fr":
            text = re.sub(
                r"(?<=\S) (?=[:;?!%»])|(?<=«) |(?<=\d) (?=\d{3}\b)", NARROW, text
            )  # no line begins with a colon, no number is cut
        self.texts = tomllib.loads(text)

    def say(self, name: str, **values: Any) -> str:
        """Give a text, `section.name`, with values put in; with `n`, of a text in one and many, the right one."""
        text: Any = self.texts
        for part in name.split("."):
            text = text[part]
        if isinstance(text, dict):
            text = text["one" if values["n"] in (0, 1) and (values["n"] or self.language == "fr") else "many"]
        return text.format(**{key: self.number(value) for key, value in values.items()}) if values else text

    def number(self, value: Any, digits: int = 0) -> Any:
        """Write a number with its thousands apart; anything else stays as it is."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return value
        english = f"{value:,.{digits}f}"
        if self.language == "en":
            return english
        whole, _, part = english.partition(".")
        return whole.replace(",", NARROW) + (f",{part}" if part else "")

    def share(self, value: float | None, digits: int = 1) -> str:
        """Write a share as a percentage; a dash for none."""
        if value is None:
            return "-"
        return self.number(100 * value, digits) + self.percent

    @property
    def percent(self) -> str:
        return "%" if self.language == "en" else NARROW + "%"

    def seconds(self, value: float) -> str:
        """Write a duration: 4.1 s, 46 s, 3 min 14 s."""
        if value < 10:
            return f"{self.number(value, 1)} s"
        minutes, rest = divmod(round(value), 60)
        return f"{self.number(minutes)} min {rest} s" if minutes else f"{rest} s"

    def moment(self, when: datetime) -> str:
        """Write a day and an hour, in UTC."""
        return when.strftime(self.texts["moment"])
