"""Fits in a workspace's MLflow and Unity Catalog: the comparison of k, and which version is the champion.

Through the SDK, for MLflow takes seconds to import; fruits.platform.names says what is recorded how.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from fruits.errors import FruitsError
from fruits.platform.databricks import parameters_of
from fruits.platform.names import (
    AT_K,
    CHAMPION,
    KINDS,
    MODEL_TAG,
    PARENT_TAG,
    RECOMMENDED_TAG,
    workspace_experiment,
)
from fruits.settings import Settings

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.service.catalog import ModelVersionInfo
    from databricks.sdk.service.jobs import Job
    from databricks.sdk.service.ml import Run

COUNTS = ("k", "bytes_per_photo")  # MLflow knows floats only


def name_models(job: "Job") -> dict[str, str]:
    """Name the registered models of a job, by kind: as its parameters do, a plain name being one in its lake.

    Raises:
        FruitsError: the job says neither where its models nor where its lake is.
    """
    given, names = parameters_of(job), {}
    for kind in KINDS:
        setting = f"{kind}_model"
        name = given.get(setting) or getattr(Settings, setting)
        names[kind] = name if "." in name else f"{given.get('lake', '')}.{name}"
        if names[kind].count(".") != 2:
            raise FruitsError(
                f"job {job.settings.name!r} does not say where its models are; it needs a parameter {setting}, or "
                "lake=catalog.schema"
            )
    return names


def compare_fit(client: "WorkspaceClient", experiment: str) -> dict[str, Any]:
    """Read the comparison of k of the newest complete fit.

    Args:
        client: the workspace.
        experiment: name of the experiment; one without a folder is in /Shared, as where it is recorded.

    Returns:
        model, run_id, experiment, recommended_k and rows, one per k, as `fruits compare` gives them.

    Raises:
        FruitsError: no such experiment, no fit in it, or a fit that was not compared.
    """
    from databricks.sdk.errors import NotFound

    name = workspace_experiment(experiment)
    way_out = "`fruits databricks run` makes one"
    try:
        found = client.experiments.get_by_name(name).experiment
    except NotFound:
        raise FruitsError(f"experiment {name!r} is not there, or may not be seen; {way_out}") from None
    fits = _search(client, found.experiment_id, f"tags.`{MODEL_TAG}` != ''")
    fit = next((run for run in fits if PARENT_TAG not in _tags(run) and _is_finished(run)), None)
    if fit is None:
        raise FruitsError(f"experiment {name!r} has no complete fit yet; {way_out}")
    compared = _search(client, found.experiment_id, f"tags.`{PARENT_TAG}` = '{fit.info.run_id}'")
    rows = {row["k"]: row for row in map(_as_row, filter(_is_finished, reversed(compared)))}
    if not rows:
        raise FruitsError(f"the newest fit, {_tags(fit)[MODEL_TAG]}, was not compared yet; {way_out}")
    return {
        "model": _tags(fit)[MODEL_TAG],
        "run_id": fit.info.run_id,
        "experiment": name,
        "recommended_k": next((k for k, row in rows.items() if row["recommended"]), None),
        "rows": [rows[k] for k in sorted(rows)],
    }


def find_versions(client: "WorkspaceClient", names: Mapping[str, str], run_id: str) -> dict[str, int]:
    """Give the registered versions of one fit, by kind; a kind that is not registered is left out."""
    from databricks.sdk.errors import NotFound, PermissionDenied

    found = {}
    for kind, name in names.items():
        try:
            versions = [each.version for each in client.model_versions.list(_path(name)) if each.run_id == run_id]
        except (NotFound, PermissionDenied):
            continue
        if versions:
            found[kind] = max(versions)
    return found


def plan_promotion(client: "WorkspaceClient", names: Mapping[str, str], version: int) -> dict[str, Any]:
    """Find out what a promotion would move; nothing is changed.

    Args:
        client: the workspace.
        names: registered models by kind, from name_models.
        version: of the PCA model; the classifier of the same fit goes with it.

    Returns:
        moves: kind to name, version and replaces (None for no champion yet), for what is to move; about: model, k,
        explained and made (ms since 1970) of the version; replaced: the same of the champion, None if there is none.

    Raises:
        FruitsError: no such model or version.
    """
    from databricks.sdk.errors import NotFound

    try:
        known = {each.version: each for each in client.model_versions.list(_path(names["pca"]))}
    except NotFound:
        raise FruitsError(
            f"model {names['pca']!r} is not there, or may not be seen; `fruits databricks run` registers it"
        ) from None
    if version not in known:
        there = ", ".join(map(str, sorted(known))) or "none"
        raise FruitsError(f"{names['pca']} has no version {version}; it has {there}")
    run_id = known[version].run_id
    wanted = {"pca": version} | (find_versions(client, {"classifier": names["classifier"]}, run_id) if run_id else {})
    champions = {kind: _champion(client, names[kind]) for kind in wanted}
    moves = {
        kind: {"name": names[kind], "version": wanted[kind], "replaces": champions[kind]}
        for kind in wanted
        if champions[kind] != wanted[kind]
    }
    before = known.get(champions["pca"])
    return {
        "moves": moves,
        "about": _describe(client, known[version]),
        "replaced": _describe(client, before) if before and before.version != version else None,
    }


def promote(client: "WorkspaceClient", moves: Mapping[str, Mapping[str, Any]]) -> None:
    """Move the alias as planned. The PCA, which answers for the champion, comes last."""
    for kind in sorted(moves, key="pca".__eq__):
        client.registered_models.set_alias(_path(moves[kind]["name"]), CHAMPION, moves[kind]["version"])


def _champion(client: "WorkspaceClient", name: str) -> int | None:
    aliases = client.registered_models.get(_path(name), include_aliases=True).aliases or []
    return next((alias.version_num for alias in aliases if alias.alias_name == CHAMPION), None)


def _describe(client: "WorkspaceClient", version: "ModelVersionInfo") -> dict[str, Any]:
    """Say what a version is, from the run that made it; the run may be gone, the version is not."""
    from databricks.sdk.errors import DatabricksError

    about = {"version": version.version, "model": None, "k": None, "explained": None, "made": version.created_at}
    try:
        run = client.experiments.get_run(version.run_id).run if version.run_id else None
    except DatabricksError:
        run = None
    if run is not None:
        metrics, params = _metrics(run), {each.key: each.value for each in run.data.params or []}
        about |= {"model": params.get("model"), "explained": metrics.get(AT_K)}
        about["k"] = int(metrics["k"]) if "k" in metrics else None
    return about


def _search(client: "WorkspaceClient", experiment_id: str, condition: str) -> list["Run"]:
    """Find runs, newest first."""
    order = ["attributes.start_time DESC"]
    return list(client.experiments.search_runs(experiment_ids=[experiment_id], filter=condition, order_by=order))


def _as_row(run: "Run") -> dict[str, Any]:
    """Give the metrics of one compared k; what could not be measured is not among them."""
    row = {name: int(value) if name in COUNTS else value for name, value in _metrics(run).items()}
    return row | {"recommended": RECOMMENDED_TAG in _tags(run)}


def _tags(run: "Run") -> dict[str, str]:
    return {each.key: each.value for each in (run.data.tags or [])} if run.data else {}


def _metrics(run: "Run") -> dict[str, float]:
    return {each.key: each.value for each in (run.data.metrics or [])} if run.data else {}


def _is_finished(run: "Run") -> bool:
    return bool(run.info and run.info.status and run.info.status.value == "FINISHED")


def _path(name: str) -> str:
    """Write a model's name for a URL; the SDK puts it in as it stands."""
    return quote(name, safe=".")
