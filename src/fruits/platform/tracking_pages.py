"""What MLflow's own pages say of a comparison, so that they answer which k: descriptions, tags, and a view to open."""

import json
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fruits.platform.names import MODEL_TAG, PARENT_TAG, RECOMMENDED_TAG
from fruits.platform.tracking_classifier import find_versions
from fruits.platform.tracking_store import Tracking, tolerate

if TYPE_CHECKING:
    from mlflow.entities import Run

NOTE = "mlflow.note.content"  # a description, in Markdown
VIEW = "which-k"
VIEW_TAG = f"mlflow.sharedViewState.{VIEW}"  # of an experiment: columns, order and filter of its table of runs
# Metric, what people call it, how it is written. Of these the columns of the view, the tables and the tags are made.
MEASURES = {
    "accuracy_test": ("right on Test", ".1%"),
    "cumulative_explained_variance": ("variance kept", ".1%"),
    "reconstruction_error_test": ("lost on Test", ".1%"),
    "accuracy_train": ("right on Training", ".1%"),
    "centroid_accuracy_test": ("nearest centroid", ".1%"),
    "bytes_per_photo": ("bytes a photo", "d"),
}
VERSION_TAGS = ("accuracy_test", "cumulative_explained_variance")  # a page of many tags says little
ACCENT, PALE = "#c1440e", "#8fb3c9"  # of the recommended k in MLflow's charts, and of the others


@tolerate("describing the comparison")
def describe_comparison(
    tracking: Tracking, run_id: str, rows: Sequence[Mapping[str, Any]], recommended_k: int | None
) -> None:
    """Describe experiment, fit and models by a comparison, and make the view of it the experiment's own.

    Args:
        tracking: the open store.
        run_id: of the fit whose ks were compared; the newest comparison is the one an experiment tells of.
        rows: one per k: `k` and any of MEASURES.
        recommended_k: which of them is recommended, if one is.
    """
    client, said = tracking.client, tell_comparison(rows, recommended_k)
    fit = client.get_run(run_id)
    k = int(fit.data.params["k"])
    client.set_tag(run_id, NOTE, said)
    about = {
        # MLflow's pages are of two kinds, and it would guess those about language models.
        "mlflow.experimentKind": "custom_model_development",
        NOTE: f"{said}\n\nCompared last, with the fit `{fit.data.tags[MODEL_TAG]}`, whose models keep k = {k}.",
        VIEW_TAG: json.dumps(_view(run_id)),
    }
    for name, value in about.items():
        client.set_experiment_tag(tracking.experiment_id, name, value)
    kept = next((row for row in rows if row["k"] == k), {})
    _measure_models(tracking, fit, {name: float(kept[name]) for name in MEASURES if kept.get(name) is not None})
    _describe_versions(tracking, run_id, kept)


def tell_comparison(rows: Sequence[Mapping[str, Any]], recommended_k: int | None) -> str:
    """Write a comparison in Markdown: what is recommended and why, and a table of all k."""
    why = "No k is recommended: that takes labelled Test photos."
    if recommended_k is not None:
        # Plain, for MLflow's list of experiments shows these first words as they are written.
        best = max(row["accuracy_test"] for row in rows)
        why = f"k = {recommended_k} is recommended: the smallest within one point of the best on Test, {best:.1%}."
    shown = [name for name in MEASURES if any(row.get(name) is not None for row in rows)]
    lines = [["k", *(MEASURES[name][0] for name in shown)], ["--:"] * (len(shown) + 1)]
    for row in rows:
        cells = [str(row["k"]), *(_write(row, name) for name in shown)]
        lines.append([f"**{cell}**" for cell in cells] if row["k"] == recommended_k else cells)
    return "\n".join([why, "", *(f"| {' | '.join(cells)} |" for cells in lines)])


def mark(recommended: bool) -> dict[str, str]:
    """Give the tags of a compared k that set the recommended one apart, in the table of runs and in charts."""
    marks = {RECOMMENDED_TAG: "true"} if recommended else {}
    return marks | {"mlflow.runColor": ACCENT if recommended else PALE}


def view_address(tracking: Tracking) -> str:
    """Give where on a server MLflow shows the last comparison; the list of runs, before the first."""
    tags = tracking.client.get_experiment(tracking.experiment_id).tags
    view = f"&viewStateShareKey={VIEW}" if VIEW_TAG in tags else ""
    return f"/#/experiments/{tracking.experiment_id}/runs?workflowType=machine_learning{view}"


def _view(run_id: str) -> dict[str, Any]:
    """Show the ks below a fit by rising k: what MLflow's own `Share` writes down."""
    # MLflow 3.17 may come too late to heed the order; it is that of the alphabet then.
    columns = {f"tags.`{RECOMMENDED_TAG}`": RECOMMENDED_TAG, **{f"metrics.`{name}`": name for name in MEASURES}}
    return {
        "searchFilter": f"tags.`{PARENT_TAG}` = '{run_id}'",
        "orderByKey": "metrics.`k`",
        "orderByAsc": True,
        "selectedColumns": list(columns),
        "columnOrder": ["attributes.`Run Name`", *columns],
        "columnWidths": {"attributes.`Run Name`": 110} | {key: 30 + 6.5 * len(name) for key, name in columns.items()},
    }


def _write(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    return "-" if value is None else format(value, MEASURES[name][1])


def _measure_models(tracking: Tracking, fit: "Run", measured: Mapping[str, float]) -> None:
    """Give the models of a fit, and its run, what was measured at their k."""
    from mlflow.entities import Metric

    now, run_id = int(time.time() * 1000), fit.info.run_id
    # The curve of the fit has this name.
    at_k = {name: value for name, value in measured.items() if name != "cumulative_explained_variance"}
    for model in fit.outputs.model_outputs if fit.outputs else ():
        metrics = [Metric(name, value, now, 0, model_id=model.model_id, run_id=run_id) for name, value in at_k.items()]
        tracking.client.log_batch(run_id, metrics=metrics)


def _describe_versions(tracking: Tracking, run_id: str, kept: Mapping[str, Any]) -> None:
    """Say of the versions of a fit what was measured at their k, so that versions compare as runs do."""
    measured = [name for name in MEASURES if kept.get(name) is not None]
    told = ", ".join(f"{MEASURES[name][0]} {_write(kept, name)}" for name in measured)
    for name in filter(None, tracking.names.values()):
        for version in find_versions(tracking.client, name):
            if version.run_id == run_id and measured:
                tracking.client.update_model_version(name, version.version, f"k = {kept['k']}: {told}.")
                for key in VERSION_TAGS:
                    if key in measured:
                        tracking.client.set_model_version_tag(name, version.version, key, f"{kept[key]:.4f}")
