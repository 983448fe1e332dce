"""The two models of a fit, saved and registered: the PCA for everybody, the classifier for photos."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fruits.information import FIELDS
from fruits.platform.names import CHAMPION, MODEL_TAG
from fruits.platform.progress import report
from fruits.platform.tracking_store import Tracking
from fruits.stats.calibration import UNCALIBRATED, Calibration

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.models import Model, ModelSignature

PACKAGE = __name__.partition(".")[0]
# What the classifier needs of it, and no more: what travels must load where nothing else is.
CODE = (
    "__init__.py",
    "classifier.py",
    "classifier_model.py",
    "errors.py",
    "information.py",
    "species.csv",
    "storage.csv",
    "stats/__init__.py",
    "stats/calibration.py",
    "stats/discriminant.py",
    "stats/moments.py",
    "stats/pca.py",
    "vision/__init__.py",
    "vision/decode.py",
)


@dataclass(frozen=True)
class FitRecord:
    """What a parent run records of one fit.

    Attributes:
        model: id of the model, also the run's name.
        backbone: id of what made the features.
        k: components kept, at most r.
        pca: a Pca of r components.
        discriminant: a Discriminant of at least k components; None where no photo has a label.
        calibration: how far the discriminant is to be trusted.
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
    calibration: Calibration = UNCALIBRATED
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

    client, tags = tracking.client, {"k": str(fit.k), "backbone": fit.backbone, MODEL_TAG: fit.model}
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
    try:
        tracking.client.create_registered_model(name, description=_describe_model(kind, name))
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"):
            raise
    said = f"k = {tags['k']}, features by {tags['backbone']}."
    return tracking.client.create_model_version(name, source, run_id, tags, description=said, model_id=model_id)


def _describe_model(kind: str, name: str) -> str:
    """Write the page of a registered model, in Markdown: what goes in and out, how to load it, what a version is."""
    about, load = {
        "pca": (
            "Features of photos in, centred PCA scores out: scikit-learn's PCA with the components of the fit.\n\n"
            "- in: (n, 1280) numbers as in `silver_features`\n- out: (n, k) numbers as in `gold_pca`",
            f'pca = mlflow.sklearn.load_model("models:/{name}@{CHAMPION}")\nscores = pca.transform(features)',
        ),
        "classifier": (
            "Photo bytes in, an answer out, with neither Spark nor TensorFlow.\n\n"
            "- in: `content`, the bytes of a file\n"
            "- out: `label`, `probability`, the `next` four, `information` on the fruit, `decision` (sure, not sure, "
            "no fruit), or an `error` in words",
            f'model = mlflow.pyfunc.load_model("models:/{name}@{CHAMPION}")\n'
            'answers = model.predict(pd.DataFrame({"content": [Path("photo.jpg").read_bytes()]}))',
        ),
    }[kind]
    return (
        f"{about}\n\n```python\n{load}\n```\n\nA version is a fit cut to its tag `k`; its run, `Source Run`, compares "
        f"values of k. `{CHAMPION}` is the version promoted for use."
    )


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

    from fruits.classifier import save_classifier

    code = folder / PACKAGE
    copy_code(resources.files(PACKAGE), code)
    mlflow.pyfunc.save_model(
        target,
        python_model=str(code / "classifier_model.py"),
        artifacts=save_classifier(folder, fit.network, fit.pca, fit.discriminant, fit.calibration, fit.k),
        code_paths=[str(code)],
        mlflow_model=about,
        signature=_sign_classifier(),
        input_example=pd.DataFrame({"content": [fit.example]}),
        pip_requirements=_pin("ai-edge-litert", "numpy", "pandas", "pillow"),
    )


def _sign_classifier() -> "ModelSignature":
    """Say what goes in and comes out: the columns of classifier_model.py."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema
    from mlflow.types.schema import Array, Object, Property

    likely = Object([Property("label", "string"), Property("probability", "double")])
    outputs = [
        ColSpec("string", "label", required=False),
        ColSpec("double", "probability", required=False),
        ColSpec(Array(likely), "next"),
        ColSpec(Object([Property(name, "string") for name in FIELDS]), "information", required=False),
        ColSpec("string", "decision", required=False),
        ColSpec("string", "error", required=False),
    ]
    return ModelSignature(Schema([ColSpec("binary", "content")]), Schema(outputs))


def copy_code(source: Any, target: Path) -> None:
    """Copy the CODE of the package, which may be in a zip, as on EMR."""
    for name in CODE:
        file = target / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(source.joinpath(name).read_bytes())


def _pin(*packages: str) -> list[str]:
    return [f"{each}=={metadata.version(each)}" for each in packages]
