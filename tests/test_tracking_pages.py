"""What MLflow's own pages are given to say: which k is recommended, and why."""

import json

import pytest
from test_tracking import ROWS, K, children, search
from test_tracking import features as features
from test_tracking import fit as fit

from fruits.platform import tracking
from fruits.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_store_of_the_machine")]


def test_mlflows_own_pages_say_which_k(tmp_path, fit):
    opened = tracking.open_tracking(Settings(lake=str(tmp_path)))
    bare = f"/#/experiments/{opened.experiment_id}/runs?workflowType=machine_learning"
    assert tracking.view_address(opened) == bare
    run_id = tracking.log_fit(opened, fit)
    rows = [*ROWS[:2], {"k": K, "cumulative_explained_variance": 0.56, "accuracy_test": 0.905}, ROWS[2]]
    tracking.log_comparison(opened, run_id, rows, 4)
    assert tracking.view_address(opened) == f"{bare}&viewStateShareKey=which-k"
    experiment, run = opened.client.get_experiment(opened.experiment_id), opened.client.get_run(run_id)
    view = json.loads(experiment.tags["mlflow.sharedViewState.which-k"])
    assert view["searchFilter"] == f"tags.`mlflow.parentRunId` = '{run_id}'"
    assert len(search(opened, view["searchFilter"])) == len(rows)
    for note in (experiment.tags["mlflow.note.content"], run.data.tags["mlflow.note.content"]):
        assert note.startswith("k = 4 is recommended: the smallest within one point of the best on Test, 90.5%.")
        assert "| **4** | **90.0%** | **54.0%** |" in note and "| 8 | 90.0% | 58.0% |" in note
    for name in ("fruits_pca", "fruits_classifier"):
        version = opened.client.get_model_version(name, "1")
        assert version.description == "k = 6: right on Test 90.5%, variance kept 56.0%."
        assert version.tags.items() >= {"accuracy_test": "0.9050", "cumulative_explained_variance": "0.5600"}.items()
        assert f'load_model("models:/{name}@champion")' in opened.client.get_registered_model(name).description
    for each in run.outputs.model_outputs:
        model = opened.client.get_logged_model(each.model_id)
        assert {metric.key: metric.value for metric in model.metrics} == {"accuracy_test": 0.905}
    colours = {each.data.params["k"]: each.data.tags["mlflow.runColor"] for each in children(opened, run_id)}
    assert [k for k, colour in colours.items() if colour == colours["4"]] == ["4"]
    tracking.log_comparison(opened, run_id, [row | {"accuracy_test": None} for row in rows], None)
    assert "No k is recommended" in opened.client.get_run(run_id).data.tags["mlflow.note.content"]
