"""The bundle of Databricks: types by Databricks' own library, names and tasks of each target as agreed."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from bundle import ROOT, Bundle, dump, read_bundle, render, texts
from conftest import GOLDEN
from databricks.bundles.experiments import MlflowExperiment
from databricks.bundles.jobs import Job
from databricks.bundles.registered_models import RegisteredModel
from databricks.bundles.schemas import Schema
from databricks.bundles.volumes import Volume

from fruits.settings import from_text

BUNDLE = read_bundle()
TARGETS = ["dev", "staging", "prod"]
TYPES = {
    "experiments": MlflowExperiment,
    "jobs": Job,
    "registered_models": RegisteredModel,
    "schemas": Schema,
    "volumes": Volume,
}
RESOURCES = [(kind, key) for kind, found in BUNDLE.resources.items() for key in found]


def test_everything_a_first_run_needs_is_described():
    assert sorted(RESOURCES) == [
        ("experiments", "pca_runs"),
        ("jobs", "fruits"),
        ("jobs", "fruits_classic"),
        ("registered_models", "classifier_model"),
        ("registered_models", "pca_model"),
        ("schemas", "lake"),
        ("volumes", "networks"),
        ("volumes", "photos"),
    ]
    assert list(BUNDLE.config["targets"]) == TARGETS
    assert [name for name, target in BUNDLE.config["targets"].items() if target.get("default")] == ["dev"]


@pytest.mark.parametrize(("kind", "key"), RESOURCES)
def test_a_resource_has_the_fields_and_values_its_type_allows(kind, key):
    TYPES[kind].from_dict(BUNDLE.resources[kind][key])
    for target in TARGETS:
        resource = render(BUNDLE, target)[kind][key]
        assert TYPES[kind].from_dict(resource).name == resource["name"]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda job: job["tasks"][0].update(notebok_task={}), "notebok_task"),
        (lambda job: job.update(performance_target="CHEAP"), "CHEAP"),
        (lambda job: job["tasks"][1]["condition_task"].update(op="IS"), "IS"),
    ],
)
def test_a_misspelt_field_or_value_is_refused(spoil, said):
    job = BUNDLE.copy().jobs["fruits"]
    spoil(job)
    with pytest.raises(ValueError, match=said):
        Job.from_dict(job)


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_deploys_what_was_agreed(target):
    """`python tests/golden/regenerate_bundle.py` writes the files anew; they are reviewed as code."""
    agreed = yaml.safe_load((GOLDEN / "bundle" / f"{target}.yml").read_text())
    assert render(BUNDLE, target) == agreed


def changed(bundle: Bundle, change: Callable[[dict], Any]) -> Bundle:
    other = bundle.copy()
    change(other.config)
    return other


@pytest.mark.parametrize(
    "change",
    [
        lambda config: config["resources"]["jobs"]["fruits"]["tasks"].pop(),
        lambda config: config["variables"]["k"].update(default="64"),
        lambda config: config["targets"]["staging"]["presets"].pop("trigger_pause_status"),
    ],
)
def test_what_was_agreed_notices_a_change(change):
    assert render(changed(BUNDLE, change), "staging") != render(BUNDLE, "staging")


def test_each_target_has_names_and_a_trigger_of_its_own():
    jobs = {target: render(BUNDLE, target)["jobs"]["fruits"] for target in TARGETS}
    assert [job["name"] for job in jobs.values()] == ["[dev me] fruits", "[staging] fruits", "fruits"]
    assert [job["trigger"].get("pause_status") for job in jobs.values()] == ["PAUSED", "PAUSED", None]
    parameters = {target: {each["name"]: each["default"] for each in job["parameters"]} for target, job in jobs.items()}
    assert parameters["dev"]["lake"] == "main.dev_me_fruits"
    assert parameters["dev"]["images"] == "/Volumes/main/dev_me_fruits/photos"
    assert parameters["dev"]["pca_model"] == "main.dev_me_fruits.dev_me_fruits_pca"
    assert parameters["dev"]["experiment"] == "/Workspace/Users/me@example.com/.bundle/fruits/dev/[dev me] pca_runs"
    assert parameters["prod"]["classifier_model"] == "main.fruits.fruits_classifier"
    for name in ("images", "lake", "experiment", "pca_model", "classifier_model"):
        assert len({given[name] for given in parameters.values()}) == 3, name


@pytest.mark.parametrize("target", TARGETS)
def test_the_parameters_of_a_job_are_settings_the_notebooks_accept(target):
    for job in render(BUNDLE, target)["jobs"].values():
        settings = from_text({each["name"]: each["default"] for each in job["parameters"]})
        assert (settings.weights, settings.tracking) == ("fruits", "")  # the workspace's MLflow, without TensorFlow


def test_both_jobs_do_the_same_on_other_compute():
    serverless, classic = (BUNDLE.jobs[name] for name in ("fruits", "fruits_classic"))
    compute = {"environment_key", "disable_auto_optimization", "job_cluster_key", "libraries"}
    tasks = [
        [{key: value for key, value in task.items() if key not in compute} for task in job["tasks"]]
        for job in (serverless, classic)
    ]
    assert tasks[0] == tasks[1]
    assert [task["task_key"] for task in tasks[0]] == ["bronze", "changed", "silver", "gold", "compare"]
    assert serverless["parameters"] == classic["parameters"]
    assert "job_clusters" not in serverless and not {"trigger", "schedule", "continuous"} & set(classic)
    assert classic["job_clusters"][0]["new_cluster"]["spark_version"] == "${var.spark_version}"


def test_one_run_at_a_time_and_an_end_to_every_task():
    for job in BUNDLE.jobs.values():
        assert (job["max_concurrent_runs"], job["queue"]) == (1, {"enabled": True})
        for task in job["tasks"]:
            assert "condition_task" in task or task["timeout_seconds"] <= job["timeout_seconds"]
        (rule,) = job["health"]["rules"]
        assert rule["value"] < job["timeout_seconds"]


def test_whoever_runs_the_job_may_do_all_it_does_and_readers_may_read():
    """Privileges on a schema hold for what is in it; MANAGE is in no other privilege."""
    granted = {
        (key, grant["principal"]): set(grant["privileges"])
        for kind in ("schemas", "volumes", "registered_models")
        for key, resource in BUNDLE.resources[kind].items()
        for grant in resource["grants"]
    }
    runner, readers = "${var.runner}", "${var.readers}"
    assert granted["lake", runner] == {"ALL_PRIVILEGES"}
    assert granted["lake", readers] == {"USE_SCHEMA", "SELECT"}
    for volume in BUNDLE.resources["volumes"]:
        assert granted[volume, readers] == {"READ_VOLUME"}
    for model in BUNDLE.resources["registered_models"]:
        assert "MANAGE" in granted[model, runner]
        assert granted[model, readers] == {"EXECUTE"}
    prod = BUNDLE.config["targets"]["prod"]
    assert prod["run_as"] == {"service_principal_name": runner}
    assert prod["permissions"] == [{"service_principal_name": runner, "level": "CAN_MANAGE"}]
    levels = {"jobs": "CAN_VIEW", "experiments": "CAN_READ"}
    for kind, level in levels.items():
        for resource in BUNDLE.resources[kind].values():
            assert resource["permissions"] == [{"group_name": "${var.viewers}", "level": level}]


def test_prod_keeps_its_photos_and_tables_and_dev_can_be_destroyed():
    for target in TARGETS:
        resources = render(BUNDLE, target)
        kept = [key for found in resources.values() for key, each in found.items() if "lifecycle" in each]
        assert sorted(kept) == (["lake", "photos"] if target == "prod" else [])


def test_nothing_in_the_bundle_is_of_one_machine_or_one_workspace():
    for text in texts(BUNDLE.config):
        assert not re.search(r"https?://|/Users/(?!\$\{)|@(?!example\.)\w", text), text


def test_what_is_agreed_is_written_by_the_script_beside_it(tmp_path):
    script = (GOLDEN / "regenerate_bundle.py").read_text()
    exec(compile(script, "regenerate_bundle.py", "exec"), {"__file__": str(tmp_path / "x.py"), "__name__": "made"})
    assert {file.name: file.read_text() for file in (tmp_path / "bundle").iterdir()} == {
        f"{target}.yml": (GOLDEN / "bundle" / f"{target}.yml").read_text() for target in TARGETS
    }
    assert dump(render(BUNDLE, "dev")) == (tmp_path / "bundle" / "dev.yml").read_text()
    assert (ROOT / "tests" / "golden" / "bundle").is_dir()
