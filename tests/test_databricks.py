"""Logging in to a workspace, and what is said where that fails: one line, no secret, and soon."""

import re
import shlex
import time
from pathlib import Path

import pyarrow as pa
import pytest
from databricks_server import TOKEN, VOLUME, Fault, make_job
from databricks_server import no_login as no_login
from databricks_server import type_in as type_in
from databricks_server import workspace as workspace
from test_databricks_jobs import GOOD
from test_databricks_models import fits as fits
from test_databricks_tables import as_stream

from fruits import cli
from fruits.platform import databricks, databricks_jobs

README = (Path(__file__).parents[1] / "README.md").read_text()


@pytest.fixture
def soon(monkeypatch):
    """Try a host that is away for a second, not for five."""
    monkeypatch.setattr(databricks, "FIRST_ANSWER", 1)


def write_profiles(tmp_path: Path, host: str, token: str = TOKEN) -> None:
    text = f"[here]\nhost = {host}\ntoken = {token}\n\n[there]\nhost = https://nowhere.invalid\ntoken = {token}\n"
    (tmp_path / "databrickscfg").write_text(text)


# Logging in


@pytest.mark.slow
@pytest.mark.usefixtures("no_login")
def test_without_any_login_it_says_how_to_get_one(type_in):
    status, out, err = type_in("runs")
    assert (status, out) == (2, "")
    assert re.fullmatch(
        r"fruits: no Databricks login is configured; run `databricks auth login .*--profile NAME\n", err
    )


@pytest.mark.slow
@pytest.mark.usefixtures("no_login", "soon")
def test_a_host_without_a_login_is_no_login(type_in, monkeypatch):
    monkeypatch.setenv("DATABRICKS_HOST", "http://127.0.0.1:9")
    assert type_in("runs")[0] == 2


def test_a_profile_logs_in(workspace, type_in, monkeypatch, tmp_path):
    monkeypatch.delenv("DATABRICKS_HOST")
    monkeypatch.delenv("DATABRICKS_TOKEN")
    write_profiles(tmp_path, workspace.host)
    assert "has no run yet" in type_in("runs", "--profile", "here")[2]
    status, _, err = type_in("runs", "--profile", "heer")
    assert status == 2
    assert err.startswith("fruits: profile='heer' is not among the Databricks profiles of this user (here, there); ")


@pytest.mark.slow
@pytest.mark.usefixtures("no_login")
def test_two_logins_at_once_are_said(type_in, monkeypatch):
    monkeypatch.setenv("DATABRICKS_HOST", "http://127.0.0.1:9")
    monkeypatch.setenv("DATABRICKS_TOKEN", TOKEN)
    monkeypatch.setenv("DATABRICKS_USERNAME", "ana")
    monkeypatch.setenv("DATABRICKS_PASSWORD", TOKEN)
    monkeypatch.setattr(databricks, "FIRST_ANSWER", 1)
    status, _, err = type_in("runs")
    assert (status, err.startswith("fruits: more than one Databricks login is set")) == (2, True)


@pytest.mark.slow
@pytest.mark.usefixtures("no_login", "soon")
@pytest.mark.parametrize("host", ["http://127.0.0.1:9", "https://nowhere.invalid", "no host"])
def test_a_wrong_host_is_said_soon(type_in, monkeypatch, host):
    monkeypatch.setenv("DATABRICKS_HOST", host)
    monkeypatch.setenv("DATABRICKS_TOKEN", TOKEN)
    start = time.monotonic()
    status, out, err = type_in("runs")
    assert time.monotonic() - start < 15
    assert (status, out) == (1, "")
    assert re.fullmatch(rf"fruits: no answer from host '(https://)?{host}'; check its name .*\n", err)


def test_a_host_that_is_no_workspace_is_said(workspace, type_in):
    workspace.faults.append(Fault("GET", "/api/", status=404, message=b"<html>\n<h1>Not here</h1>\n</html>"))
    status, _, err = type_in("runs")
    assert (status, err.count("\n")) == (1, 1)
    assert "the answer is not that of a Databricks workspace; check the host" in err


def test_an_expired_token_says_how_to_renew_it(workspace, type_in, monkeypatch):
    monkeypatch.setenv("DATABRICKS_TOKEN", "dapi-expired")
    for line in ("runs", "run", "compare", "promote 1 --yes", "download gold_pca"):
        status, out, err = type_in(*line.split())
        assert (status, out) == (1, "")
        assert re.fullmatch(
            r"fruits: http://\S+ does not accept this login \(Invalid access token\); .*auth login.*\n", err
        )
        assert "dapi-expired" not in err


def test_a_missing_permission_is_named(workspace, type_in):
    message = f"User ana does not have View on job fruits. {TOKEN}"  # no server says it, and none shall
    workspace.faults.append(Fault("GET", "jobs/list", status=403, message=message))
    status, _, err = type_in("runs")
    assert status == 1
    assert "does not permit this: User ana does not have View on job fruits. ***; ask an owner" in err


def test_an_error_of_the_server_is_one_line(workspace, type_in):
    workspace.faults.append(Fault("GET", "jobs/list", status=500, message="boom\nat Some.java"))
    status, _, err = type_in("runs")
    assert (status, err) == (1, f"fruits: {workspace.host} answered with an error: boom at Some.java\n")


@pytest.mark.slow
def test_a_workspace_that_goes_away_is_one_line(workspace, type_in, monkeypatch):
    monkeypatch.setattr(databricks, "PATIENCE", 1)
    workspace.faults.append(Fault("GET", "jobs/list", drop="early", times=99))
    status, _, err = type_in("runs")
    assert (status, "does not answer any more" in err, err.count("\n")) == (1, True, 1)


def test_a_job_without_the_parameter_says_what_to_give_instead(workspace, type_in, tmp_path):
    workspace.jobs[11] = {"name": "fruits"}
    (tmp_path / "1.jpg").write_bytes(b"x")
    for line, name in (
        (["upload", str(tmp_path)], "images"),
        (["compare"], "experiment"),
        (["download", "gold_pca"], "lake"),
    ):
        status, _, err = type_in(*line)
        assert (status, err.startswith(f"fruits: job 'fruits' has no parameter '{name}'; ")) == (1, True)


def test_a_job_whose_name_needs_quoting_is_found(workspace, type_in):
    workspace.jobs[12] = make_job("[dev añä] früits & 50% #1 (a+b)")
    assert "has no run yet" in type_in("runs", "--job", "früits & 50% #1 (a+b)")[2]


def test_without_the_sdk_it_says_what_to_install(type_in, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "databricks.sdk", None)
    assert type_in("runs")[::2] == (
        1,
        "fruits: the Databricks SDK is not installed here; pip install 'fruits[databricks]'\n",
    )


# What the README says


def test_the_lines_of_the_readme_work(fits, type_in, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(databricks_jobs, "PAUSE", 0.01)
    (tmp_path / "fruits-360").mkdir()
    (tmp_path / "fruits-360" / "1.jpg").write_bytes(b"x")
    fits.run_states, fits.runs = GOOD[:], GOOD[-1:]
    fits.tables["main.fruits.gold_pca"] = ["path"]
    fits.warehouses = [{"id": "w1", "name": "Starter", "state": "RUNNING"}]
    fits.chunks, fits.rows = [as_stream([{"path": "a"}], pa.schema([("path", pa.string())]))], 1
    lines = re.findall(r"^fruits databricks (.+)$", README, re.M)
    assert {line.split()[0] for line in lines} == set(cli.COMMANDS["databricks"].below)
    for line in lines:
        words = shlex.split(re.sub(r"promote \d", "promote 2 --yes", line))
        assert type_in(*words)[0] == 0, line
    assert fits.files[f"{VOLUME}/1.jpg"] == b"x"
    assert (tmp_path / "gold_pca.csv").is_file()
