"""Runs and models in MLflow: a run per fit, a run below it per compared k, and the champion among the models.

Every function takes what open_tracking gave, None included, and never raises: a failure is one line on standard error.
"""

import time
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

from fruits.platform.names import AT_K, CHAMPION, KINDS, MODEL_TAG, PARENT_TAG, RECOMMENDED_TAG
from fruits.platform.progress import report
from fruits.platform.tracking_classifier import find_champion, find_versions
from fruits.platform.tracking_models import FitRecord, log_models
from fruits.platform.tracking_pages import describe_comparison, mark, view_address
from fruits.platform.tracking_store import (
    Tracking,
    import_early,
    open_tracking,
    resolve_uri,
    start_opening,
    tolerate,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

__all__ = [
    "UNKNOWN",
    "FitRecord",
    "Tracking",
    "champion_model",
    "find_run",
    "import_early",
    "last_runs",
    "list_models",
    "log_comparison",
    "log_fit",
    "open_tracking",
    "promote",
    "resolve_uri",
    "start_opening",
    "tolerate",
    "view_address",
]

BATCH = 1000  # metrics MLflow takes in one call
UNKNOWN = "?"  # a champion that could not be asked for; no model has this name


@tolerate("looking for the run")
def find_run(tracking: Tracking, model: str) -> str | None:
    """Give the id of the complete run of a model; a run that was killed or failed does not count."""
    return next((run.info.run_id for run in _parent_runs(tracking, model) if run.info.status == "FINISHED"), None)


@tolerate("logging the fit")
def log_fit(tracking: Tracking, fit: FitRecord) -> str | None:
    """Record a fit: parameters, the curve of cumulative variance, figures, labels and the models, registered.

    The run is FINISHED only once all is there, so a killed one is recorded anew.

    Returns:
        The run's id, None if it could not be recorded.
    """
    for run in _parent_runs(tracking, fit.model):
        if run.info.status == "RUNNING":
            tracking.client.set_terminated(run.info.run_id, "KILLED")
    run_id = _start_run(tracking, fit.model, {**fit.tags, MODEL_TAG: fit.model})
    try:
        _log_params(tracking, run_id, {"model": fit.model, "backbone": fit.backbone, "k": fit.k, **fit.params})
        curve = fit.pca.cumulative_explained_variance_ratio
        metrics = [("cumulative_explained_variance", value, step) for step, value in enumerate(curve, start=1)]
        at_k = [("k", fit.k, 0), (AT_K, curve[fit.k - 1], 0)]
        trust = vars(fit.calibration) if fit.calibration.photos else {}
        trust = [(f"calibration_{name}", value, 0) for name, value in trust.items() if isfinite(value)]
        _log_metrics(tracking, run_id, metrics + at_k + trust)
        _log_figures(tracking, run_id, fit.figures)
        if fit.discriminant is not None:
            tracking.client.log_dict(run_id, list(fit.discriminant.labels), "labels.json")
        log_models(tracking, run_id, fit)
    except BaseException:
        tracking.client.set_terminated(run_id, "FAILED")
        raise
    tracking.client.set_terminated(run_id)
    return run_id


@tolerate("logging the comparison")
def log_comparison(
    tracking: Tracking,
    run_id: str | None,
    rows: Sequence[Mapping[str, Any]],
    recommended_k: int | None,
    figures: Sequence[tuple[str, "Figure"]] = (),
) -> bool | None:
    """Record one run per compared k below the run of the fit. What is recorded already is only brought up to date.

    Args:
        tracking: the open store.
        run_id: the parent, from log_fit or find_run; None, where the fit was not recorded, records nothing.
        rows: one per k: `k` and any numbers, None where there is none.
        recommended_k: which of them is recommended, if one is.
        figures: pairs of a name and a figure, for the parent run.

    Returns:
        True once all is recorded, None if it could not be.
    """
    if run_id is None:
        return None
    below = _search(tracking, f"tags.`{PARENT_TAG}` = '{run_id}'")
    known = {run.data.params.get("k"): run for run in below if run.info.status == "FINISHED"}
    for run in below:
        if run.info.status == "RUNNING":
            tracking.client.set_terminated(run.info.run_id, "KILLED")
    for row in rows:
        _log_row(tracking, run_id, row, row["k"] == recommended_k, known.get(str(row["k"])))
    if recommended_k is not None:
        tracking.client.set_tag(run_id, "recommended_k", recommended_k)
    _log_figures(tracking, run_id, figures)
    describe_comparison(tracking, run_id, rows, recommended_k)
    return True


@tolerate("listing runs", empty=list)
def last_runs(tracking: Tracking, n: int = 5) -> list[dict[str, Any]]:
    """List the newest n fits: run_id, name, start_time (ms since 1970), status, k and the metrics at that k."""
    return [
        {
            "run_id": run.info.run_id,
            "name": run.info.run_name,
            "start_time": run.info.start_time,
            "status": run.info.status,
            "k": int(run.data.metrics.get("k", 0)) or None,
            "cumulative_explained_variance": run.data.metrics.get(AT_K),
            "recommended_k": int(run.data.tags.get("recommended_k", 0)) or None,
        }
        for run in _parent_runs(tracking)[:n]
    ]


@tolerate("promotion")
def promote(tracking: Tracking, model: str, mode: str) -> dict[str, str] | None:
    """Point the champion alias at the models of one fit.

    Args:
        tracking: the open store.
        model: id of the model, whose run is complete.
        mode: first (only where there is no champion yet), always or never.

    Returns:
        Kind of model to the version promoted; None if the champion stays what it is. A fit without a classifier
        leaves that champion alone.
    """
    if mode == "never" or tracking.names["pca"] is None:
        return None
    champion = _champion(tracking)
    if champion and (mode == "first" or champion.tags.get(MODEL_TAG) == model):
        return None
    # By run, not by tag: a killed run of the same model may have left a version too.
    run_id = find_run(tracking, model)
    found = {kind: [each for each in _versions(tracking, kind) if each.run_id == run_id] for kind in KINDS}
    if run_id is None or not found["pca"]:
        report(f"tracking: {model} is not promoted, no version of it is registered")
        return None
    promoted = {kind: str(versions[0].version) for kind, versions in found.items() if versions}
    # The PCA, which answers for the champion, comes last: a promotion cut short is then made again.
    for kind in sorted(promoted, key="pca".__eq__):
        tracking.client.set_registered_model_alias(tracking.names[kind], CHAMPION, promoted[kind])
    return promoted


@tolerate("looking for the champion", empty=lambda: UNKNOWN)
def champion_model(tracking: Tracking) -> str | None:
    """Give the model id of the champion, None if there is none, UNKNOWN if the store could not be asked."""
    champion = _champion(tracking)
    return champion.tags.get(MODEL_TAG) if champion else None


@tolerate("listing models", empty=list)
def list_models(tracking: Tracking, n: int = 10) -> list[dict[str, Any]]:
    """List the newest n versions of each model: name, version, aliases, model, backbone, k, created (ms since 1970)."""
    rows = []
    for kind in KINDS:
        for each in _versions(tracking, kind)[:n]:
            # Unity Catalog's search gives neither tags nor aliases.
            full = tracking.client.get_model_version(each.name, each.version)
            row = {"name": full.name, "version": int(full.version), "aliases": list(full.aliases)}
            row |= {"model": full.tags.get(MODEL_TAG), "backbone": full.tags.get("backbone")}
            rows.append(row | {"k": int(full.tags.get("k", 0)) or None, "created": full.creation_timestamp})
    return rows


def _log_row(tracking: Tracking, parent: str, row: Mapping[str, Any], recommended: bool, run: "Run | None") -> None:
    """Record one compared k in its own run, or bring that run up to date."""
    metrics = {name: float(value) for name, value in row.items() if isinstance(value, int | float)}
    if run is None:
        tags = {PARENT_TAG: parent} | mark(recommended)
        run_id = _start_run(tracking, f"k={row['k']}", tags)
        _log_params(tracking, run_id, {"k": row["k"]})
        _log_metrics(tracking, run_id, [(name, value, 0) for name, value in metrics.items()])
        tracking.client.set_terminated(run_id)
        return
    changed = [(name, value, 0) for name, value in metrics.items() if run.data.metrics.get(name) != value]
    _log_metrics(tracking, run.info.run_id, changed)
    if not recommended and RECOMMENDED_TAG in run.data.tags:
        tracking.client.delete_tag(run.info.run_id, RECOMMENDED_TAG)
    for name, value in mark(recommended).items():
        if run.data.tags.get(name) != value:
            tracking.client.set_tag(run.info.run_id, name, value)


def _start_run(tracking: Tracking, name: str, tags: Mapping[str, str]) -> str:
    from mlflow.tracking.context.registry import resolve_tags

    # Who ran it from where: on Databricks, what links a run to its notebook and job.
    run = tracking.client.create_run(tracking.experiment_id, tags=resolve_tags(dict(tags)), run_name=name)
    return run.info.run_id


def _log_params(tracking: Tracking, run_id: str, params: Mapping[str, Any]) -> None:
    from mlflow.entities import Param

    items = [Param(name, str(value)) for name, value in params.items()]
    for start in range(0, len(items), 100):  # as many as MLflow takes in one call
        tracking.client.log_batch(run_id, params=items[start : start + 100])


def _log_metrics(tracking: Tracking, run_id: str, metrics: Sequence[tuple[str, float, int]]) -> None:
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    items = [Metric(name, float(value), now, step) for name, value, step in metrics]
    for start in range(0, len(items), BATCH):
        tracking.client.log_batch(run_id, metrics=items[start : start + BATCH])


def _log_figures(tracking: Tracking, run_id: str, figures: Sequence[tuple[str, "Figure"]]) -> None:
    for name, figure in figures:
        tracking.client.log_figure(run_id, figure, f"{name}.png")


def _search(tracking: Tracking, condition: str) -> list["Run"]:
    """Find runs of the experiment, newest first."""
    return tracking.client.search_runs([tracking.experiment_id], condition, order_by=["attributes.start_time DESC"])


def _parent_runs(tracking: Tracking, model: str | None = None) -> list["Run"]:
    """Find the runs of fits, of one model or of all, newest first."""
    condition = f"tags.`{MODEL_TAG}` != ''" if model is None else f"tags.`{MODEL_TAG}` = '{model}'"
    return [run for run in _search(tracking, condition) if PARENT_TAG not in run.data.tags]


def _versions(tracking: Tracking, kind: str) -> list["ModelVersion"]:
    """Give all registered versions of a kind of model, newest first."""
    name = tracking.names[kind]
    return [] if name is None else find_versions(tracking.client, name)


def _champion(tracking: Tracking) -> "ModelVersion | None":
    name = tracking.names["pca"]
    return None if name is None else find_champion(tracking.client, name)
