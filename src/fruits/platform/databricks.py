"""A Databricks workspace from outside: logging in, the deployed job, and errors in one line that hold no secret.

Logging in is the SDK's own: a profile, OAuth, the environment. The SDK takes a second to import, so that is done inside
functions; nothing here needs Spark or MLflow.
"""

import configparser
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fruits import __version__
from fruits.errors import FruitsError, SettingError

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.core import Config
    from databricks.sdk.service.jobs import Job

FIRST_ANSWER = 5  # seconds of trying; a wrong host must not look like a slow one
PATIENCE = 60  # seconds the SDK tries a call again that was throttled or lost
READ_TIMEOUT = 60  # seconds without a byte; a statement may wait for 30 before it is answered
JOB = "fruits"


def connect(profile: str | None = None) -> "WorkspaceClient":
    """Log in to a workspace, and see that it is there.

    Args:
        profile: of the SDK's configuration file; None for the environment or the default profile.

    Raises:
        SettingError: no login is configured.
        FruitsError: no such host answers.
    """
    try:
        from databricks.sdk import WorkspaceClient
        from databricks.sdk.core import Config
    except ModuleNotFoundError:
        raise FruitsError("the Databricks SDK is not installed here; pip install 'fruits[databricks]'") from None
    if not os.environ.get("FRUITS_DEBUG"):
        logging.getLogger("databricks.sdk").setLevel(logging.CRITICAL)  # it warns of what is said here in one line
    try:
        config = Config(
            profile=profile,
            product="fruits",
            product_version=__version__,
            http_timeout_seconds=2 * FIRST_ANSWER,
            retry_timeout_seconds=FIRST_ANSWER,
        )
    except ValueError as error:
        raise SettingError(_explain_login(str(error), profile)) from None
    if not config.host:
        raise SettingError(_explain_login("", profile))
    _reach(config)
    config.http_timeout_seconds, config.retry_timeout_seconds = READ_TIMEOUT, PATIENCE
    return WorkspaceClient(config=config)


@contextmanager
def open_workspace(profile: str | None = None) -> Iterator["WorkspaceClient"]:
    """Log in to a workspace; what the SDK raises then becomes a FruitsError that says what to do, without a secret."""
    client = connect(profile)
    try:
        yield client
    except FruitsError:
        raise
    except Exception as error:
        said = explain(client, error)
        if said is None:
            raise
        raise FruitsError(said) from None


def explain(client: "WorkspaceClient", error: BaseException) -> str | None:
    """Say in one line what went wrong with a workspace; None for what has nothing to do with one."""
    import requests
    from databricks.sdk.errors import DatabricksError, NotFound, PermissionDenied, Unauthenticated

    host = client.config.host
    text = first_line(client, error)
    if isinstance(error, Unauthenticated):
        return (
            f"{host} does not accept this login ({text}); it may have expired: run `databricks auth login --host "
            f"{host}`, or set DATABRICKS_TOKEN anew"
        )
    if isinstance(error, PermissionDenied):
        return f"{host} does not permit this: {text}; ask an owner or administrator to grant it"
    if isinstance(error, NotFound):
        return f"{host} does not have this: {text}"
    if isinstance(error, DatabricksError):
        return f"{host} answered with an error: {text}"
    if isinstance(error, TimeoutError | requests.RequestException):
        return f"{host} does not answer any more; the same command again continues"
    return None


def first_line(client: "WorkspaceClient", error: BaseException) -> str:
    """Give the first line of an error, at most 300 characters, without the SDK's report of its configuration."""
    text = re.split(r"\.? (?=(?:Config|Env): )", " ".join(str(error).split()))[0]
    if text.startswith("unable to parse response"):  # and then a page of it
        text = "the answer is not that of a Databricks workspace; check the host"
    return hide_secrets(client.config, text).rstrip(".")[:300] or type(error).__name__


def hide_secrets(config: "Config", text: str) -> str:
    """Take out whatever is a secret of this login; no message is meant to hold one."""
    for attribute in config.attributes():
        secret = getattr(config, attribute.name, None)
        if attribute.sensitive and secret:
            text = text.replace(str(secret), "***")
    return text


def find_job(client: "WorkspaceClient", name: str = JOB, job_id: int | None = None) -> "Job":
    """Find a deployed job: by its id, by its name, or by its name behind a prefix such as `[dev ana] `.

    Raises:
        FruitsError: there is none, or more than one.
    """
    from databricks.sdk.errors import NotFound

    if job_id is not None:
        try:
            return client.jobs.get(job_id)
        except NotFound:
            raise FruitsError(
                f"job {job_id} is not there, or may not be seen; `databricks jobs list` shows all"
            ) from None
    # The server takes upper for lower case; and it knows no pattern, so the second look is at all jobs.
    fits = [job for job in client.jobs.list(name=name) if job.settings.name == name]
    if not fits:
        prefixed = re.compile(rf"\[[^\]]*\] {re.escape(name)}")
        fits = [job for job in client.jobs.list(limit=100) if prefixed.fullmatch(job.settings.name or "")]
    if not fits:
        raise FruitsError(
            f"no job {name!r} on {client.config.host}; `databricks bundle deploy` makes it, --job NAME takes another"
        )
    if len(fits) > 1:
        found = ", ".join(f"{job.job_id} ({job.settings.name})" for job in fits)
        raise FruitsError(f"{len(fits)} jobs are called {name!r}: {found}; choose one with --job-id ID")
    return client.jobs.get(fits[0].job_id)


def parameters_of(job: "Job") -> dict[str, str]:
    """Give the parameters of a job with their defaults."""
    return {each.name: each.default or "" for each in job.settings.parameters or []}


def need_parameter(job: "Job", name: str, instead: str) -> str:
    """Give one parameter of a job.

    Raises:
        FruitsError: the job has none of this name, or an empty one.
    """
    value = parameters_of(job).get(name)
    if not value:
        raise FruitsError(f"job {job.settings.name!r} has no parameter {name!r}; {instead}")
    return value


def plain(value: Any) -> str:
    """Write a name of the SDK's enumerations as a word: RUN_EXECUTION_ERROR -> run execution error."""
    return str(getattr(value, "value", value)).lower().replace("_", " ")


def _reach(config: "Config") -> None:
    """See that something answers at the host, whatever it says."""
    import requests

    try:
        requests.head(config.host, timeout=FIRST_ANSWER, allow_redirects=False)
    except (requests.RequestException, UnicodeError):
        raise FruitsError(
            f"no answer from host {config.host!r}; check its name (DATABRICKS_HOST, or the profile) and the network"
        ) from None


def _explain_login(said: str, profile: str | None) -> str:
    way_out = "run `databricks auth login --host https://…`, or set DATABRICKS_HOST and DATABRICKS_TOKEN"
    missing = re.search(r"has no (.+) profile configured", said)
    wanted = missing[1] if missing else profile
    if wanted and wanted not in _profiles():
        there = ", ".join(_profiles()) or "none"
        return f"profile={wanted!r} is not among the Databricks profiles of this user ({there}); {way_out}"
    if "more than one authorization method" in said:
        return (
            "more than one Databricks login is set; unset all but one of the DATABRICKS_… variables, or use --profile"
        )
    return f"no Databricks login is configured; {way_out}, or give --profile NAME"


def _profiles() -> list[str]:
    file = Path(os.environ.get("DATABRICKS_CONFIG_FILE") or "~/.databrickscfg").expanduser()
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(file)
    except (configparser.Error, OSError):
        return []
    names = (["DEFAULT"] if parser.defaults() else []) + parser.sections()
    return [name for name in names if not name.startswith("__")]
