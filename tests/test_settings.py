"""Every parameter of the chain has one home, says what it is, and refuses what it cannot be."""

import ast
import re
from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path

import numpy as np
import pytest

from fruits.errors import SettingError
from fruits.settings import Settings, as_text, from_text, names

SOURCE = Path(__file__).parents[1] / "src" / "fruits"

# Setting: (texts and the values they read as, texts that are refused). A new setting needs a line here.
TEXTS = {
    "images": ([("./photos", "./photos"), (" s3://b/p ", "s3://b/p")], []),
    "lake": ([("main.fruits", "main.fruits")], []),
    "weights": ([("a b.h5", "a b.h5")], []),
    "input_size": ([("0", 0), ("96", 96)], ["31", "1025", "-1", "9.5", "big"]),
    "precision": ([("int8", "int8")], ["float16", "INT8"]),
    "k": ([("0.9", 0.9), ("128", 128), ("128.0", 128), ("1", 1)], ["0", "1281", "2.5", "-3", "abc", "nan", "inf"]),
    "k_values": ([("8,32", (8, 32)), ("8 32, 8", (8, 32)), ("4", (4,))], ["0", "8,1281", "a,b", "2.5", ","]),
    "sync": ([("mirror", "mirror")], ["delete"]),
    "test_fraction": ([("0", 0.0), ("1", 1.0), ("0.25", 0.25)], ["-0.1", "1.1", "nan", "half"]),
    "max_bytes": ([("1", 1)], ["0", "64MB"]),
    "chunk": ([("500", 500)], ["0", "-5", "many"]),
    "promote": ([("always", "always"), ("never", "never")], ["yes"]),
    "experiment": ([("/Shared/x", "/Shared/x")], []),
    "pca_model": ([("main.fruits.apples", "main.fruits.apples")], ["fruits_classifier"]),
    "classifier_model": ([("kinds", "kinds")], []),
    "tracking": ([("none", "none"), ("sqlite:///x.db", "sqlite:///x.db")], []),
}


def test_every_setting_says_what_it_is():
    for each in fields(Settings):
        assert re.fullmatch(r"\w.{15,}[^. ]", each.metadata["help"]), each.name
        if each.metadata["choices"]:
            assert each.default in each.metadata["choices"], each.name


def test_the_texts_tried_here_cover_every_setting():
    assert list(TEXTS) == names()


@pytest.mark.parametrize(
    ("name", "text", "value"), [(name, *pair) for name, (good, _) in TEXTS.items() for pair in good]
)
def test_a_text_reads_as_the_type_of_its_setting(name, text, value):
    read = getattr(from_text({name: text}), name)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, (_, bad) in TEXTS.items() for text in bad])
def test_a_wrong_text_is_refused_in_one_line_that_names_the_setting(name, text):
    with pytest.raises(SettingError, match=rf"^{name}\b.*[^\n]$") as refused:
        from_text({name: text})
    assert "\n" not in str(refused.value)


def test_a_wrong_number_says_what_to_try():
    with pytest.raises(SettingError, match=r"k='abc' is not a number; try k=0\.95"):
        from_text({"k": "abc"})
    with pytest.raises(SettingError, match=r"k=2\.5 is neither a count from 1 to 1280 nor a share .*; try k=128"):
        from_text({"k": "2.5"})


def test_an_empty_text_means_the_default():
    assert from_text(dict.fromkeys(names(), " ")) == Settings()


def test_an_unknown_name_is_refused_and_the_known_ones_are_listed():
    with pytest.raises(SettingError, match=r"unknown setting 'ks'; there are images, .*k_values"):
        from_text({"ks": "1"})


def test_a_blank_lake_in_python_is_refused():
    with pytest.raises(SettingError, match="lake is empty"):
        Settings(lake="  ")


def test_every_value_survives_being_written_and_read_again():
    settings = Settings("p", "l", "w.h5", 96, "int8", 12, (4, 8), "mirror", 0.5, 9, 7, "never", "e", "p", "c", "none")
    assert all(getattr(settings, each.name) != each.default for each in fields(Settings))
    assert from_text({name: as_text(getattr(settings, name)) for name in names()}) == settings


def test_python_values_are_taken_as_people_write_them():
    settings = Settings(images=Path("photos"), k_values=[8, 32], k=np.int64(12), test_fraction=0)
    assert (settings.images, settings.k_values, settings.k) == ("photos", (8, 32), 12)
    assert from_text({"k": as_text(settings.k)}).k == 12


@pytest.mark.parametrize("wrong", [{"k": "128"}, {"k": True}, {"k_values": 8}, {"chunk": 2.5}, {"lake": None}])
def test_a_value_of_another_type_is_refused(wrong):
    with pytest.raises(SettingError, match=rf"^{next(iter(wrong))}=.* is a \w+; give a \w+$"):
        Settings(**wrong)


def test_settings_are_frozen_and_a_variant_is_checked():
    settings = Settings()
    with pytest.raises(FrozenInstanceError):
        settings.k = 3
    with pytest.raises(SettingError, match="k=0 "):
        replace(settings, k=0)


def test_no_function_has_a_default_for_a_setting():
    """A default has one home: a parameter or a constant called like a setting, with a value, would be another."""
    found = []
    for file in SOURCE.rglob("*.py"):
        if file.name == "settings.py":
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                positional = node.args.posonlyargs + node.args.args
                with_default = positional[len(positional) - len(node.args.defaults) :]
                with_default += [
                    arg for arg, value in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True) if value
                ]
                found += [f"{file.name}: {node.name}({arg.arg}=)" for arg in with_default if arg.arg in names()]
    assert found == []
