"""The whole job of the bundle, task by task with its values: on photos, on nothing new, on one more, after a death."""

import pytest
from bundle import read_bundle, render
from conftest import photo_set, versions
from job import run_job
from photos import jpeg

from fruits import silver
from fruits.errors import FruitsError

JOBS = render(read_bundle(), "dev")["jobs"]
STEPS = ["bronze", "silver", "gold", "compare"]


def parameters_of(here):
    """What differs from a workspace: folders for the volume and the schema, a network of 80 kB, few components."""
    chosen = {"images": here.images, "lake": here.lake, "weights": here.settings.weights, "k": 3, "k_values": "2,4"}
    return {name: str(value) for name, value in chosen.items()}


def test_it_runs_all_steps_where_something_changed_and_only_bronze_where_nothing_did(spark, place, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    here = place(photo_set(labels=2, training=4))
    parameters = parameters_of(here)
    first = run_job(JOBS["fruits"], spark, parameters)
    assert first.errors == {}
    assert (first.done, first.states["changed"]) == (STEPS, "true")
    assert first.results["bronze"]["new"] == first.results["gold"]["projected"] == 12
    assert first.results["compare"]["promoted"] == {"pca": "1", "classifier": "1"}

    before = versions(here.lake)
    second = run_job(JOBS["fruits"], spark, parameters)
    assert second.done == ["bronze"]
    assert second.states == {"bronze": "succeeded", "changed": "false"} | dict.fromkeys(STEPS[1:], "skipped")
    assert (second.results["bronze"]["unchanged"], second.results["bronze"]["has_work"]) == (12, False)
    assert versions(here.lake) == before

    here.write("Test/Fruit 0/new.jpg", jpeg(seed=7))
    third = run_job(JOBS["fruits_classic"], spark, parameters)
    assert (third.done, third.results["silver"]["computed"], third.results["gold"]["projected"]) == (STEPS, 1, 1)


def test_it_goes_on_where_a_run_died_before_silver_and_repeats_a_task_that_fails(spark, place, monkeypatch):
    """Bronze of the next run finds nothing changed: the trap of a condition on its counts."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    here = place(photo_set(labels=2, training=4))
    broken = []

    def die(*_):
        broken.append(1)
        raise FruitsError("the machine is gone")

    with monkeypatch.context() as patch:
        patch.setattr(silver, "choose_backbone", die)
        died = run_job(JOBS["fruits"], spark, parameters_of(here))
    assert died.states == {
        "bronze": "succeeded",
        "changed": "true",
        "silver": "failed",
        "gold": "skipped",
        "compare": "skipped",
    }
    assert len(broken) == 3  # silver is tried three times
    again = run_job(JOBS["fruits"], spark, parameters_of(here))
    assert (again.results["bronze"]["new"], again.results["bronze"]["unchanged"]) == (0, 12)
    assert again.done == STEPS


def test_an_empty_volume_fails_bronze_with_what_to_do(spark, place):
    here = place()
    outcome = run_job(JOBS["fruits"], spark, parameters_of(here))
    assert outcome.states == {"bronze": "failed"} | dict.fromkeys(["changed", *STEPS[1:]], "skipped")
    assert str(outcome.errors["bronze"]).startswith("no photo under images=")


@pytest.mark.parametrize("name", JOBS)
def test_a_parameter_the_job_does_not_declare_is_refused(name):
    with pytest.raises(AssertionError, match="does not declare"):
        run_job(JOBS[name], None, {"chunk": "7"})
