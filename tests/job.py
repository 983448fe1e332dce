"""A job of the bundle run here: its notebooks in their order, its parameters as widgets, its conditions by task values.

As much of the Jobs service as the job uses; what a task would do that is not known here is an error.
"""

import contextlib
import io
import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from bundle import ROOT
from test_parameters import Dbutils

COMPARE = {"EQUAL_TO": str.__eq__, "NOT_EQUAL": str.__ne__}  # of texts; the others compare numbers


@dataclass
class Outcome:
    """How one run of a job went.

    Attributes:
        states: task to succeeded, failed, skipped, or for a condition true or false.
        results: what notebooks handed over, by task.
        values: task values, by task.
        shown: what cells displayed and printed, by task.
        errors: what a notebook raised, by task.
    """

    states: dict[str, str] = field(default_factory=dict)
    results: dict[str, dict] = field(default_factory=dict)
    values: dict[str, dict[str, str]] = field(default_factory=dict)
    shown: dict[str, str] = field(default_factory=dict)
    errors: dict[str, BaseException] = field(default_factory=dict)

    @property
    def done(self) -> list[str]:
        """The notebooks that ran to their end, in their order."""
        return list(self.results)


def run_job(job: dict[str, Any], spark: Any, parameters: dict[str, str]) -> Outcome:
    """Run a rendered job; `parameters` are those a person gives for this run, and win over the job's own.

    A task whose needs did not come out as it wants them is skipped, and so is all that waits for it. A task is tried
    again as often as it says.
    """
    own = {each["name"]: each["default"] for each in job["parameters"]}
    assert set(parameters) <= set(own), "the Jobs service refuses a parameter the job does not declare"
    outcome = Outcome()
    for task in job["tasks"]:
        key = task["task_key"]
        if not all(_is_met(need, outcome) for need in task.get("depends_on", [])):
            outcome.states[key] = "skipped"
        elif "condition_task" in task:
            outcome.states[key] = _decide(task["condition_task"], outcome, own | parameters)
        else:
            _run_notebook(task, spark, own | parameters, outcome)
    return outcome


def _is_met(need: dict[str, str], outcome: Outcome) -> bool:
    return outcome.states[need["task_key"]] == need.get("outcome", "succeeded")


def _decide(condition: dict[str, str], outcome: Outcome, parameters: dict[str, str]) -> str:
    def fill(text: str) -> str:
        def value(found: re.Match) -> str:
            match found[1].split("."):
                case ["job", "parameters", name]:
                    return parameters[name]
                case ["tasks", task, "values", name]:
                    return outcome.values[task][name]
            raise KeyError(found[0])

        return re.sub(r"\{\{(.*?)\}\}", value, text)

    left, right = fill(condition["left"]), fill(condition["right"])
    return str(COMPARE[condition["op"]](left, right)).lower()


@contextlib.contextmanager
def _own_machine() -> Iterator[None]:
    """Give a task an empty cache: on serverless compute nothing is left there of the task before."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("FRUITS_CACHE", folder)
        yield


def _run_notebook(task: dict[str, Any], spark: Any, parameters: dict[str, str], outcome: Outcome) -> None:
    key, file = task["task_key"], Path(ROOT / "resources" / task["notebook_task"]["notebook_path"])
    for _ in range(1 + task["max_retries"]):
        dbutils, shown = Dbutils(**parameters), io.StringIO()
        try:
            with _own_machine(), contextlib.redirect_stdout(shown):
                code = compile(file.read_text(), file.name, "exec")
                exec(code, {"spark": spark, "dbutils": dbutils, "display": print})
        except BaseException as error:
            outcome.states[key], outcome.errors[key] = "failed", error
            continue
        assert set(parameters) <= set(dbutils.declared), "a parameter no widget takes"
        outcome.states[key], outcome.values[key] = "succeeded", dbutils.values
        outcome.results[key], outcome.shown[key] = json.loads(dbutils.result), shown.getvalue()
        return
