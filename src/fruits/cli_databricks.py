"""`fruits databricks …`: a workspace from this machine; the work is done by fruits.platform."""

import argparse
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fruits.cli_command import Command, argument, join
from fruits.errors import FruitsError, SettingError
from fruits.platform.parameters import add_arguments
from fruits.platform.progress import report
from fruits.settings import from_text, names
from fruits.views import summaries

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.service.jobs import Job


def _job(client: "WorkspaceClient", arguments: argparse.Namespace) -> "Job":
    from fruits.platform.databricks import find_job

    return find_job(client, arguments.job, arguments.job_id)


def _upload(arguments: argparse.Namespace) -> dict[str, Any]:
    from fruits.platform.databricks import need_parameter, open_workspace
    from fruits.platform.databricks_upload import upload_photos
    from fruits.platform.upload import find_photos

    photos = find_photos(arguments.folder)
    with open_workspace(arguments.profile) as client:
        to = arguments.to
        if to is None:
            to = need_parameter(_job(client, arguments), "images", "say where to with --to /Volumes/…")
        return upload_photos(client, photos, to)


def _run(arguments: argparse.Namespace) -> dict[str, Any]:
    from fruits.platform.databricks import open_workspace
    from fruits.platform.databricks_jobs import follow_run, start_run

    given = {name: vars(arguments)[name] for name in names() if vars(arguments)[name]}
    from_text(given)
    if arguments.follow is not None and given:
        raise SettingError("--follow looks at a run that was started already; it takes no settings")
    with open_workspace(arguments.profile) as client:
        run_id = arguments.follow
        if run_id is None:
            job = _job(client, arguments)
            run_id = start_run(client, job, given)
            report(f"run: {run_id} of job {job.settings.name!r} ({job.job_id}) is started")
        return follow_run(client, run_id)


def _runs(arguments: argparse.Namespace) -> dict[str, Any]:
    from fruits.platform.databricks import open_workspace
    from fruits.platform.databricks_jobs import list_runs

    if arguments.last < 1:
        raise SettingError(f"last={arguments.last} is below 1; try --last 10")
    with open_workspace(arguments.profile) as client:
        job = _job(client, arguments)
        return {"job": job.settings.name, "job_id": job.job_id, "runs": list_runs(client, job, arguments.last)}


def _compare(arguments: argparse.Namespace) -> dict[str, Any]:
    from fruits.platform.databricks import need_parameter, open_workspace
    from fruits.platform.databricks_models import compare_fit, find_versions, name_models

    with open_workspace(arguments.profile) as client:
        job = _job(client, arguments)
        experiment = arguments.experiment or need_parameter(job, "experiment", "name it with --experiment")
        result = compare_fit(client, experiment)
        try:
            models = name_models(job)
        except FruitsError:  # nothing to promote then, but all the more to look at
            models = {}
        return result | {"versions": find_versions(client, models, result["run_id"])}


def _promote(arguments: argparse.Namespace) -> dict[str, Any]:
    from fruits.platform.databricks import open_workspace
    from fruits.platform.databricks_models import name_models, plan_promotion, promote

    if not arguments.yes and not sys.stdin.isatty():
        raise SettingError("promote asks first, and there is no terminal to ask at; add --yes")
    with open_workspace(arguments.profile) as client:
        plan = plan_promotion(client, name_models(_job(client, arguments)), arguments.version)
        if plan["moves"]:
            _tell(plan)
            if not arguments.yes and not _is_sure():
                raise FruitsError("nothing was promoted")
            promote(client, plan["moves"])
    return {"about": plan["about"], "replaced": plan["replaced"], "promoted": plan["moves"]}


def _tell(plan: dict[str, Any]) -> None:
    """Say what a promotion would do."""
    for move in plan["moves"].values():
        report(f"promote: {move['name']} version {move['version']} becomes the champion")
    report(f"promote: it is {summaries.show_version(plan['about'])}")
    before = plan["replaced"]
    report(f"promote: it replaces {summaries.show_version(before) if before else 'none, there is no champion yet'}")


def _is_sure() -> bool:
    print("Promote it? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _download(arguments: argparse.Namespace) -> dict[str, Any]:
    from fruits.platform.databricks import need_parameter, open_workspace
    from fruits.platform.databricks_tables import check_file, download_table

    file = check_file(arguments.to or f"{arguments.table}.parquet")
    with open_workspace(arguments.profile) as client:
        lake = arguments.lake
        if lake is None:
            lake = need_parameter(_job(client, arguments), "lake", "name it with --lake catalog.schema")
        return download_table(client, lake, arguments.table, file, arguments.warehouse)


def _extra(*more: Callable[[argparse.ArgumentParser], Any]) -> Callable[[argparse.ArgumentParser], None]:
    """Give what adds the arguments of one command, then those that all of them take."""
    return join(*more, *FOR_ALL)


FOR_ALL = (
    argument("--profile", metavar="NAME", help="Databricks profile (default: the environment, then DEFAULT)"),
    argument("--job", default="fruits", metavar="NAME", help="name of the job (default: fruits)"),
    argument("--job-id", type=int, metavar="ID", help="its id, where two jobs have one name"),
)
DATABRICKS = Command(
    "upload, run, runs, compare, promote and download, on a Databricks workspace",
    "logs in as the Databricks SDK does (profile, OAuth, environment), and finds the deployed job by its name",
    "fruits databricks run",
    below={
        "upload": Command(
            "photos -> the volume that the job reads",
            "only what is not there with the same content, many at once; a stopped upload is continued",
            "fruits databricks upload ./fruits-360",
            _upload,
            summaries.show_upload,
            settings=None,
            extra=_extra(
                argument("folder", metavar="DIR", help="photos, laid out [<split>/]<label>/<file>"),
                argument("--to", metavar="PATH", help="folder in a volume (default: where the job looks for photos)"),
            ),
        ),
        "run": Command(
            "start the job and follow it to its end",
            "settings that are not given stay as the job has them; exit status 1 for a run that did not succeed",
            "fruits databricks run --k 0.95",
            _run,
            summaries.show_job_run,
            settings=None,
            extra=_extra(
                lambda parser: add_arguments(parser, defaults=False),
                argument("--follow", type=int, metavar="RUN_ID", help="follow a run that is under way, start none"),
            ),
        ),
        "runs": Command(
            "the last runs of the job",
            "when, by what, how they ended, how long they took",
            "fruits databricks runs --last 5",
            _runs,
            summaries.show_job_runs,
            settings=None,
            extra=_extra(argument("--last", type=int, default=10, metavar="N", help="how many (default: 10)")),
        ),
        "compare": Command(
            "the table of k of the newest fit",
            "as MLflow has it, with the versions that its models are registered as",
            "fruits databricks compare",
            _compare,
            summaries.show_fit,
            settings=None,
            extra=_extra(argument("--experiment", metavar="NAME", help="MLflow experiment (default: the job's)")),
        ),
        "promote": Command(
            "make a version of the PCA the champion",
            "and the classifier of the same fit with it; shows what it is and asks first",
            "fruits databricks promote 3",
            _promote,
            summaries.show_promotion,
            settings=None,
            extra=_extra(
                argument("version", type=int, metavar="VERSION", help="of the PCA model, as compare shows it"),
                argument("--yes", action="store_true", help="do not ask"),
            ),
        ),
        "download": Command(
            "a table -> a file on this machine",
            "through a SQL warehouse; the photos themselves are left out",
            "fruits databricks download gold_pca --to gold_pca.csv",
            _download,
            summaries.show_download,
            settings=None,
            extra=_extra(
                argument("table", metavar="TABLE", help="gold_pca, gold_comparison, …"),
                argument("--lake", metavar="CATALOG.SCHEMA", help="where the table is (default: the job's lake)"),
                argument("--to", metavar="FILE", help="a .parquet or a .csv (default: TABLE.parquet)"),
                argument("--warehouse", metavar="NAME", help="SQL warehouse (default: the only one, or one that runs)"),
            ),
        ),
    },
)
