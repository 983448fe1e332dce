"""Every parameter of the chain, once: the command line, the widgets and the job parameters all come from here."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from numbers import Integral, Real
from typing import Any

from fruits.errors import SettingError

MAX_COMPONENTS = 1280  # what MobileNetV2's average pooling gives, whatever its alpha


def _setting(default: Any, help: str, choices: tuple[str, ...] = ()) -> Any:
    return field(default=default, metadata={"help": help, "choices": choices})


@dataclass(frozen=True)
class Settings:
    """Parameters of the chain. Make a variant with `dataclasses.replace(settings, k=64)`.

    Raises:
        SettingError: a value is out of its range or of another type; the message names it and gives values that work.
    """

    images: str = _setting("", "folder or URI of the photos, laid out [<split>/]<label>/<file>")
    lake: str = _setting("lake", "where the tables live: catalog.schema, a folder or an s3:// URI")
    weights: str = _setting(
        "fruits", "network weights: fruits (in the package), imagenet, or the path or URI of an .h5 or a .tflite"
    )
    input_size: int = _setting(0, "side in pixels of what the network sees; 0 for its own (224 for imagenet)")
    precision: str = _setting("float32", "arithmetic of the network", ("float32", "int8"))
    k: float = _setting(0.95, "components to keep (1 to 1280), or the share of variance to reach (between 0 and 1)")
    k_values: tuple[int, ...] = _setting((8, 32, 64, 128, 256, 512), "numbers of components to compare, with commas")
    sync: str = _setting(
        "keep", "photos that left the folder: keep their rows, or mirror the folder", ("keep", "mirror")
    )
    test_fraction: float = _setting(0.2, "share of Test among the photos that no Training or Test folder holds")
    max_bytes: int = _setting(64 * 2**20, "a larger file keeps a row with an error and is not read")
    chunk: int = _setting(20_000, "photos committed at a time; a killed run loses at most one chunk")
    promote: str = _setting(
        "first",
        "champion alias of the new model version: when there is none, always or never",
        ("first", "always", "never"),
    )
    experiment: str = _setting("fruits", "name of the MLflow experiment")
    pca_model: str = _setting(
        "fruits_pca", "registered name of the PCA; without a dot it is in the lake's schema, if that has one"
    )
    classifier_model: str = _setting("fruits_classifier", "registered name of the classifier, likewise")
    tracking: str = _setting("", "MLflow tracking URI, or none; empty for MLFLOW_TRACKING_URI or the lake's own")

    def __post_init__(self) -> None:
        """Check every value that can be checked without touching a file."""
        for each in fields(self):
            object.__setattr__(self, each.name, _check_type(each.name, getattr(self, each.name), each.default))
        if not (0 < self.k < 1 or self.k in range(1, MAX_COMPONENTS + 1)):
            raise SettingError(
                f"k={self.k:g} is neither a count from 1 to {MAX_COMPONENTS} nor a share between 0 and 1; "
                "try k=128 or k=0.95"
            )
        for k in self.k_values:
            if k not in range(1, MAX_COMPONENTS + 1):
                raise SettingError(f"k_values has {k}, outside 1 to {MAX_COMPONENTS}; try k_values=8,32,128")
        if not self.k_values:
            raise SettingError("k_values is empty; try k_values=8,32,128")
        if self.input_size and self.input_size not in range(32, 1025):
            raise SettingError(f"input_size={self.input_size} is outside 32 to 1024; try input_size=224, or 0")
        if not 0 <= self.test_fraction <= 1:
            raise SettingError(f"test_fraction={self.test_fraction:g} is outside 0 to 1; try test_fraction=0.2")
        for name in ("max_bytes", "chunk"):
            if getattr(self, name) < 1:
                raise SettingError(f"{name}={getattr(self, name)} is below 1; leave it out for the default")
        if not self.lake.strip():
            raise SettingError("lake is empty; try lake=./lake, lake=main.fruits or lake=s3://bucket/lake")
        if self.pca_model == self.classifier_model:
            raise SettingError(f"pca_model and classifier_model are both {self.pca_model!r}; give them two names")
        for each in fields(self):
            choices = each.metadata["choices"]
            if choices and getattr(self, each.name) not in choices:
                raise SettingError(f"{each.name}={getattr(self, each.name)!r} is not one of {', '.join(choices)}")


def names() -> list[str]:
    """Names of all settings: options, widgets and job parameters are called the same."""
    return [each.name for each in fields(Settings)]


def from_text(values: Mapping[str, str]) -> Settings:
    """Make settings from texts, as a command line, a widget or a job parameter gives them; empty means the default.

    Args:
        values: name to text; a name that is not a setting is an error.

    Raises:
        SettingError: an unknown name, a text that does not read as its type, or a value out of range.
    """
    known = {each.name: each.default for each in fields(Settings)}
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise SettingError(f"unknown setting {unknown[0]!r}; there are {', '.join(known)}")
    return Settings(**{name: _read(name, text.strip(), known[name]) for name, text in values.items() if text.strip()})


def as_text(value: Any) -> str:
    """Write a setting's value the way from_text reads it."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _read(name: str, text: str, default: Any) -> Any:
    """Read one text as the type of the setting's default."""
    try:
        if isinstance(default, tuple):
            return tuple(dict.fromkeys(int(part) for part in re.split(r"[,\s]+", text) if part))
        if isinstance(default, int):
            return int(text)
        if isinstance(default, float):
            number = float(text)
            return int(number) if name == "k" and number.is_integer() else number
    except ValueError:
        what = {int: "a whole number", float: "a number", tuple: "a list of whole numbers"}[type(default)]
        raise SettingError(f"{name}={text!r} is not {what}; try {name}={as_text(default)}") from None
    return text


def _check_type(name: str, value: Any, default: Any) -> Any:
    """Check that a value given in Python has the type of its setting; a list and a path are as good as theirs."""
    if isinstance(default, str) and isinstance(value, str | os.PathLike):
        return os.fspath(value)
    if isinstance(default, tuple) and isinstance(value, list | tuple | range):
        return tuple(_check_type(name, each, 0) for each in value)
    if isinstance(default, int | float) and isinstance(value, Integral) and not isinstance(value, bool):
        return int(value)
    if isinstance(default, float) and isinstance(value, Real) and not isinstance(value, bool):
        return float(value)
    raise SettingError(f"{name}={value!r} is a {type(value).__name__}; give a {type(default).__name__}")
