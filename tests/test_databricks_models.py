"""`fruits databricks compare` and `promote`: the table of k, and the alias that moves."""

import io
import json
import re
import sys

import pytest
from databricks_server import Fault, Workspace, make_job
from databricks_server import no_login as no_login
from databricks_server import type_in as type_in
from databricks_server import workspace as workspace

from fruits.views.summaries import COMPARED

PCA, CLASSIFIER = "main.fruits.fruits_pca", "main.fruits.fruits_classifier"


def mlflow_run(run_id: str, start: int, tags: dict, metrics: dict, params: dict, status: str = "FINISHED") -> dict:
    pairs = {
        name: [{"key": key, "value": value} for key, value in given.items()]
        for name, given in (("tags", tags), ("metrics", metrics), ("params", params))
    }
    return {"info": {"run_id": run_id, "start_time": start, "status": status}, "data": pairs}


def fit(run_id: str, start: int, k: int, **more: str) -> dict:
    metrics = {"k": k, "cumulative_explained_variance_at_k": 0.915}
    return mlflow_run(run_id, start, {"fruits.model": f"model-{run_id}"}, metrics, {"model": f"model-{run_id}"}, **more)


def compared(parent: str, k: int, start: int = 0, recommended: bool = False, **more: float) -> dict:
    tags = {"mlflow.parentRunId": parent} | ({"recommended": "true"} if recommended else {})
    metrics = {"k": k, "cumulative_explained_variance": 0.01 * k, "bytes_per_photo": 8 * k} | more
    return mlflow_run(f"{parent}k{k}{start}", start, tags, metrics, {"k": str(k)})


def version(number: int, run_id: str) -> dict:
    return {"version": number, "run_id": run_id, "created_at": 1767225600000 + number}


@pytest.fixture
def fits(workspace) -> Workspace:
    """Two fits, both compared and registered, the first of them the champion; and a third that did not end."""
    workspace.experiments["/Shared/fruits"] = [
        fit("old", 1, 64),
        fit("new", 2, 8),
        fit("killed", 3, 8, status="FAILED"),
        compared("old", 64),
        compared("new", 32, accuracy_test=0.902),
        compared("new", 8, recommended=True, accuracy_test=0.9, accuracy_train=0.95),
    ]
    workspace.models[PCA] = {"versions": [version(2, "new"), version(1, "old")], "aliases": {"champion": 1, "x": 2}}
    workspace.models[CLASSIFIER] = {"versions": [version(1, "old"), version(4, "new")], "aliases": {"champion": 1}}
    return workspace


def champions(workspace: Workspace) -> tuple[int | None, int | None]:
    return tuple(workspace.models[name]["aliases"].get("champion") for name in (PCA, CLASSIFIER))


def test_the_table_is_that_of_the_newest_complete_fit(fits, type_in):
    status, out, _ = type_in("compare")
    assert status == 0
    lines = out.splitlines()
    assert lines[0] == "fit       model-new"
    assert re.split(r"\s{2,}", lines[1].strip()) == list(COMPARED.values())
    assert re.split(r"\s{2,}", lines[2].strip()) == ["8", "8.0%", "-", "95.0%", "90.0%", "-", "64", "<- recommended"]
    assert re.split(r"\s{2,}", lines[3].strip()) == ["32", "32.0%", "-", "-", "90.2%", "-", "256"]
    assert lines[4:] == ["models    pca version 2, classifier version 4", "next      fruits databricks promote 2"]
    result = json.loads(type_in("compare", "--json")[1])
    assert (result["recommended_k"], [row["k"] for row in result["rows"]]) == (8, [8, 32])
    assert result["versions"] == {"pca": 2, "classifier": 4}


def test_a_k_that_was_measured_twice_counts_as_it_was_last(fits, type_in):
    fits.experiments["/Shared/fruits"].append(compared("new", 32, start=9, accuracy_test=0.99))
    rows = json.loads(type_in("compare", "--json")[1])["rows"]
    assert [row.get("accuracy_test") for row in rows] == [0.9, 0.99]


def test_models_that_may_not_be_seen_do_not_hide_the_table(fits, type_in):
    fits.faults.append(Fault("GET", "/versions", status=403, times=2))
    status, out, _ = type_in("compare")
    assert (status, out.splitlines()[-1]) == (0, "models    none registered")


def test_promoting_moves_both_models_of_the_fit_and_says_what_they_are(fits, type_in):
    status, out, err = type_in("promote", "2", "--yes")
    assert (status, champions(fits)) == (0, (2, 4))
    assert out == f"champion  {PCA} version 2, instead of 1\nchampion  {CLASSIFIER} version 4, instead of 1\n"
    assert "promote: it is version 2, k=8, 91.5% of the variance, made 20" in err
    assert "promote: it replaces version 1, k=64, 91.5% of the variance, made 20" in err
    puts = [path for method, path in fits.calls if method == "PUT"]
    assert [CLASSIFIER in path for path in puts] == [True, False]  # the PCA, which answers for the champion, last
    assert type_in("promote", "1", "--yes")[0] == 0
    assert champions(fits) == (1, 1)
    type_in("promote", "2", "--yes")
    before = len(fits.calls)
    status, out, _ = type_in("promote", "2", "--yes")
    assert (status, out) == (0, "champion  version 2 is the champion already\n")
    assert "PUT" not in [method for method, _ in fits.calls[before:]]


def test_the_names_of_the_models_are_those_the_job_gives(fits, type_in):
    fits.jobs[11] = make_job("fruits", pca_model="main.a.p", classifier_model="main.a.c")
    fits.models |= {"main.a.p": fits.models[PCA], "main.a.c": fits.models[CLASSIFIER]}
    result = json.loads(type_in("promote", "2", "--yes", "--json")[1])
    assert {kind: move["name"] for kind, move in result["promoted"].items()} == {
        "pca": "main.a.p",
        "classifier": "main.a.c",
    }


def test_a_fit_without_a_classifier_leaves_that_champion_alone(fits, type_in):
    fits.models[CLASSIFIER]["versions"].pop()
    assert type_in("promote", "2", "--yes")[0] == 0
    assert champions(fits) == (2, 1)
    del fits.models[CLASSIFIER], fits.models[PCA]["aliases"]["champion"]
    status, out, err = type_in("promote", "1", "--yes")
    assert (status, out) == (0, f"champion  {PCA} version 1\n")
    assert "it replaces none" in err


def test_a_version_whose_run_is_gone_is_promoted_all_the_same(fits, type_in):
    fits.experiments.clear()
    status, _, err = type_in("promote", "2", "--yes")
    assert (status, champions(fits)) == (0, (2, 4))
    assert "promote: it is version 2, made 20" in err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("answer", "moved"), [("y\n", True), ("n\n", False), ("\n", False), ("", False)])
def test_it_asks_first(fits, type_in, monkeypatch, answer, moved):
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    status, _, err = type_in("promote", "2")
    assert (status, champions(fits)) == ((0, (2, 4)) if moved else (1, (1, 1)))
    assert "Promote it? [y/N]" in err
    assert err.endswith("fruits: nothing was promoted\n") is not moved


def test_without_a_terminal_it_needs_yes(fits, type_in, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    status, out, err = type_in("promote", "2")
    assert (status, out, champions(fits)) == (2, "", (1, 1))
    assert err == "fruits: promote asks first, and there is no terminal to ask at; add --yes\n"


@pytest.mark.parametrize(
    ("change", "line", "says"),
    [
        (lambda _: None, "promote 9 --yes", f"{PCA} has no version 9; it has 1, 2"),
        (lambda space: space.models.clear(), "promote 1 --yes", f"model '{PCA}' is not there"),
        (
            lambda space: space.jobs.update({11: make_job("fruits", lake="/dbfs/lake")}),
            "promote 1 --yes",
            "job 'fruits' does not say where its models are",
        ),
        (
            lambda space: space.faults.append(Fault("PUT", "aliases", status=403, message="No MANAGE on the model.")),
            "promote 2 --yes",
            "HOST does not permit this: No MANAGE on the model; ask",
        ),
        (lambda space: space.experiments.clear(), "compare", "experiment '/Shared/fruits' is not there"),
        (lambda _: None, "compare --experiment other", "experiment '/Shared/other' is not there"),
        (
            lambda space: space.experiments["/Shared/fruits"].clear(),
            "compare",
            "experiment '/Shared/fruits' has no complete fit yet; `fruits databricks run` makes one",
        ),
        (
            lambda space: space.experiments.update({"/Shared/fruits": [fit("new", 2, 8)]}),
            "compare",
            "the newest fit, model-new, was not compared yet",
        ),
    ],
)
def test_what_is_not_there_is_one_line_and_status_1(fits, type_in, change, line, says):
    change(fits)
    status, out, err = type_in(*line.split())
    assert (status, out) == (1, "")
    assert err.splitlines()[-1].startswith(f"fruits: {says.replace('HOST', fits.host)}")
    assert champions(fits) == (1, 1) if fits.models else True
