"""Which MLflow store is used, what opening it may cost, and what is said when it cannot be had."""

import shutil
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

from fruits.platform import tracking, tracking_store
from fruits.platform.tracking_file import prepare_file
from fruits.platform.tracking_store import name_models
from fruits.settings import Settings

pytestmark = pytest.mark.usefixtures("no_store_of_the_machine")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    settings = Settings(lake=str(tmp_path_factory.mktemp("lake")))
    return settings, tracking.open_tracking(settings)


@pytest.mark.parametrize(
    ("lake", "uri"),
    [
        ("/data/lake", "sqlite:////data/lake/mlflow.db"),
        ("file:/data/lake", "sqlite:////data/lake/mlflow.db"),
        ("file:///data/lake/", "sqlite:////data/lake/mlflow.db"),
        ("s3://bucket/lake", None),
        ("main.fruits", None),
    ],
)
def test_a_lake_in_a_folder_has_its_own_store(lake, uri):
    assert tracking.resolve_uri(Settings(lake=lake)) == uri


def test_what_was_asked_for_goes_before_the_environment_and_that_before_the_lake(monkeypatch):
    settings = Settings(lake="/data/lake")
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "18.0")
    assert tracking.resolve_uri(settings) == "databricks"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server")
    assert tracking.resolve_uri(settings) == "http://server"
    assert tracking.resolve_uri(replace(settings, tracking="sqlite:///x.db")) == "sqlite:///x.db"
    assert tracking.resolve_uri(replace(settings, tracking="none")) is None


@pytest.mark.parametrize("name", ["my%20photos", "what?"])
def test_a_path_mlflow_misreads_is_told_with_a_way_out(tmp_path, name, capsys):
    settings = Settings(lake=str(tmp_path / name))
    assert tracking.resolve_uri(settings) is None
    assert tracking.open_tracking(settings) is None
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and repr(str(tmp_path / name)) in told and "tracking=sqlite:" in told
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_without_what_a_fit_is_recorded_with_it_says_what_to_install(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(tracking_store.RECORDERS, "sklearn_of_nobody", "scikit-learn")
    assert tracking.open_tracking(Settings(lake=str(tmp_path))) is None
    assert "not recorded without scikit-learn; pip install scikit-learn\n" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_store_stopped_while_it_is_made_is_made_by_the_next_run(tmp_path):
    """Half of it would be worse than nothing: MLflow never opens a store whose migrations were cut short."""

    def stop(*_):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("shutil.copy", stop)
        tracking.open_tracking(Settings(lake=str(tmp_path)))
    assert list(tmp_path.iterdir()) == []
    assert tracking.open_tracking(Settings(lake=str(tmp_path))) is not None
    assert [file.name for file in tmp_path.iterdir()] == ["mlflow.db"]


def test_a_store_that_another_process_makes_meanwhile_is_kept(tmp_path, monkeypatch):
    def make_meanwhile(made, part, real=shutil.copy):
        (tmp_path / "mlflow.db").write_bytes(b"theirs")
        real(made, part)

    monkeypatch.setattr("shutil.copy", make_meanwhile)
    prepare_file(f"sqlite:///{tmp_path}/mlflow.db")
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"mlflow.db": b"theirs"}


def test_looking_makes_no_store(tmp_path, capsys):
    assert tracking.open_tracking(Settings(lake=str(tmp_path)), create=False) is None
    assert list(tmp_path.iterdir()) == [] and capsys.readouterr().err == ""


@pytest.mark.usefixtures("store")  # MLflow is loaded by then
def test_a_server_that_is_away_is_found_soon_and_told_in_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    start = time.monotonic()
    assert tracking.open_tracking(Settings(lake=str(tmp_path), tracking="http://me:secret@127.0.0.1:9")) is None
    assert time.monotonic() - start < 10
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and told.startswith("tracking: off, http://127.0.0.1:9: ")
    assert "secret" not in told


def test_a_deleted_experiment_is_told(store, capsys):
    settings, opened = store
    opened.client.delete_experiment(opened.client.create_experiment("gone"))
    assert tracking.open_tracking(replace(settings, experiment="gone")) is None
    assert "experiment 'gone' was deleted" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("chosen", "pca", "classifier"),
    [
        ({"lake": "./lake"}, "fruits_pca", "fruits_classifier"),
        ({"lake": "main.fruits"}, "main.fruits.fruits_pca", "main.fruits.fruits_classifier"),
        ({"lake": "main.fruits", "pca_model": "dev.me.apples"}, "dev.me.apples", "main.fruits.fruits_classifier"),
        ({"lake": "./lake", "pca_model": "apples", "classifier_model": "a.b"}, "apples", "a.b"),
    ],
)
def test_models_have_the_names_of_the_settings_in_the_schema_of_the_lake(store, chosen, pca, classifier):
    opened = tracking.open_tracking(Settings(tracking=store[1].uri, **chosen))
    assert opened.names == {"pca": pca, "classifier": classifier}


def test_unity_catalog_takes_no_model_outside_a_schema():
    settings = Settings(lake="s3://bucket/lake", pca_model="main.fruits.apples", classifier_model="fruits.kinds")
    assert name_models(settings, databricks=True) == {"pca": "main.fruits.apples", "classifier": None}
    assert name_models(Settings(lake="main.fruits"), databricks=True)["pca"] == "main.fruits.fruits_pca"


class Workspace:
    """As much of an MLflow client as opening a store needs; what it was asked is in `asked`."""

    def __init__(self, uri, registry_uri):
        self.uris, self.asked = (uri, registry_uri), []

    def get_experiment_by_name(self, name):
        self.asked.append(name)
        return SimpleNamespace(experiment_id="7", lifecycle_stage="active")


@pytest.mark.parametrize(
    ("experiment", "asked"),
    [
        ("fruits", "/Shared/fruits"),
        ("/Users/me/fruits", "/Users/me/fruits"),
        ("/Workspace/Users/me/.bundle/fruits/dev/[dev me] runs", "/Users/me/.bundle/fruits/dev/[dev me] runs"),
        ("/Workspaces/fruits", "/Workspaces/fruits"),
    ],
)
def test_a_workspace_is_asked_for_an_experiment_by_the_name_it_keeps(monkeypatch, experiment, asked):
    monkeypatch.setattr("mlflow.MlflowClient", Workspace)
    opened = tracking.open_tracking(Settings(lake="main.fruits", tracking="databricks", experiment=experiment))
    assert opened.client.uris == ("databricks", "databricks-uc")
    assert (opened.client.asked, opened.experiment_id) == ([asked], "7")


def test_without_tracking_mlflow_is_not_even_imported(tmp_path):
    code = """
import sys
from fruits.platform import tracking
from fruits.settings import Settings
opened = tracking.open_tracking(Settings(lake=sys.argv[1], tracking="none"))
assert opened is None and tracking.find_run(opened, "m") is None and tracking.log_fit(opened, None) is None
assert tracking.promote(opened, "m", "always") is None and tracking.champion_model(opened) == tracking.UNKNOWN
assert tracking.log_comparison(opened, None, [], 4) is None
assert tracking.list_models(opened) == tracking.last_runs(opened) == []
assert "mlflow" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=60)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(("tracking", "imported"), [("", True), ("none", False)])
def test_mlflow_is_imported_beside_what_starts_where_a_store_will_be_opened(tracking, imported, tmp_path):
    code = (
        "import sys, threading\n"
        "from fruits.platform.tracking_store import import_early\n"
        "from fruits.settings import Settings\n"
        "import_early(Settings(lake=sys.argv[1], tracking=sys.argv[2]))\n"
        "[each.join() for each in threading.enumerate() if each.daemon]\n"
        "print('mlflow.store.tracking.sqlalchemy_store' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code, tmp_path, tracking], capture_output=True, text=True)
    assert (ended.stdout.strip(), ended.returncode) == (str(imported), 0), ended.stderr
