"""What neither the CLI nor its schemas see in a bundle before it runs: names that lead nowhere, and known traps."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from bundle import REFERENCE, Bundle, references, texts

from fruits.settings import Settings, as_text

HEADER = "# Databricks notebook source\n"
COMPUTED = {"volumes": {"volume_path", "id"}, "registered_models": {"full_name", "id"}}  # known once deployed
WORKSPACE = {"current_user.userName", "current_user.short_name", "root_path", "file_path"}
DYNAMIC = re.compile(r"\{\{(.*?)\}\}")
CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def find_faults(bundle: Bundle, root: Path) -> list[str]:
    """Say in one line each what is wrong with a bundle whose files lie under a root; nothing where all is well."""
    return [fault for look in CHECKS for fault in look(bundle, root)]


def tasks_of(bundle: Bundle) -> Iterator[tuple[str, dict, dict]]:
    """Give every task with the name of its job and the job."""
    for name, job in bundle.jobs.items():
        for task in job["tasks"]:
            yield name, job, task


@check
def check_keys(bundle: Bundle, root: Path) -> Iterator[str]:
    keys = Counter(key for found in bundle.resources.values() for key in found)
    yield from (f"the key {key} is used by {n} types" for key, n in keys.items() if n > 1)
    yield from (f"the CLI does not know {key}" for key in bundle.stray)
    for file, found in bundle.files.items():
        kind = re.search(r"\.(\w+)\.yml$", file)[1]
        if [f"{kind}s", kind].count(found[0][0]) == 0 or len({kind for kind, _ in found}) > 1:
            yield f"{file} holds {found[0][0]}"
        if kind in ("job", "schema", "volume", "experiment", "registered_model") and len(found) > 1:
            yield f"{file} is named after one {kind} and holds {len(found)}"


@check
def check_references(bundle: Bundle, root: Path) -> Iterator[str]:
    used = references(bundle.config)
    for name in used:
        kind, _, rest = name.partition(".")
        if kind == "var":
            known = rest in bundle.config["variables"]
        elif kind == "resources" and rest.count(".") == 2:
            type_, key, attribute = rest.split(".")
            resource = bundle.resources.get(type_, {}).get(key)
            known = resource is not None and (attribute in resource or attribute in COMPUTED.get(type_, ()))
        else:
            known = (kind == "bundle" and rest in ("name", "target")) or (kind == "workspace" and rest in WORKSPACE)
        if not known:
            yield f"${{{name}}} leads nowhere"
    yield from (f"variable {name} is not used" for name in bundle.config["variables"] if f"var.{name}" not in used)


@check
def check_variables(bundle: Bundle, root: Path) -> Iterator[str]:
    variables = bundle.config["variables"]
    for target, chosen in bundle.config["targets"].items():
        given = chosen.get("variables", {})
        yield from (f"{target} gives the undeclared variable {name}" for name in given if name not in variables)
        for name, variable in variables.items():
            if "default" not in variable and name not in given:
                yield f"{target} has no value for {name}"
    defaults = {each.name: as_text(each.default) for each in fields(Settings)}
    for name, variable in variables.items():
        if "lookup" in variable:
            yield f"variable {name} looks up what may not be there"
        if not variable.get("description"):
            yield f"variable {name} has no description"
        if name in defaults and variable["default"] != defaults[name]:
            yield f"variable {name} is {variable['default']} by default, the setting {defaults[name]}"


@check
def check_parameters(bundle: Bundle, root: Path) -> Iterator[str]:
    settings = {each.name for each in fields(Settings)}
    for name, job in bundle.jobs.items():
        parameters = [each["name"] for each in job["parameters"]]
        yield from (f"{name}: parameter {each} is no setting" for each in parameters if each not in settings)
        yield from (f"{name}: parameter {each} twice" for each, n in Counter(parameters).items() if n > 1)
        for each in job["parameters"]:
            if not isinstance(each["default"], str) or not REFERENCE.search(each["default"]):
                yield f"{name}: parameter {each['name']} has a default of its own; take a variable or a resource"
    for name, _, task in tasks_of(bundle):
        if "base_parameters" in task.get("notebook_task", {}):
            yield f"{name}.{task['task_key']}: base_parameters, where job parameters reach a notebook by themselves"


@check
def check_order(bundle: Bundle, root: Path) -> Iterator[str]:
    for name, job in bundle.jobs.items():
        tasks = {task["task_key"]: task for task in job["tasks"]}
        if len(tasks) < len(job["tasks"]):
            yield f"{name}: two tasks of one name"
        before: set[str] = set()
        for key, task in tasks.items():
            for need in task.get("depends_on", []):
                where = f"{name}.{key} depends on {need['task_key']}"
                if need["task_key"] not in tasks:
                    yield f"{where}, which is no task"
                elif need["task_key"] not in before:
                    yield f"{where}, which comes later"
                elif ("condition_task" in tasks[need["task_key"]]) != (need.get("outcome") in ("true", "false")):
                    yield f"{where} with outcome {need.get('outcome')}"
            before.add(key)


@check
def check_dynamic_values(bundle: Bundle, root: Path) -> Iterator[str]:
    for name, job, task in tasks_of(bundle):
        tasks = {each["task_key"]: each for each in job["tasks"]}
        for text in texts(task):
            for found in DYNAMIC.findall(text):
                where = f"{name}.{task['task_key']}: {{{{{found}}}}}"
                match found.split("."):
                    case ["job", "parameters", parameter]:
                        if parameter not in [each["name"] for each in job["parameters"]]:
                            yield f"{where} is no parameter of the job"
                    case ["tasks", other, "values", value]:
                        if other not in [each["task_key"] for each in task.get("depends_on", [])]:
                            yield f"{where} is of a task this one does not wait for"
                        elif not re.search(rf"hand_over\(.*\b{value}=", notebook_of(tasks[other], root)):
                            yield f"{where} is not set by its notebook"
                    case _:
                        yield f"{where} is unknown"


def notebook_of(task: dict, root: Path) -> str:
    """Give the text of a task's notebook, empty if there is none."""
    file = root / "resources" / task.get("notebook_task", {}).get("notebook_path", "none")
    return file.read_text() if file.is_file() else ""


@check
def check_notebooks(bundle: Bundle, root: Path) -> Iterator[str]:
    for name, _, task in tasks_of(bundle):
        if "notebook_task" in task:
            text = notebook_of(task, root)
            if not text.startswith(HEADER):
                yield f"{name}.{task['task_key']}: {'no header in' if text else 'there is no'} notebook"
    for module in (root / "src").rglob("*.py"):
        if module.read_text().startswith(HEADER.strip()):
            yield f"{module.name} would be uploaded as a notebook"


@check
def check_compute(bundle: Bundle, root: Path) -> Iterator[str]:
    wheels = False
    for name, job, task in tasks_of(bundle):
        where = f"{name}.{task['task_key']}"
        environments = {each["environment_key"]: each["spec"] for each in job.get("environments", [])}
        clusters = [each["job_cluster_key"] for each in job.get("job_clusters", [])]
        chosen = [key for key in ("environment_key", "job_cluster_key", "existing_cluster_id") if key in task]
        if len(chosen) != ("notebook_task" in task):
            yield f"{where} names {' and '.join(chosen) or 'no compute'}"
        if "max_retries" not in task:
            yield f"{where} does not say how often it is repeated"
        if task.get("environment_key", *environments or ["-"]) not in environments and "environment_key" in task:
            yield f"{where}: no environment {task['environment_key']}"
        if task.get("job_cluster_key") not in [None, *clusters]:
            yield f"{where}: no cluster {task['job_cluster_key']}"
        listed = [each["whl"] for each in task.get("libraries", []) if "whl" in each]
        listed += environments.get(task.get("environment_key"), {}).get("dependencies", [])
        wheels |= "../dist/*.whl" in listed
        if chosen and "../dist/*.whl" not in listed:
            yield f"{where} does not install the wheel"
        yield from (f"{where} installs {each}, which the CLI refuses" for each in listed if each.startswith("-e "))
    built = [each for each in bundle.config.get("artifacts", {}).values() if each["type"] == "whl" and "build" in each]
    if wheels and not built:
        yield "a wheel is installed that no artifact builds"


@check
def check_triggers(bundle: Bundle, root: Path) -> Iterator[str]:
    for name, job in bundle.jobs.items():
        for kind in ("trigger", "schedule", "continuous"):
            if "pause_status" in job.get(kind, {}):
                yield f"{name}: pause_status of {kind} beats what the target says"


@check
def check_targets(bundle: Bundle, root: Path) -> Iterator[str]:
    for name, target in bundle.config["targets"].items():
        folder = target.get("workspace", {}).get("root_path", "")
        if not target.get("presets", {}).get("artifacts_dynamic_version"):
            yield f"{name}: a new wheel of the same version would not be installed"
        if target["mode"] == "production" and "${workspace.current_user.userName}" not in folder:
            yield f"{name}: root_path {folder} is nobody's"
        groups = {each.get("group_name") for each in target.get("permissions", [])} - {None}
        for found in bundle.resources.values():
            for key, resource in found.items():
                for each in resource.get("permissions", []):
                    if each.get("group_name") in groups:
                        yield f"{name}: {each['group_name']} has permissions of the target and of {key}"


@check
def check_names(bundle: Bundle, root: Path) -> Iterator[str]:
    for kind in ("schemas", "volumes", "registered_models"):
        for key, resource in bundle.resources[kind].items():
            if "current_user" in resource["name"]:
                yield f"{key} is named after a user, and development mode does that again"
            if kind != "schemas" and not resource["schema_name"].startswith("${resources.schemas."):
                yield f"{key} does not follow the name of the schema"


@check
def check_sync(bundle: Bundle, root: Path) -> Iterator[str]:
    for pattern in bundle.config.get("sync", {}).get("exclude", []):
        # To pathlib, unlike to the CLI, a closing ** means folders only.
        found = [file for file in root.glob(re.sub(r"\*\*$", "**/*", pattern)) if file.is_file()]
        if not found:
            yield f"sync.exclude {pattern} matches nothing"
        if any(file.relative_to(root).parts[0] in ("notebooks", "src", "pyproject.toml") for file in found):
            yield f"sync.exclude {pattern} leaves out what the notebooks need"
