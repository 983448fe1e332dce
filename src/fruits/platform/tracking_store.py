"""Where runs and models are recorded: which MLflow store, opened once, and never in the way of the tables.

MLflow takes seconds to import, so every import of it is inside a function: a run with tracking off does not pay for it.
Only MlflowClient is used, which keeps its addresses to itself: the active run and experiment of a notebook stay as
they are.
"""

import functools
import logging
import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from fruits.errors import FruitsError, SettingError
from fruits.platform import s3a
from fruits.platform.names import RECORDERS, workspace_experiment
from fruits.platform.progress import report
from fruits.platform.tables import URI, is_schema, locate
from fruits.platform.tracking_file import may_exist, prepare_file
from fruits.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

# MLflow 3.17 decodes such a path twice: it makes folders of other names and cannot load its models.
MISREAD = re.compile(r"%[0-9A-Fa-f]{2}|\?")

# Set before MLflow is imported, and only where the user did not.
ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",  # a run talks to the tracking server and to nobody else
    "MLFLOW_UV_AUTO_DETECT": "false",  # or a uv.lock in the working directory becomes part of every model
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # standard output may be one JSON object
    "GIT_PYTHON_REFRESH": "quiet",  # no git is no reason to print a page
}
# A server that is away: MLflow would try for four minutes, at every call.
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3"}
FIRST_CALL = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "4"}


@dataclass(frozen=True)
class Tracking:
    """An open store.

    Attributes:
        client: MLflow's client for this store and registry.
        uri: tracking URI.
        registry_uri: registry URI; the same as `uri` except on Databricks.
        experiment_id: the experiment all runs go to.
        names: kind of model (pca, classifier) to its registered name, `main.fruits.fruits_pca` or `fruits_pca`; None
            where the registry takes no name without a schema and there is none.
    """

    client: "MlflowClient"
    uri: str
    registry_uri: str
    experiment_id: str
    names: dict[str, str | None]


def resolve_uri(settings: Settings) -> str | None:
    """Find out where to track: what was asked for, the environment, Databricks, or the lake if it is a folder.

    Returns:
        A tracking URI, or None for no tracking: `tracking=none`, or nothing said and a lake on an object store or
        in a folder that MLflow cannot handle.
    """
    asked = settings.tracking.strip()
    if asked:
        return None if asked.lower() == "none" else asked
    if os.environ.get("MLFLOW_TRACKING_URI"):
        return os.environ["MLFLOW_TRACKING_URI"]
    if os.environ.get("DATABRICKS_RUNTIME_VERSION"):
        return "databricks"
    folder = _local_folder(settings.lake)
    return None if folder is None or MISREAD.search(str(folder)) else f"sqlite:///{folder}/mlflow.db"


def open_tracking(settings: Settings, create: bool = True) -> Tracking | None:
    """Open the store and its experiment. A store that cannot be used is one line on standard error, never an error.

    Args:
        settings: tracking, lake and experiment are read.
        create: make what is not there yet; without, as for a status, an absent store or experiment gives None.

    Returns:
        The open store, or None for no tracking.
    """
    uri = None
    try:
        uri = resolve_uri(settings)
        if uri is None:
            _tell_misread_folder(settings)
            return None
        if not (create or may_exist(uri)):
            return None
        with quiet():
            return _open(uri, settings, create)
    except Exception as error:  # whatever a server, a driver or a file system comes up with, the tables come first
        report(f"tracking: off, {_hide_password(uri) + ': ' if uri else ''}{first_line(error)}")
        return None


def start_opening(settings: Settings, create: bool = True) -> Callable[[], Tracking | None]:
    """Open the store while this thread goes on: MLflow, and what records a fit, take seconds to import.

    Args:
        settings: tracking, lake and experiment are read.
        create: as for open_tracking; without, nothing will be recorded either.

    Returns:
        A function that waits for the store and gives it.
    """

    def open_and_import() -> Tracking | None:
        store = open_tracking(settings, create)
        if store is not None and create:
            import matplotlib.figure  # noqa: F401
            import sklearn.decomposition  # noqa: F401
        return store

    pool = ThreadPoolExecutor(1)
    opened = pool.submit(open_and_import)
    pool.shutdown(wait=False)
    return opened.result


def import_early(settings: Settings) -> None:
    """Import MLflow while Java starts, which leaves a core idle; for what will open a store anyway."""
    uri = resolve_uri(settings)

    def import_mlflow() -> None:
        with suppress(Exception), quiet():  # which imports MLflow; open_tracking says what is wrong
            if uri.startswith("sqlite:"):
                import mlflow.store.tracking.sqlalchemy_store  # noqa: F401

    if uri is not None:
        Thread(target=import_mlflow, daemon=True).start()


def tolerate(what: str, empty: Callable[[], Any] = lambda: None) -> Callable[[Callable], Callable]:
    """Make a function of a Tracking survive any failure of it, for the tables are worth more than their record.

    Args:
        what: what the function does, for the one line on standard error.
        empty: makes what is returned instead, on failure and where there is no tracking.
    """

    def decorate(function: Callable) -> Callable:
        @functools.wraps(function)
        def guarded(tracking: Tracking | None, *args: Any, **kwargs: Any) -> Any:
            if tracking is None:
                return empty()
            try:
                with quiet():
                    return function(tracking, *args, **kwargs)
            except Exception as error:
                report(f"tracking: {what} failed: {first_line(error)}; the tables are complete")
                return empty()

        return guarded

    return decorate


@contextmanager
def quiet() -> Iterator[None]:
    """Keep MLflow's and Alembic's log off the console while our own calls run."""
    for variable, value in ENVIRONMENT.items():
        os.environ.setdefault(variable, value)
    import mlflow  # noqa: F401  it sets the level of its logger, so this comes before the levels are read

    loggers = [logging.getLogger(name) for name in ("mlflow", "alembic")]
    levels = [each.level for each in loggers]
    for each in loggers:
        each.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for each, level in zip(loggers, levels, strict=True):
            each.setLevel(level)


def first_line(error: BaseException) -> str:
    """Say in one line of at most 300 characters what went wrong; a password in a URI stays out of it."""
    lines = str(error).strip().splitlines()
    text = _hide_password(lines[0].strip()) if lines else type(error).__name__
    return text if len(text) <= 300 else text[:299] + "…"


def _tell_misread_folder(settings: Settings) -> None:
    folder = None if settings.tracking.strip() else _local_folder(settings.lake)
    if folder is not None:
        report(
            f"tracking: off, MLflow misreads ? and %20 in a path such as {str(folder)!r}; rename the folder, "
            "or set tracking=sqlite:////OTHER/mlflow.db, or tracking=none"
        )


def _hide_password(text: str) -> str:
    return re.sub(r"//[^/@\s]+@", "//", text)


def _open(uri: str, settings: Settings, create: bool) -> Tracking | None:
    missing = [package for module, package in RECORDERS.items() if find_spec(module) is None]
    if create and missing:
        raise FruitsError(f"a fit is not recorded without {' and '.join(missing)}; pip install {' '.join(missing)}")
    name = workspace_experiment(settings.experiment) if is_databricks(uri) else settings.experiment
    artifacts = prepare_file(uri)
    if artifacts and s3a.is_s3(settings.lake):
        artifacts = s3a.artifacts_beside(locate(settings.lake))  # a cluster's own disk goes with it
    client, registry_uri = connect(uri)
    with first_call(uri):
        experiment = client.get_experiment_by_name(name)
    if experiment is None and not create:
        return None
    experiment_id = experiment.experiment_id if experiment else _create_experiment(client, name, artifacts)
    if experiment and experiment.lifecycle_stage == "deleted":
        raise SettingError(
            f"experiment {name!r} was deleted; `mlflow experiments restore -x {experiment_id}`, or take another name"
        )
    return Tracking(client, uri, registry_uri, experiment_id, name_models(settings, is_databricks(uri)))


def connect(uri: str) -> tuple["MlflowClient", str]:
    """Make a client of a store, and name its registry; nothing is asked yet."""
    from mlflow import MlflowClient

    registry_uri = uri.replace("databricks", "databricks-uc", 1) if is_databricks(uri) else uri
    return MlflowClient(uri, registry_uri), registry_uri


@contextmanager
def first_call(uri: str) -> Iterator[None]:
    """Have a server that is away found out soon; one that answered then has more patience."""
    is_server = uri.startswith("http")
    with _environment(FIRST_CALL if is_server else {}):
        yield
    for variable, value in PATIENCE.items() if is_server else ():
        os.environ.setdefault(variable, value)


def _create_experiment(client: "MlflowClient", name: str, artifacts: str | None) -> str:
    from mlflow.exceptions import MlflowException

    try:
        return client.create_experiment(name, artifact_location=artifacts)
    except MlflowException:
        # Another process may have been faster.
        experiment = client.get_experiment_by_name(name)
        if experiment is None:
            raise
        return experiment.experiment_id


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Set environment variables the user did not set, and take them back afterwards."""
    ours = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            del os.environ[name]


def is_databricks(uri: str) -> bool:
    """Whether a tracking URI is a Databricks workspace."""
    return bool(re.match(r"databricks($|:)", uri))


def name_models(settings: Settings, databricks: bool) -> dict[str, str | None]:
    """Give the registered name of each kind of model, None where Unity Catalog would refuse it."""
    location = locate(settings.lake)
    names: dict[str, str | None] = {"pca": settings.pca_model, "classifier": settings.classifier_model}
    for kind, name in names.items():
        if "." not in name and is_schema(location):
            names[kind] = f"{location}.{name}"
        elif databricks and name.count(".") != 2:
            names[kind] = None
    return names


def _local_folder(lake: str) -> Path | None:
    location = locate(lake)
    if location.startswith("file:"):
        return Path(re.sub(r"^file:/+", "/", location))  # not decoded: Hadoop takes such a path as it stands
    if is_schema(location) or URI.match(location):
        return None
    return Path(location)
