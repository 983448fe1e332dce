"""The two models of a fit, saved and registered: the PCA for everybody, the classifier for photos."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fruits.platform.names import MODEL_TAG
from fruits.platform.progress import report
from fruits.platform.tracking_store import Tracking

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.models import Model

PACKAGE = __name__.partition(".")[0]


@dataclass(frozen=True)
class FitRecord:
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
        figures: pairs of a name, that of the file without its ending, and a figure.
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
    figures: Sequence[tuple[str, "Figure"]] = ()


def log_models(tracking: Tracking, run_id: str, fit: FitRecord) -> None:
    """Save and register the PCA and, where there are labels and a network, the classifier."""
    _log_model(tracking, run_id, fit, "pca")
    missing = "labels" if fit.discriminant is None else "network" if fit.network is None else None
    if missing:
        report(f"tracking: no classifier for {fit.model}, there is no {missing}")
    else:
        _log_model(tracking, run_id, fit, "classifier")
    if None in tracking.names.values():
        report("tracking: models are logged but not registered; Unity Catalog needs names as catalog.schema.name")


def _log_model(tracking: Tracking, run_id: str, fit: FitRecord, kind: str) -> None:
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
    if tracking.names[kind] is not None:
        # A sqlite registry looks a models:/ source up in the process-wide store, which may be another one.
        source = location if tracking.uri.startswith("sqlite") else f"models:/{model_id}"
        version = _register(tracking, run_id, kind, source, model_id, tags)
        link = [{"name": version.name, "version": version.version}]
        client.set_logged_model_tags(model_id, {"mlflow.modelVersions": json.dumps(link)})


def _register(
    tracking: Tracking, run_id: str, kind: str, source: str, model_id: str, tags: dict[str, str]
) -> "ModelVersion":
    from mlflow.exceptions import MlflowException

    name = tracking.names[kind]
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


def _save_pca(fit: FitRecord, target: Path, about: "Model", _: Path) -> None:
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


def _save_classifier(fit: FitRecord, target: Path, about: "Model", folder: Path) -> None:
    import mlflow.pyfunc
    import pandas as pd
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    code = folder / PACKAGE
    copy_code(resources.files(PACKAGE), code)
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


def _write_artifacts(fit: FitRecord, folder: Path) -> dict[str, str]:
    """Write what the classifier holds; classifier_model.py reads it."""
    network, arrays, labels = folder / "network.tflite", folder / "classifier.npz", folder / "labels.json"
    network.write_bytes(fit.network)
    d, k = fit.discriminant, fit.k
    pca = replace(fit.pca, components=fit.pca.components[:k], eigenvalues=fit.pca.eigenvalues[:k])
    discriminant = replace(
        d,
        whitening=d.whitening[:k, :k],
        centroids=d.centroids[:, :k],
        whitened_centroids=d.whitened_centroids[:, :k],
    )
    parts = {f"pca.{name}": value for name, value in vars(pca).items()}
    parts |= {f"discriminant.{name}": value for name, value in vars(discriminant).items() if name != "labels"}
    np.savez(arrays, **parts)
    labels.write_text(json.dumps(list(d.labels), ensure_ascii=False), encoding="utf-8")
    return {"network": str(network), "arrays": str(arrays), "labels": str(labels)}


def copy_code(source: Any, target: Path) -> None:
    """Copy the Python files of a package, which may be in a zip, as on EMR."""
    target.mkdir()
    for each in source.iterdir():
        if each.name.endswith(".py"):
            (target / each.name).write_bytes(each.read_bytes())
        elif each.is_dir() and (each / "__init__.py").is_file():
            copy_code(each, target / each.name)


def _pin(*packages: str) -> list[str]:
    return [f"{each}=={metadata.version(each)}" for each in packages]
