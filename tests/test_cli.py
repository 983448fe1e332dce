"""The command line: what it says, where it says it, and its exit status."""

import json
import logging
import os
import re
import shlex
import socket
from pathlib import Path

import pytest
from conftest import TINY

from fruits import cli
from fruits.errors import FruitsError
from fruits.settings import names

ALL = ["run", "bronze", "silver", "gold", "compare"]


@pytest.fixture
def no_spark(monkeypatch):
    """Spark must not start: what is wrong was to be found before."""

    def start(_):
        raise AssertionError("Spark was started")

    monkeypatch.setattr("fruits.platform.session.open_session", start)


@pytest.fixture
def fruits(capsys):
    """Run a command in this process: (status, standard output, standard error)."""

    def run(*line: object) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            status = cli.main([str(part) for part in line])
        except SystemExit as ended:
            status = ended.code
        return status, *capsys.readouterr()

    return run


# What it says


def test_no_command_prints_the_help_and_is_wrong_use(fruits):
    status, out, err = fruits()
    assert (status, out) == (2, "")
    assert all(re.search(rf"^    {name}\b", err, re.M) for name in cli.COMMANDS)


def every_command(commands, *above):
    """Give the words of every command, those below others too, and the command."""
    for name, command in commands.items():
        yield (*above, name), command
        yield from every_command(command.below, *above, name)


def test_the_help_of_every_command_says_what_it_does_and_shows_lines_that_parse(fruits):
    for words, command in every_command(cli.COMMANDS):
        status, out, _ = fruits(*words, "--help")
        assert status == 0
        assert command.help in " ".join(out.split())
        examples = re.findall(r"^example: fruits (.+)$", out, re.M)
        parsed = [cli._make_parser().parse_args(shlex.split(example)).command for example in examples]
        assert parsed == (list(command.below.values()) or [command])
        assert all(tuple(example.split()[: len(words)]) == words for example in examples)


def test_every_step_takes_every_setting_and_shows_choices_and_defaults(fruits):
    for name in ALL:
        shown = fruits(name, "--help")[1]
        assert re.findall(r"^  --([a-z-]+) [A-Zfka]", shown, re.M) == [each.replace("_", "-") for each in names()]
        assert "--sync keep|mirror" in shown
        assert "(default: 0.95)" in shown


def test_the_version_is_that_of_the_package(fruits):
    assert fruits("--version")[:2] == (0, "fruits 0.1.0\n")


# Wrong use


@pytest.mark.usefixtures("no_spark")
@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("run", "images is empty"),
        ("bronze --images nowhere", "images='nowhere' is not a folder"),
        ("run --images a_file", "images='a_file' is not a folder"),
        *((f"run --images . --k={k}", f"k='?{k}'? is ") for k in ("0", "1281", "2.5", "abc", "nan", "-1")),
        ("gold --k-values 8,abc", "k_values='8,abc' is not a list of whole numbers"),
        ("gold --lake a_file", "lake='a_file' is, or is under, a file"),
        ("gold --lake a_file/lake", "lake='a_file/lake' is, or is under, a file"),
        ("gold --lake a.b.c", "lake='a.b.c' has too many parts"),
        ("status --lake https://example.org/lake", "lake='https://example.org/lake' is no place for tables"),
        ("forget --lake s3:// x.jpg", "lake='s3://' is no place for tables"),
        ("silver --weights none.h5", "weights='none.h5' is not a file"),
        ("run --images . --weights a_file", "weights='a_file' is neither an .h5 nor a .tflite"),
        (f"run --images . --weights {TINY} --input-size 64", "input_size=64 does not fit"),
        ("run --images . --sync both", "sync='both' is not one of keep, mirror"),
        ("run --imagse .", "unrecognized arguments: --imagse .; see fruits --help"),
        ("run --image .", "unrecognized arguments: --image ."),
        ("run --k", "argument --k: expected one argument; see fruits run --help"),
        ("gild", "argument COMMAND: invalid choice: 'gild'"),
        ("databricks", "the following arguments are required: COMMAND; see fruits databricks --help"),
        ("databricks promote", "the following arguments are required: VERSION"),
        ("forget --lake .", "the following arguments are required: PHOTO"),
        ("samples", "the following arguments are required: DIR"),
        ("samples drawn --photos 0", "photos=0 is below 1"),
        ("samples drawn --photos many", "argument --photos: invalid int value: 'many'"),
        ("network out.h5", "'out.h5' is not a file name that ends in .tflite"),
        ("network nowhere/out.tflite", "'nowhere' is not a folder to write to"),
        (f"network out.tflite --weights {TINY} --precision int8", "precision=int8 cannot change a made network"),
        ("report --to report.pdf", "--to 'report.pdf' is not a file name that ends in .html"),
        ("report --to nowhere/report.html", "'nowhere' is not a folder to write to"),
        ("report --language de", "argument --language: invalid choice: 'de'"),
        ("deck --to deck.pdf", "--to 'deck.pdf' is not a file name that ends in .pptx"),
        ("deck --to nowhere/deck.pptx", "'nowhere' is not a folder to write to"),
        ("ui --lake s3://bucket/lake", "no MLflow store is known for this lake"),
    ],
)
def test_wrong_use_is_one_line_and_status_2_before_spark_starts(fruits, tmp_path, monkeypatch, line, says):
    monkeypatch.chdir(tmp_path)
    Path("a_file").write_bytes(b"no folder")
    status, out, err = fruits(*shlex.split(line))
    assert (status, out) == (2, "")
    assert re.fullmatch(rf"fruits: {says if 'k=' in says[:2] else re.escape(says)}.*\n", err)
    assert [file.name for file in tmp_path.iterdir()] == ["a_file"]


@pytest.mark.usefixtures("no_spark")
@pytest.mark.parametrize("command", ["status", "report", "deck", "ui"])
def test_a_lake_that_was_never_written_is_one_line_and_status_1(fruits, tmp_path, monkeypatch, command):
    monkeypatch.setattr(os, "execve", lambda *_: pytest.fail("a server was started"))
    lake = tmp_path / "lake"
    for _ in range(2):  # not there; there and empty
        status, out, err = fruits(command, "--lake", lake)
        assert (status, out) == (1, "")
        assert re.fullmatch(r"fruits: .*`fruits run`.*\n", err)
        lake.mkdir(exist_ok=True)
    assert not list(lake.iterdir())


# What ends badly


def failing(monkeypatch, error: BaseException) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("fruits.samples.draw_samples", fail)


def test_a_failure_that_was_foreseen_is_one_line_and_status_1(fruits, monkeypatch):
    failing(monkeypatch, FruitsError("the disk is full"))
    assert fruits("samples", "drawn") == (1, "", "fruits: the disk is full\n")


def test_ctrl_c_is_one_line(fruits, monkeypatch):
    failing(monkeypatch, KeyboardInterrupt())
    status, out, err = fruits("samples", "drawn", "--json")
    assert (status, out) == (1, "")
    assert re.fullmatch(r"fruits: stopped; .*continues.*\n", err)


def test_what_nobody_foresaw_is_one_line_that_says_how_to_see_more(fruits, monkeypatch):
    failing(monkeypatch, ValueError("An error occurred while calling o1.\n: org.Boom: why\n\tat Some.java"))
    monkeypatch.delenv("FRUITS_DEBUG", raising=False)
    status, out, err = fruits("samples", "drawn")
    assert (status, out) == (1, "")
    assert err.count("\n") == 1
    assert err.startswith("fruits: ValueError: An error occurred while calling o1. : org.Boom: why; set FRUITS_DEBUG=1")
    monkeypatch.setenv("FRUITS_DEBUG", "1")
    status, _, err = fruits("samples", "drawn")
    assert status == 1
    assert "Traceback" in err
    assert "in fail" in err


def test_without_pyspark_it_says_what_to_install(fruits, monkeypatch, tmp_path):
    failing(monkeypatch, ModuleNotFoundError("No module named 'pyspark'", name="pyspark"))
    assert fruits("samples", tmp_path) == (1, "", "fruits: Spark is not installed here; pip install 'fruits[local]'\n")


# What it does


def test_run_does_the_steps_in_order_and_a_step_does_its_own(fruits, place, monkeypatch):
    here, done = place(), []
    monkeypatch.setattr("fruits.platform.session.open_session", lambda _: "a session")

    def put(step: str, verb: str) -> None:
        monkeypatch.setattr(f"fruits.{step}.{verb}", lambda spark, given: done.append((step, given.k)) or {"n": 1})

    put("bronze", "ingest_photos")
    put("silver", "featurise_photos")
    put("gold", "reduce_features")
    put("compare", "compare_components")
    options = ["--images", here.images, "--lake", here.lake, "--weights", TINY, "--k", "3", "--json"]
    assert list(json.loads(fruits("run", *options)[1])) == ["lake", *ALL[1:]]
    assert done == [(step, 3) for step in ALL[1:]]
    for step in ALL[1:]:
        done.clear()
        status, out, err = fruits(step, *options)
        assert (status, list(json.loads(out))) == (0, ["lake", step])
        assert done == [(step, 3)]
        assert re.fullmatch(rf"{step}: done in 0\.\d s\n", err)


def test_a_photo_that_no_table_had_is_status_1_and_said(fruits, tmp_path, monkeypatch):
    monkeypatch.setattr("fruits.platform.session.open_session", lambda _: "a session")
    monkeypatch.setattr("fruits.forget.forget_photos", lambda *_: {"erased": {"gold_pca": 1}, "not_found": asked[1:]})
    for asked, expected in ((["a.jpg"], 0), (["a.jpg", "b.jpg"], 1)):
        status, out, _ = fruits("forget", "--lake", tmp_path, *asked)
        assert (status, "not found: b.jpg" in out) == (expected, bool(expected))
        status, out, _ = fruits("forget", "--lake", tmp_path, *asked, "--json")
        assert (status, json.loads(out)["not_found"]) == (expected, asked[1:])


def test_a_step_whose_input_is_missing_says_what_to_run_first(spark, fruits, tmp_path):
    for step, before in (("silver", "bronze"), ("gold", "silver"), ("compare", "silver")):
        status, out, err = fruits(step, "--lake", tmp_path / "lake", "--weights", TINY, "--tracking", "none")
        assert (status, out) == (1, "")
        assert re.fullmatch(rf"fruits: .*run `fruits {before}` first\n", err)


def test_of_what_py4j_logs_when_it_is_interrupted_nothing_is_said(spark, fruits, tmp_path, caplog):
    assert fruits("silver", "--lake", tmp_path / "lake")[0] == 1  # it has opened the session
    caplog.clear()
    logging.error("KeyboardInterrupt while sending command.")
    for words in ("Exception occurred while shutting down connection", "an error of another kind"):
        logging.getLogger("py4j.clientserver").error(words)
    assert [record.getMessage() for record in caplog.records] == ["an error of another kind"]


def test_a_folder_without_a_photo_is_status_1(spark, fruits, tmp_path):
    status, _, err = fruits("bronze", "--images", tmp_path, "--lake", tmp_path / "lake")
    assert status == 1
    assert "no photo under images=" in err.splitlines()[-1]


def test_samples_are_drawn_where_asked(fruits, tmp_path):
    status, out, _ = fruits("samples", tmp_path / "drawn", "--photos", 40, "--json")
    assert (status, json.loads(out)["photos"]) == (0, 40)
    assert len(list(tmp_path.glob("drawn/*/*/*.jpg"))) == 40


def test_a_network_is_written_where_asked(fruits, tmp_path):
    status, out, _ = fruits("network", tmp_path / "copy.tflite", "--weights", TINY, "--json")
    assert (status, json.loads(out)["input_size"]) == (0, 32)
    assert (tmp_path / "copy.tflite").read_bytes() == TINY.read_bytes()


# The pages of MLflow


def test_ui_becomes_the_server_of_the_lakes_store(fruits, tmp_path, monkeypatch):
    monkeypatch.setattr("fruits.platform.ui.open_tracking", lambda *_, create: "a store")
    monkeypatch.setattr("fruits.platform.ui.view_address", lambda store: f"/#{store}")
    became = []
    monkeypatch.setattr(os, "execve", lambda file, command, environment: became.append((command, environment)))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        status, _, err = fruits("ui", "--lake", tmp_path, "--port", port)
        assert (status, became) == (2, [])
        assert re.fullmatch(rf"fruits: port={port} is taken .*\n", err)
    status, out, err = fruits("ui", "--lake", tmp_path, "--port", port)
    [(command, environment)] = became
    assert (status, out) == (0, "")
    assert f"http://127.0.0.1:{port}/#a store\n" in err
    assert command[1:6] == ["-m", "mlflow", "ui", "--backend-store-uri", f"sqlite:///{tmp_path}/mlflow.db"]
    assert environment.items() >= os.environ.items()


def test_ui_says_where_the_runs_are_when_a_server_has_them(fruits, monkeypatch):
    monkeypatch.setattr(os, "execve", lambda *_: pytest.fail("a server was started"))
    status, _, err = fruits("ui", "--tracking", "https://mlflow.example.org")
    assert (status, err) == (0, "ui: the runs are on a server already: https://mlflow.example.org\n")
