"""The whole job of the bundle, task by task with its values: after a death, on nothing new, on one more photo."""

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


def test_it_repeats_a_failed_task_goes_on_where_a_run_died_and_runs_only_bronze_where_nothing_changed(
    spark, place, monkeypatch
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    here = place(photo_set(labels=2, training=4))
    parameters = parameters_of(here)
    broken = []

    def die(*_):
        broken.append(1)
        raise FruitsError("the machine is gone")

    with monkeypatch.context() as patch:
        patch.setattr(silver, "load_network", die)
        died = run_job(JOBS["fruits"], spark, parameters)
    assert died.states == {
        "bronze": "succeeded",
        "changed": "true",
        "silver": "failed",
        "gold": "skipped",
        "compare": "skipped",
    }
    assert len(broken) == 3  # silver is tried three times
    assert died.results["bronze"]["new"] == 12
    assert "'new': 12" in died.shown["bronze"]

    # Bronze finds nothing changed: the trap of a condition on its counts.
    first = run_job(JOBS["fruits"], spark, parameters)
    assert first.errors == {}
    assert (first.done, first.states["changed"]) == (STEPS, "true")
    assert (first.results["bronze"]["new"], first.results["bronze"]["unchanged"]) == (0, 12)
    assert first.results["silver"]["computed"] == first.results["gold"]["projected"] == 12
    assert first.values == {"bronze": {"has_work": "true"}} | {step: {} for step in STEPS[1:]}
    assert [row["k"] for row in first.results["compare"]["rows"]] == [2, 3, 4]
    assert first.results["compare"]["promoted"] == {"pca": "1", "classifier": "1"}
    assert "reconstruction_error_test" in first.shown["compare"]

    before = versions(here.lake)
    second = run_job(JOBS["fruits"], spark, parameters)
    assert second.done == ["bronze"]
    assert second.states == {"bronze": "succeeded", "changed": "false"} | dict.fromkeys(STEPS[1:], "skipped")
    assert (second.results["bronze"]["unchanged"], second.results["bronze"]["has_work"]) == (12, False)
    assert versions(here.lake) == before

    here.write("Test/Fruit 0/new.jpg", jpeg(seed=7))
    third = run_job(JOBS["fruits_classic"], spark, parameters)
    assert (third.done, third.results["silver"]["computed"], third.results["gold"]["projected"]) == (STEPS, 1, 1)


def test_an_empty_volume_fails_bronze_with_what_to_do(spark, place):
    here = place()
    outcome = run_job(JOBS["fruits"], spark, parameters_of(here))
    assert outcome.states == {"bronze": "failed"} | dict.fromkeys(["changed", *STEPS[1:]], "skipped")
    assert str(outcome.errors["bronze"]).startswith("no photo under images=")


@pytest.mark.parametrize("name", JOBS)
def test_a_parameter_the_job_does_not_declare_is_refused(name):
    with pytest.raises(AssertionError, match="does not declare"):
        run_job(JOBS[name], None, {"chunk": "7"})
