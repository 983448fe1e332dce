"""The same names and the same values from a command line, from widgets and from job parameters."""

import json
import subprocess
import sys
from argparse import Namespace

import pytest

from fruits.errors import SettingError
from fruits.platform import parameters
from fruits.settings import Settings, as_text, from_text, names

pytestmark = pytest.mark.usefixtures("excepthook")  # read() replaces it

VALUES = {
    "images": "./p",
    "lake": "main.fruits",
    "weights": "w.h5",
    "input_size": "96",
    "precision": "int8",
    "k": "12",
    "k_values": "4,8",
    "sync": "mirror",
    "test_fraction": "0.5",
    "max_bytes": "9",
    "chunk": "7",
    "promote": "never",
    "experiment": "e",
    "pca_model": "main.fruits.p",
    "classifier_model": "main.fruits.c",
    "tracking": "none",
}


class Dbutils:
    """As much of Databricks' dbutils as a notebook needs; job parameters win over widget defaults, as there."""

    def __init__(self, **job_parameters: str) -> None:
        self.widgets = self.notebook = self.jobs = self.taskValues = self
        self.job, self.declared, self.values, self.result = job_parameters, {}, {}, None

    def text(self, name: str, default: str, label: str) -> None:
        assert isinstance(default, str)
        assert label
        self.declared[name] = default

    def get(self, name: str) -> str:
        return self.job.get(name, self.declared[name])

    def set(self, key: str, value: str) -> None:
        assert isinstance(value, str)  # a condition of a job compares texts
        self.values[key] = value

    def exit(self, result: str) -> None:
        self.result = result


def test_one_set_of_names_drives_command_line_widgets_and_job_parameters():
    dbutils = Dbutils()
    parameters.read(dbutils)
    parser = parameters.Parser()
    parameters.add_arguments(parser)
    assert list(VALUES) == names() == list(dbutils.declared) == list(vars(parser.parse_args([])))


def test_command_line_and_widgets_give_the_same_settings():
    line = [part for name, value in VALUES.items() for part in (f"--{name.replace('_', '-')}", value)]
    assert parameters.read(None, line) == parameters.read(Dbutils(**VALUES)) == from_text(VALUES)


def test_an_option_may_be_spelt_with_underscores_as_a_job_parameter():
    assert parameters.read(None, ["--k_values", "3,4", "--input_size", "64"]) == Settings(
        k_values=(3, 4), input_size=64
    )


def test_widgets_show_the_defaults_and_untouched_they_are_the_defaults():
    dbutils = Dbutils()
    assert parameters.read(dbutils) == Settings() == parameters.read(None, [])
    assert dbutils.declared == {name: as_text(getattr(Settings(), name)) for name in names()}


def test_a_wrong_widget_raises_where_the_notebook_shows_it():
    with pytest.raises(SettingError, match="k=0 "):
        parameters.read(Dbutils(k="0"))


@pytest.mark.parametrize("line", [["--k", "0"], ["--no-such", "1"], ["--k-val", "4"], ["--sync", "x"], ["--chunk"]])
def test_a_wrong_command_line_is_one_line_and_status_2(line, capsys):
    with pytest.raises(SystemExit) as ended:
        parameters.read(None, line)
    assert ended.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_help_shows_every_option_once_with_its_choices_and_default(capsys):
    with pytest.raises(SystemExit) as ended:
        parameters.read(None, ["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert ended.value.code == 0
    assert "--k-values" in shown
    assert "--k_values" not in shown
    assert "--sync keep|mirror" in shown
    assert "(default: 0.95)" in shown


def test_parse_leaves_out_what_is_no_setting():
    assert parameters.parse(Namespace(k="3", json=True, work=print)) == Settings(k=3)


def test_the_summary_is_handed_to_the_job_and_nowhere_else():
    dbutils = Dbutils()
    parameters.hand_over(dbutils, {"k": 3, "label": "Pêche"})
    parameters.hand_over(None, {"k": 3})
    assert json.loads(dbutils.result) == {"k": 3, "label": "Pêche"}


def test_what_the_job_decides_by_is_asked_for_in_a_job_only():
    dbutils = Dbutils()
    parameters.hand_over(dbutils, {"new": 0}, has_work=lambda: True, photos=lambda: 3)
    assert dbutils.values == {"has_work": "true", "photos": "3"}
    assert json.loads(dbutils.result) == {"new": 0, "has_work": True, "photos": 3}
    parameters.hand_over(None, {"new": 0}, has_work=lambda: pytest.fail("asked"))


@pytest.mark.parametrize(
    ("error", "status", "lines"),
    [
        ("fruits.errors.SettingError('x is wrong')", 2, ["fruits: x is wrong"]),
        ("fruits.errors.FruitsError('x failed')", 1, ["fruits: x failed"]),
        ("ValueError('a bug')", 1, None),
    ],
)
def test_an_error_a_script_does_not_catch_is_one_line_with_its_status(error, status, lines):
    script = f"import fruits.errors; from fruits.platform import parameters; parameters.read(); raise {error}"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ended.returncode == status
    assert ended.stderr.splitlines() == lines if lines else "Traceback" in ended.stderr
