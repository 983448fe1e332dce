"""The bundle of Databricks has none of the faults that show only after a deploy, and each of them would be seen."""

import json
import re
import shutil
import tomllib
from functools import reduce

import pytest
from bundle import ROOT, read_bundle
from wiring import CHECKS, find_faults

BUNDLE = read_bundle()


def test_the_bundle_has_no_fault():
    assert find_faults(BUNDLE, ROOT) == []


def at(bundle, *place):
    return reduce(lambda value, key: value[key], place, bundle.config)


def put(*path_and_value):
    """Make a mutation that sets what is at a path: keys, and places in lists."""
    *path, last, value = path_and_value
    return lambda bundle: at(bundle, *path).__setitem__(last, value)


def drop(*path):
    return lambda bundle: at(bundle, *path[:-1]).pop(path[-1])


def add(*path_and_value):
    *path, value = path_and_value
    return lambda bundle: at(bundle, *path).append(value)


JOB = ("resources", "jobs", "fruits")
CLASSIC = ("resources", "jobs", "fruits_classic")
BRONZE, CHANGED, SILVER, GOLD = ((*JOB, "tasks", place) for place in range(4))
PROD = ("targets", "prod")
# What is done to the bundle -> what is said of it.
MUTATIONS = {
    "keys": (put("resources", "schemas", "fruits", {"name": "x"}), "the key fruits is used by 2 types"),
    "stray": (lambda bundle: bundle.stray.append("tasks"), "the CLI does not know tasks"),
    "file of two": (
        lambda bundle: bundle.files.update({"a.job.yml": [("jobs", "a"), ("jobs", "b")]}),
        "a.job.yml is named after one job and holds 2",
    ),
    "file of another": (
        lambda bundle: bundle.files.update({"a.volume.yml": [("jobs", "a")]}),
        "a.volume.yml holds jobs",
    ),
    "no variable": (put(*JOB, "name", "${var.name}"), "${var.name} leads nowhere"),
    "no resource": (put(*JOB, "name", "${resources.jobs.x.name}"), "${resources.jobs.x.name} leads nowhere"),
    "no attribute": (
        put(*JOB, "name", "${resources.schemas.lake.path}"),
        "${resources.schemas.lake.path} leads nowhere",
    ),
    "short reference": (put(*JOB, "name", "${resources.schemas}"), "${resources.schemas} leads nowhere"),
    "no such thing": (put(*JOB, "name", "${workspace.root}"), "${workspace.root} leads nowhere"),
    "in a target": (put(*PROD, "variables", {"runner": "${var.who}"}), "${var.who} leads nowhere"),
    "unused variable": (put("variables", "x", {"default": "", "description": "x"}), "variable x is not used"),
    "undeclared": (put(*PROD, "variables", {"x": 1}), "prod gives the undeclared variable x"),
    "no value": (drop("variables", "catalog", "default"), "dev has no value for catalog"),
    "look-up": (put("variables", "runner", "lookup", {"job": "x"}), "variable runner looks up what may not be there"),
    "no description": (drop("variables", "k", "description"), "variable k has no description"),
    "second default": (put("variables", "k", "default", "64"), "variable k is 64 by default, the setting 0.95"),
    "no setting": (put(*JOB, "parameters", 0, "name", "photos"), "fruits: parameter photos is no setting"),
    "parameter twice": (add(*JOB, "parameters", {"name": "k", "default": "${var.k}"}), "fruits: parameter k twice"),
    "own default": (
        put(*JOB, "parameters", 3, "default", "9"),
        "fruits: parameter k has a default of its own; take a variable or a resource",
    ),
    "base_parameters": (
        put(*GOLD, "notebook_task", "base_parameters", {"k": "3"}),
        "fruits.gold: base_parameters, where job parameters reach a notebook by themselves",
    ),
    "two of a name": (put(*GOLD, "task_key", "silver"), "fruits: two tasks of one name"),
    "no such task": (
        put(*GOLD, "depends_on", 0, "task_key", "slver"),
        "fruits.gold depends on slver, which is no task",
    ),
    "later task": (
        put(*SILVER, "depends_on", 0, {"task_key": "gold"}),
        "fruits.silver depends on gold, which comes later",
    ),
    "no outcome": (drop(*SILVER, "depends_on", 0, "outcome"), "fruits.silver depends on changed with outcome None"),
    "odd outcome": (
        put(*SILVER, "depends_on", 0, "outcome", "yes"),
        "fruits.silver depends on changed with outcome yes",
    ),
    "outcome of a notebook": (
        put(*GOLD, "depends_on", 0, "outcome", "true"),
        "fruits.gold depends on silver with outcome true",
    ),
    "no parameter": (
        put(*CHANGED, "condition_task", "left", "{{job.parameters.x}}"),
        "fruits.changed: {{job.parameters.x}} is no parameter of the job",
    ),
    "unset value": (
        put(*CHANGED, "condition_task", "left", "{{tasks.bronze.values.changed_photos}}"),
        "fruits.changed: {{tasks.bronze.values.changed_photos}} is not set by its notebook",
    ),
    "value of another": (
        put(*CHANGED, "condition_task", "left", "{{tasks.silver.values.x}}"),
        "fruits.changed: {{tasks.silver.values.x}} is of a task this one does not wait for",
    ),
    "unknown value": (
        put(*CHANGED, "condition_task", "left", "{{task.x}}"),
        "fruits.changed: {{task.x}} is unknown",
    ),
    "no notebook": (
        put(*BRONZE, "notebook_task", "notebook_path", "../notebooks/01.py"),
        "fruits.bronze: there is no notebook",
    ),
    "no header": (
        put(*BRONZE, "notebook_task", "notebook_path", "../src/fruits/bronze.py"),
        "fruits.bronze: no header in notebook",
    ),
    "no compute": (drop(*BRONZE, "environment_key"), "fruits.bronze names no compute"),
    "two computes": (
        put(*BRONZE, "job_cluster_key", "main"),
        "fruits.bronze names environment_key and job_cluster_key",
    ),
    "compute of a condition": (put(*CHANGED, "environment_key", "default"), "fruits.changed names environment_key"),
    "no retries": (drop(*GOLD, "max_retries"), "fruits.gold does not say how often it is repeated"),
    "no environment": (put(*GOLD, "environment_key", "main"), "fruits.gold: no environment main"),
    "no environments": (drop(*JOB, "environments"), "fruits.bronze: no environment default"),
    "no cluster": (put(*CLASSIC, "tasks", 0, "job_cluster_key", "x"), "fruits_classic.bronze: no cluster x"),
    "no wheel": (drop(*CLASSIC, "tasks", 0, "libraries"), "fruits_classic.bronze does not install the wheel"),
    "editable": (
        add(*JOB, "environments", 0, "spec", "dependencies", "-e .."),
        "fruits.bronze installs -e .., which the CLI refuses",
    ),
    "no artifact": (drop("artifacts"), "a wheel is installed that no artifact builds"),
    "unbuilt artifact": (drop("artifacts", "fruits", "build"), "a wheel is installed that no artifact builds"),
    "live trigger": (
        put(*JOB, "trigger", "pause_status", "UNPAUSED"),
        "fruits: pause_status of trigger beats what the target says",
    ),
    "old wheel": (drop(*PROD, "presets"), "prod: a new wheel of the same version would not be installed"),
    "shared folder": (
        put(*PROD, "workspace", "root_path", "/Workspace/Shared/fruits"),
        "prod: root_path /Workspace/Shared/fruits is nobody's",
    ),
    "two permissions": (
        add(*PROD, "permissions", {"group_name": "${var.viewers}", "level": "CAN_MANAGE"}),
        "prod: ${var.viewers} has permissions of the target and of fruits",
    ),
    "prefix twice": (
        put("resources", "schemas", "lake", "name", "${workspace.current_user.short_name}"),
        "lake is named after a user, and development mode does that again",
    ),
    "guessed schema": (
        put("resources", "volumes", "photos", "schema_name", "${var.schema}"),
        "photos does not follow the name of the schema",
    ),
    "empty pattern": (add("sync", "exclude", "data/**"), "sync.exclude data/** matches nothing"),
    "missing code": (
        add("sync", "exclude", "src/**/*.tflite"),
        "sync.exclude src/**/*.tflite leaves out what the notebooks need",
    ),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_fault_is_found_and_named(name):
    mutate, said = MUTATIONS[name]
    bundle = BUNDLE.copy()
    mutate(bundle)
    assert said in find_faults(bundle, ROOT)


def test_a_module_that_looks_like_a_notebook_is_found(tmp_path):
    for folder in ("notebooks", "resources", "benchmarks", "tests", "training"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "odd.py").write_text("# Databricks notebook source\nx = 1\n")
    assert find_faults(BUNDLE, tmp_path) == ["odd.py would be uploaded as a notebook"]


def test_every_check_is_shown_to_fail():
    shown = set()
    for mutate, said in MUTATIONS.values():
        bundle = BUNDLE.copy()
        mutate(bundle)
        shown |= {check for check in CHECKS if said in check(bundle, ROOT)}
    assert shown == set(CHECKS)


@pytest.mark.parametrize(
    ("text", "stray"),
    [("common:\n  x: 1\n", ["common"]), ("common: &common\n  x: 1\n", [])],
)
def test_a_top_level_key_without_an_anchor_is_stray(tmp_path, text, stray):
    (tmp_path / "databricks.yml").write_text("include: [resources/*.yml]\n")
    (tmp_path / "resources").mkdir()
    (tmp_path / "resources" / "a.jobs.yml").write_text(f"{text}resources: {{jobs: {{a: {{}}}}}}\n")
    assert read_bundle(tmp_path).stray == stray


@pytest.mark.parametrize("merged", ["<<: [*a, *b]", "<<: *a\n  x: 2"])
def test_a_key_merged_twice_is_refused(tmp_path, merged):
    text = f"a: &a\n  x: 1\nb: &b\n  x: 2\nc:\n  {merged}\ninclude: []\n"
    (tmp_path / "databricks.yml").write_text(text)
    with pytest.raises(ValueError, match=r"\['x'\] are merged twice"):
        read_bundle(tmp_path)


def test_jobs_and_notebooks_install_what_a_fit_is_recorded_with():
    """It is no dependency of the wheel, which would grow by 300 MB for what the platform has."""
    local = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["local"]
    wanted = {each for each in local if re.match(r"matplotlib|scikit-learn", each)}
    drawn = {each for each in local if each.startswith("bokeh")}
    assert (len(wanted), len(drawn)) == (2, 1)
    jobs = BUNDLE.config["resources"]["jobs"]
    (environment,) = jobs["fruits"]["environments"]
    assert {*environment["spec"]["dependencies"]} == wanted | {"../dist/*.whl"}
    for task in jobs["fruits_classic"]["tasks"]:
        listed = {each["pypi"]["package"] for each in task.get("libraries", []) if "pypi" in each}
        assert listed == (set() if "condition_task" in task else wanted)
    for notebook in (ROOT / "notebooks").glob("*.py"):
        (line,) = re.findall(r"^# dependencies = (.+)$", notebook.read_text(), re.M)
        explores = notebook.stem == "05_explore"  # it is no task: a person opens it
        assert {*json.loads(line)} == wanted | {"--editable .."} | (drawn if explores else set())
