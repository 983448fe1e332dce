"""The registered classifier, brought to this machine: the champion, or the newest version where there is none."""

import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

from fruits.errors import FruitsError, SettingError
from fruits.platform.files import cache_folder
from fruits.platform.names import CHAMPION, MODEL_TAG
from fruits.platform.progress import report
from fruits.platform.tables import URI, is_schema, locate
from fruits.platform.tracking_file import may_exist
from fruits.platform.tracking_store import (
    connect,
    first_call,
    first_line,
    is_databricks,
    name_models,
    quiet,
    resolve_uri,
)
from fruits.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


@dataclass(frozen=True)
class Registered:
    """A version of the classifier, on this machine.

    Attributes:
        name: registered name.
        version: its number.
        champion: whether it is the champion.
        model: id of the fit.
        folder: holds network, numbers and labels.
    """

    name: str
    version: int
    champion: bool
    model: str | None
    folder: Path


def fetch_classifier(settings: Settings) -> Registered:
    """Find the classifier of a lake and bring it here; what a server has is downloaded once per version.

    Raises:
        SettingError: the lake is not there, or no store or name is known for it.
        FruitsError: the store does not answer, holds no classifier, or not its files.
    """
    uri = resolve_uri(settings)
    if uri is None:
        raise SettingError(f"no MLflow store is known for lake={settings.lake!r}; give tracking or MLFLOW_TRACKING_URI")
    name = name_models(settings, is_databricks(uri))["classifier"]
    if name is None:
        raise SettingError(
            f"classifier_model={settings.classifier_model!r} has no schema; give lake as catalog.schema, or "
            "classifier_model as catalog.schema.name"
        )
    if not may_exist(uri):
        raise _nothing_yet(settings)
    try:
        with quiet():
            return _fetch(uri, name)
    except FruitsError:
        raise
    except Exception as error:  # whatever a server, a driver or a file system comes up with
        raise FruitsError(f"the classifier {name} could not be had from MLflow: {first_line(error)}") from None


def find_champion(client: "MlflowClient", name: str) -> "ModelVersion | None":
    """Give the version of a model that is the champion; None where none is, or no such model."""
    from mlflow.exceptions import MlflowException

    try:
        version = client.get_registered_model(name).aliases.get(CHAMPION)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"):
            raise
        return None
    return None if version is None else client.get_model_version(name, version)


def find_versions(client: "MlflowClient", name: str) -> list["ModelVersion"]:
    """Give all versions of a model, newest first."""
    found = client.search_model_versions(f"name='{name}'")
    return sorted(found, key=lambda each: int(each.version), reverse=True)


def _nothing_yet(settings: Settings) -> FruitsError:
    place = locate(settings.lake)
    if not (settings.tracking or is_schema(place) or URI.match(place) or Path(place).is_dir()):
        return SettingError(f"lake={settings.lake!r} is not there; `fruits run` makes one, or is it another folder?")
    return FruitsError(f"nothing was fitted for lake={settings.lake!r} yet; `fruits run` with the same lake does")


def _fetch(uri: str, name: str) -> Registered:
    client, registry_uri = connect(uri)
    with first_call(uri):
        champion = find_champion(client, name)
    versions = [champion] if champion else find_versions(client, name)
    if not versions:
        raise FruitsError(
            f"no classifier {name} is registered: it takes a fit of photos with labels; put photos in folders, one per "
            "fruit, and `fruits run`"
        )
    # Unity Catalog's search gives no tags.
    version = client.get_model_version(name, versions[0].version)
    place = urlsplit(version.source)
    local = place.scheme in ("", "file")
    folder = Path(url2pathname(place.path)) if local else _download(uri, registry_uri, version)
    if not (folder / "artifacts").is_dir():
        raise FruitsError(f"the files of {name} version {version.version} are not in {str(folder)!r}; was it moved?")
    model = version.tags.get(MODEL_TAG)
    return Registered(name, int(version.version), champion is not None, model, folder / "artifacts")


def _download(uri: str, registry_uri: str, version: "ModelVersion") -> Path:
    """Give the folder of a version's files in this user's cache, whole or not at all."""
    from mlflow.artifacts import download_artifacts

    known = f"{uri} {version.name} {version.version} {version.creation_timestamp}"
    folder = cache_folder() / "classifiers" / hashlib.sha256(known.encode()).hexdigest()[:16]
    if not folder.is_dir():
        report(f"classify: downloading {version.name} version {version.version}, once")
        place = f"models:/{version.name}/{version.version}"
        if not is_databricks(uri):
            # Asked for models:/ MLflow looks in the store of the process, whatever store it is told.
            place = connect(uri)[0].get_model_version_download_uri(version.name, version.version)
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(dir=folder.parent))
        try:
            asked = {"tracking_uri": uri, "registry_uri": registry_uri}
            Path(download_artifacts(place, dst_path=str(part / "model"), **asked)).rename(folder)
        finally:
            shutil.rmtree(part)
    return folder
