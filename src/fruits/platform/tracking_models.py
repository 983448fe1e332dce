"""The two models of a fit, saved and registered; which of them is the champion."""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module, metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fruits.platform.progress import report
from fruits.platform.tracking_store import Tracking, tolerate

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.models import Model

PACKAGE = __name__.partition(".")[0]
CHAMPION = "champion"
KINDS = ("pca", "classifier")  # of models; registered as <prefix><kind>
MODEL_TAG = "fruits.model"


@dataclass(frozen=True)
class Fit:
    """What a parent run records of one fit.

    Attributes:
        model: id of the model, also the run's name.
        backbone: id of what made the features.
        k: components kept, at most r.
        pca: a Pca of r components.
        discriminant: a Discriminant of at least k components; None where no photo has a label.
        network: the .tflite that made the features; None leaves the classifier out.
        example: one photo as bytes, the classifier's input example; it stays for good, so let it be nobody's photo.
        params: what led to the fit: settings, table versions, counts.
        tags: further tags of the run.
        figures: file name without ending to figure.
    """

    model: str
    backbone: str
    k: int
    pca: Any
    discriminant: Any = None
    network: bytes | None = None
    example: bytes = b""
    params: Mapping[str, object] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    figures: Mapping[str, "Figure"] = field(default_factory=dict)


def log_models(tracking: Tracking, run_id: str, fit: Fit) -> None:
    """Save and register the PCA and, where there are labels and a network, the classifier."""
    _log_model(tracking, run_id, fit, "pca")
    missing = "labels" if fit.discriminant is None else "network" if fit.network is None else None
    if missing:
        report(f"tracking: no classifier for {fit.model}, there is no {missing}")
    else:
        _log_model(tracking, run_id, fit, "classifier")
    if tracking.prefix is None:
        report("tracking: models are logged but not registered; Unity Catalog needs lake=catalog.schema")


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
    if mode == "never" or tracking.prefix is None:
        return None
    champion = _champion(tracking, "pca")
    if champion and (mode == "first" or champion.tags.get(MODEL_TAG) == model):
        return None
    # The PCA comes last: it is what is asked for the champion, so a promotion cut short is made again.
    versions = {kind: _find_version(tracking, kind, model) for kind in reversed(KINDS)}
    if versions["pca"] is None:
        report(f"tracking: {model} is not promoted, no version of it is registered")
        return None
    promoted = {kind: str(each.version) for kind, each in versions.items() if each}
    for kind, version in promoted.items():
        tracking.client.set_registered_model_alias(_name(tracking, kind), CHAMPION, version)
    return promoted


@tolerate("looking for the champion")
def champion_model(tracking: Tracking) -> str | None:
    """Give the model id of the champion, None if there is none."""
    champion = _champion(tracking, "pca") if tracking.prefix is not None else None
    return champion.tags.get(MODEL_TAG) if champion else None


@tolerate("listing models", empty=list)
def list_models(tracking: Tracking, n: int = 10) -> list[dict[str, Any]]:
    """List the newest n versions of each registered model: name, version, aliases, model, backbone, k, created."""
    rows = []
    for kind in KINDS if tracking.prefix is not None else ():
        for each in _versions(tracking, kind)[:n]:
            # Unity Catalog's search gives neither tags nor aliases.
            full = tracking.client.get_model_version(each.name, each.version)
            row = {"name": full.name, "version": int(full.version), "aliases": list(full.aliases)}
            row |= {"model": full.tags.get(MODEL_TAG), "backbone": full.tags.get("backbone")}
            rows.append(row | {"k": int(full.tags.get("k", 0)), "created": full.creation_timestamp})
    return rows


def _log_model(tracking: Tracking, run_id: str, fit: Fit, kind: str) -> None:
    """Save one model and register it, as MLflow's log_model does, but without its validation runs and active run."""
    from mlflow.entities import LoggedModelOutput
    from mlflow.models import Model

    client, tags = tracking.client, {MODEL_TAG: fit.model, "backbone": fit.backbone, "k": str(fit.k)}
    logged = client.create_logged_model(tracking.experiment_id, kind, run_id, tags, {"k": str(fit.k)}, kind)
    location, model_id = logged.artifact_location, logged.model_id
    about = Model(artifact_path=location, run_id=run_id, model_uuid=model_id, model_id=model_id)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "model")
        {"pca": _save_pca, "classifier": _save_classifier}[kind](fit, target, about, Path(folder))
        client.log_model_artifacts(model_id, str(target))
    client.finalize_logged_model(model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(model_id, step=0)])
    if tracking.prefix is not None:
        # A sqlite registry looks a models:/ source up in the process-wide store, which may be another one.
        source = location if tracking.uri.startswith("sqlite") else f"models:/{model_id}"
        version = _register(tracking, run_id, kind, source, model_id, tags)
        link = [{"name": version.name, "version": version.version}]
        client.set_logged_model_tags(model_id, {"mlflow.modelVersions": json.dumps(link)})


def _register(
    tracking: Tracking, run_id: str, kind: str, source: str, model_id: str, tags: dict[str, str]
) -> "ModelVersion":
    from mlflow.exceptions import MlflowException

    name = _name(tracking, kind)
    about = {
        "pca": "Features to centred PCA scores; mlflow.sklearn.load_model, then transform.",
        "classifier": "Photo bytes in, label and probability out; mlflow.pyfunc.load_model, then predict.",
    }[kind]
    try:
        tracking.client.create_registered_model(name, description=about)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"):
            raise
    said = f"{tags[MODEL_TAG]}: k={tags['k']}, features by {tags['backbone']}. {about}"
    return tracking.client.create_model_version(name, source, run_id, tags, description=said, model_id=model_id)


def _save_pca(fit: Fit, target: Path, about: "Model", _: Path) -> None:
    import mlflow.sklearn
    from mlflow.models import infer_signature

    model = make_sklearn_pca(fit.pca, fit.k)
    example = np.asarray(fit.pca.mean, dtype=np.float64)[np.newaxis]
    mlflow.sklearn.save_model(
        model,
        target,
        mlflow_model=about,
        signature=infer_signature(example, model.transform(example)),
        input_example=example,
        pip_requirements=_pin("numpy", "scikit-learn"),
        # Read by every MLflow 3 and without skops, whose import takes longer than all the rest of a run's record.
        serialization_format=mlflow.sklearn.SERIALIZATION_FORMAT_CLOUDPICKLE,
    )


def make_sklearn_pca(pca: Any, k: int) -> Any:
    """Give scikit-learn's PCA object our first k components: its transform gives our centred scores."""
    from sklearn.decomposition import PCA

    d, left = len(pca.mean), len(pca.eigenvalues) - k
    model = PCA(n_components=k, whiten=False)
    model.n_components_, model.n_features_in_, model.n_samples_ = k, d, pca.n
    model.mean_, model.components_ = pca.mean, pca.components[:k]
    model.explained_variance_ = pca.eigenvalues[:k]
    model.explained_variance_ratio_ = pca.explained_variance_ratio[:k]
    model.singular_values_ = np.sqrt(pca.eigenvalues[:k] * (pca.n - 1))
    model.noise_variance_ = float(pca.eigenvalues[k:].mean()) if left else 0.0
    return model


def _save_classifier(fit: Fit, target: Path, about: "Model", folder: Path) -> None:
    import mlflow.pyfunc
    import pandas as pd
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    code = folder / PACKAGE
    _copy_code(resources.files(PACKAGE), code)
    outputs = [
        ColSpec("string", "label", required=False),
        ColSpec("double", "probability"),
        ColSpec("string", "error", required=False),
    ]
    mlflow.pyfunc.save_model(
        target,
        python_model=str(code / "classifier_model.py"),
        artifacts=_write_artifacts(fit, folder),
        code_paths=[str(code)],
        mlflow_model=about,
        signature=ModelSignature(Schema([ColSpec("binary", "content")]), Schema(outputs)),
        input_example=pd.DataFrame({"content": [fit.example]}),
        pip_requirements=_pin("ai-edge-litert", "numpy", "pandas", "pillow"),
    )


def _write_artifacts(fit: Fit, folder: Path) -> dict[str, str]:
    """Write what the classifier holds; classifier_model.py reads it."""
    network, arrays, labels = folder / "network.tflite", folder / "classifier.npz", folder / "labels.json"
    network.write_bytes(fit.network)
    pca, discriminant, k = fit.pca, fit.discriminant, fit.k
    np.savez(
        arrays,
        mean=pca.mean,
        components=pca.components[:k],
        log_priors=discriminant.log_priors,
        whitening=discriminant.whitening[:k, :k],
        centroids=discriminant.centroids[:, :k],
        whitened_centroids=discriminant.whitened_centroids[:, :k],
    )
    labels.write_text(json.dumps(list(discriminant.labels), ensure_ascii=False), encoding="utf-8")
    return {"network": str(network), "arrays": str(arrays), "labels": str(labels)}


def _copy_code(source: Any, target: Path) -> None:
    """Copy the Python files of a package, which may be in a zip, as on EMR."""
    target.mkdir()
    for each in source.iterdir():
        if each.name.endswith(".py"):
            (target / each.name).write_bytes(each.read_bytes())
        elif each.is_dir() and (each / "__init__.py").is_file():
            _copy_code(each, target / each.name)


def _pin(*packages: str) -> list[str]:
    return [f"{each}=={metadata.version(each)}" for each in packages]


def _name(tracking: Tracking, kind: str) -> str:
    return f"{tracking.prefix}{kind}"


def _versions(tracking: Tracking, kind: str) -> list["ModelVersion"]:
    """Give all versions of a model, newest first."""
    found = tracking.client.search_model_versions(f"name='{_name(tracking, kind)}'")
    return sorted(found, key=lambda each: int(each.version), reverse=True)


def _find_version(tracking: Tracking, kind: str, model: str) -> "ModelVersion | None":
    """Find the version by its run: a killed run of the same model may have left another one."""
    run_id = import_module(f"{PACKAGE}.platform.tracking").find_run(tracking, model)
    return next((each for each in _versions(tracking, kind) if run_id and each.run_id == run_id), None)


def _champion(tracking: Tracking, kind: str) -> "ModelVersion | None":
    from mlflow.exceptions import MlflowException

    name = _name(tracking, kind)
    try:
        version = tracking.client.get_registered_model(name).aliases.get(CHAMPION)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"):
            raise
        return None
    return None if version is None else tracking.client.get_model_version(name, version)
