"""The README is true: every command and every piece of Python in it runs, every table in it is what the code says."""

import html
import os
import re
import runpy
import shlex
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from conftest import TINY, photo_set

from fruits import cli
from fruits.accumulate import MOMENTS
from fruits.bronze import BRONZE
from fruits.compare import COMPARISON
from fruits.gold import PCA, SPECTRUM
from fruits.platform.parameters import read
from fruits.platform.session import DELTA_PACKAGE
from fruits.platform.tables import Lake
from fruits.settings import Settings, as_text
from fruits.silver import SILVER

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()

# What the README says -> what is run here: few photos, a small network, few components.
SMALL = {
    "./mobilenet_v2.h5": str(TINY),
    "--photos 500": "--photos 20",
    "./lake-drawn --k 0.9": f"./lake-drawn --k 3 --weights {TINY} --tracking none",
    "--k 0.95": "--k 3",
    "--k 128": "--k 3",
    "--k-values 8,32,128": "--k-values 2,3",
    "fruits ui --lake ./lake": "fruits ui --lake ./lake --port 0",
    "k=64, k_values=[8, 32, 64]": "k=3, k_values=[2, 3]",
}


def blocks(language: str) -> list[str]:
    """Give the fenced blocks of a language, made small."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", README, re.M | re.S)
    for said, run in SMALL.items():
        found = [re.sub(rf"{re.escape(said)}(?!\d)", run, block) for block in found]
    return found


COMMANDS = [line for block in blocks("bash") for line in block.splitlines()]


def table_under(heading: str) -> list[list[str]]:
    """Give the cells of the first table under a heading, without their code marks."""
    section = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\|(.+)\|$", section, re.M)[2:]
    return [[html.unescape(cell).strip().strip("`") for cell in row.split(" | ")] for row in rows]


def test_there_is_something_to_run():
    assert len(COMMANDS) >= 15
    assert len(blocks("python")) >= 3
    assert {line.split()[1] for line in COMMANDS if line.startswith("fruits ")} == set(cli.COMMANDS)
    assert all(said in README for said in SMALL)


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_is_one_there_is(line):
    """Quickly, and without doing it: the words are known, and the settings are right."""
    parts = [part for part in shlex.split(line) if not re.fullmatch(r"SPARK_REMOTE=\S+", part)]
    match parts:
        case ["make", target, *variables]:
            dry = subprocess.run(
                ["make", "-n", "-o", ".venv/.ready", target, *variables], cwd=ROOT, capture_output=True
            )
            assert dry.returncode == 0, dry.stderr
            assert re.search(rf"^{target}:.*## ", (ROOT / "Makefile").read_text(), re.M)
            known = re.findall(r"^(\w+) \?=", (ROOT / "Makefile").read_text(), re.M)
            assert {variable.split("=")[0] for variable in variables} <= set(known)
        case ["source", ".venv/bin/activate"]:
            pass
        case ["fruits", *words]:
            arguments = cli._make_parser().parse_args(words)
            if arguments.command.settings is not None:
                cli.parse(arguments)
        case ["python", notebook, *words] | ["spark-submit", "--packages", _, notebook, *words]:
            assert (ROOT / notebook).is_file()
            assert parts[0] == "python" or parts[2] == DELTA_PACKAGE
            read(None, words)
        case _:
            pytest.fail(f"nothing here knows how to run {line!r}")


@pytest.mark.slow
@pytest.mark.usefixtures("excepthook")
def test_every_command_and_every_piece_of_python_does_its_work(tmp_path, monkeypatch, capsys):
    """In the order of the README, in one folder and in one session, which the first command opens.

    The steps that the commands call have tests of their own on both engines, and test_notebooks.py has real scripts.
    """
    monkeypatch.chdir(tmp_path)
    photos = photo_set(labels=2, training=4)
    for path, content in photos.items():
        file = tmp_path / "fruits-360" / path.replace("Fruit 0/0.jpg", "Apple Red 1/0_100.jpg")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    # Emptying the files of older versions takes most of the time of `fruits forget`; test_forget.py looks at them.
    monkeypatch.setattr(Lake, "erase_history", lambda *_: None)
    served = []
    monkeypatch.setattr(os, "execve", lambda file, command, environment: served.append(command))
    for line in COMMANDS:
        words = [part for part in shlex.split(line) if not re.fullmatch(r"SPARK_REMOTE=\S+", part)]
        if words[:2] in (["fruits", "databricks"], ["fruits", "emr"]):
            continue  # tests of their own have a workspace and an account for them
        if words[0] == "fruits":
            assert cli.main(words[1:]) == 0, f"{line}: {capsys.readouterr().err}"
        if words[0] in ("python", "spark-submit"):
            start = next(place for place, word in enumerate(words) if word.endswith(".py"))
            monkeypatch.setattr(sys, "argv", words[start:])
            runpy.run_path(str(ROOT / words[start]), run_name="__main__")
    assert len(served) == 1
    assert (tmp_path / "mobilenet.tflite").read_bytes() == TINY.read_bytes()
    assert "1 row erased from gold_pca" in capsys.readouterr().out
    told: dict[str, object] = {}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), told)
    told["mlflow"].set_tracking_uri(None)
    assert set(told["scores"].columns) == {"path", "label", "pca"}
    assert len(told["scores"]) == len(photos)  # the forgotten photo is in its folder still, and came back
    assert told["pca"].n_components_ == 3
    assert set(told["runs"]["params.k"].dropna()) >= {"2", "3"}


def test_the_table_of_commands_is_that_of_the_command_line():
    assert table_under("What to type") == [[f"fruits {name}", command.help] for name, command in cli.COMMANDS.items()]


def test_the_table_of_settings_is_that_of_the_code():
    for (name, default, meaning), setting in zip(table_under("Settings"), fields(Settings), strict=True):
        choices = ", ".join(setting.metadata["choices"])
        assert (name, default) == (setting.name, as_text(setting.default) or "-")
        assert meaning == setting.metadata["help"] + (f" ({choices})" if choices else "")


def test_the_table_of_tables_is_that_of_the_code():
    rows = {name: (key, columns.split(", ")) for name, key, columns in table_under("The tables")}
    tables = (BRONZE, SILVER, MOMENTS, SPECTRUM, PCA, COMPARISON)
    assert list(rows) == [table.name for table in tables]
    for table in tables:
        key, columns = rows[table.name]
        assert columns == [column.split()[0] for column in table.schema.split(", ")]
        assert set(key.split(", ")) <= set(columns)


def test_the_tree_is_the_tree():
    tree = README.split("\n## The tree\n")[1]
    shown = re.findall(r"^  ([\w/.]+)", tree, re.M)
    there = [file.name for file in (ROOT / "src" / "fruits").glob("*.py") if file.name[0] != "_"]
    assert {name for name in shown if name.endswith(".py")} == set(there) - {"errors.py", "classifier_model.py"}
    assert all((ROOT / "src" / "fruits" / name).exists() for name in shown)
    for name in re.findall(r"\d\d_\w+\.py", README):
        assert (ROOT / "notebooks" / name).is_file()
    for name in re.findall(r"\]\(([\w./-]+\.(?:md|html|webp))[)#]", README):
        assert (ROOT / name).is_file()


def test_the_pictures_are_small_and_say_in_words_what_they_show():
    pictures = re.findall(r"!\[(.*)\]\((docs/pictures/[\w-]+\.webp)\)", README)
    assert len(pictures) == 3 and all(len(said) > 60 for said, _ in pictures)
    assert sorted(ROOT / name for _, name in pictures) == sorted(ROOT.glob("docs/pictures/*"))
    assert all((ROOT / name).stat().st_size < 150_000 for _, name in pictures)


def test_make_lets_python_keep_what_it_compiled_where_a_container_does_not():
    told = {"PYTHONDONTWRITEBYTECODE": "1", "KEPT": "1"}
    command, rule = ["make", "-f", "Makefile", "-f", "-", "shown"], "shown: ; @env\n"
    shown = subprocess.check_output(command, input=rule, cwd=ROOT, env=os.environ | told, text=True)
    assert [name for name in told if f"\n{name}=" in f"\n{shown}"] == ["KEPT"]


def test_contributing_lists_the_targets_there_are():
    targets = re.findall(r"^([a-z0-9-]+):.*## ", (ROOT / "Makefile").read_text(), re.M)
    assert re.findall(r"^\| `make ([a-z0-9-]+)` \|", (ROOT / "CONTRIBUTING.md").read_text(), re.M) == targets
