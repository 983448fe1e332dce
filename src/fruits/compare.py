"""Which k? Every k of `k_values` scored in one pass, from one fit; a table, MLflow runs, a recommendation."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from fruits.accumulate import as_matrix, with_features
from fruits.errors import FruitsError
from fruits.gold import PCA, Fit, choose_features, fingerprint_of, fit_features, kept_spectrum, name_fit
from fruits.platform import tracking
from fruits.platform.progress import report
from fruits.platform.tables import Lake, Table, quote
from fruits.settings import Settings
from fruits.silver import features_of
from fruits.stats.discriminant import Discriminant, count_correct, fit_discriminant
from fruits.stats.pca import Pca, choose_k, project, reconstruction_error

COMPARISON = Table(
    "gold_comparison",
    "model string, k int, cumulative_explained_variance double, reconstruction_error_test double, "
    "accuracy_train double, accuracy_test double, centroid_accuracy_test double, bytes_per_photo int, "
    "recommended boolean, fingerprint bigint, run_id string",
    partition="model",
)
COUNTS = "split string, photos bigint, discriminant array<bigint>, nearest_centroid array<bigint>"
COUNTS_ARROW = pa.schema(
    [
        ("split", pa.string()),
        ("photos", pa.int64()),
        ("discriminant", pa.list_(pa.int64())),
        ("nearest_centroid", pa.list_(pa.int64())),
    ]
)
WITHIN = 0.01  # the recommended k is the smallest whose Test accuracy is this close to the best
BYTES_PER_SCORE = 8  # gold_pca holds doubles


def compare_components(spark: SparkSession, settings: Settings) -> dict[str, Any]:
    """Compare values of k on the latest fit, record them in gold_comparison and MLflow, and promote a champion.

    Returns:
        model, recommended_k (None without labelled Test photos), promoted (model kind to version, None if the champion
        stays) and rows (one dict per k).

    Raises:
        FruitsError: there is no fit yet; `fruits gold` makes one.
    """
    lake = Lake(spark, settings.lake)
    backbone, groups = choose_features(lake, settings)
    name = name_fit(backbone, groups)
    kept = kept_spectrum(lake, name)
    k = choose_k(kept.cumulative, settings.k) if kept.runs else None
    model = f"{name}-k{k}" if k else name
    if model not in kept.runs:
        raise FruitsError(f"lake={settings.lake!r} has no PCA {model}; run `fruits gold` with the same settings first")
    run_id, mark = kept.runs[model], fingerprint_of(groups)[1]
    ks = choose_ks(settings.k_values, len(kept.cumulative), k)
    _tell_left_out(settings.k_values, len(kept.cumulative))
    compared = kept_rows(lake, model)
    rows, recorded = choose_rows(compared, mark)
    scored = [row["k"] for row in rows] == ks
    promoted = store = None
    if run_id and not (scored and recorded == run_id and settings.promote != "always"):
        store = tracking.open_tracking(settings)
    if not scored:
        rows = score_components(lake, backbone, fit_features(lake, backbone, groups), ks)
    if store is not None:
        run_id = run_id if _record_rows(store, run_id, rows) else None
        promoted = tracking.promote(store, model, settings.promote)
        if promoted:
            lake.delete(PCA, f"model <> {quote(model)}")  # the champion's, until now
    else:
        run_id = recorded if scored else None
    if not scored or recorded != run_id:
        _save_rows(lake, model, mark, run_id, rows, again=bool(compared))
    recommended = [row["k"] for row in rows if row["recommended"]]
    return {
        "model": model,
        "recommended_k": recommended[0] if recommended else None,
        "promoted": promoted,
        "rows": rows,
    }


def choose_ks(asked: Sequence[int], most: int, chosen: int) -> list[int]:
    """Give the values of k to compare: those asked for that there are components for, and the k of the model."""
    return sorted({k for k in asked if k <= most} | {chosen})


def _tell_left_out(asked: Sequence[int], most: int) -> None:
    left_out = sorted(k for k in asked if k > most)
    if left_out:
        report(f"compare: there are {most} components, so k={', '.join(map(str, left_out))} is left out")


def score_components(lake: Lake, backbone: str, fit: Fit, ks: Sequence[int]) -> list[dict[str, Any]]:
    """Measure every k in one pass over the labelled photos of both splits.

    Args:
        lake: holds silver_features.
        backbone: whose features.
        fit: PCA of the Training photos, with the moments of both splits.
        ks: numbers of components, rising.

    Returns:
        A row per k as in gold_comparison; accuracies are None where a split has no labelled photo.
    """
    training, test = fit.labelled("Training"), fit.all_of("Test")
    counts: dict[str, dict[str, np.ndarray]] = {}
    if training is not None:
        discriminant = fit_discriminant(training, fit.pca, max(ks))
        labelled = with_features(features_of(lake, backbone)).where("label IS NOT NULL")
        counts = count_right(labelled.select("split", "label", "features"), fit.pca, discriminant, ks)
    errors = [None] * len(ks) if test is None else reconstruction_error(test, fit.pca, ks).tolist()
    cumulative = fit.pca.cumulative_explained_variance_ratio
    rows = [
        {
            "k": k,
            "cumulative_explained_variance": float(cumulative[k - 1]),
            "reconstruction_error_test": errors[place],
            "accuracy_train": _accuracy(counts, "Training", "discriminant", place),
            "accuracy_test": _accuracy(counts, "Test", "discriminant", place),
            "centroid_accuracy_test": _accuracy(counts, "Test", "nearest_centroid", place),
            "bytes_per_photo": BYTES_PER_SCORE * k,
        }
        for place, k in enumerate(ks)
    ]
    recommended = recommend_k(rows)
    return [row | {"recommended": row["k"] == recommended} for row in rows]


def recommend_k(rows: Sequence[dict[str, Any]]) -> int | None:
    """Give the smallest k whose Test accuracy is within one point of the best; None where Test was not measured."""
    measured = [row for row in rows if row["accuracy_test"] is not None]
    best = max((row["accuracy_test"] for row in measured), default=None)
    return min((row["k"] for row in measured if row["accuracy_test"] >= best - WITHIN - 1e-12), default=None)


def count_right(
    features: DataFrame, pca: Pca, discriminant: Discriminant, ks: Sequence[int]
) -> dict[str, dict[str, np.ndarray]]:
    """Count, per split, the photos and those each classifier gets right for each k.

    Args:
        features: columns split, label, features.
        pca: the fit.
        discriminant: fitted for the largest of ks at least.
        ks: numbers of components.

    Returns:
        Split to photos (1,), discriminant (len(ks),) and nearest_centroid (len(ks),).
    """
    totals: dict[str, dict[str, np.ndarray]] = {}
    for row in features.mapInArrow(_scorer(pca, discriminant, ks), COUNTS).collect():
        total = totals.setdefault(row["split"], {})
        for name in ("photos", "discriminant", "nearest_centroid"):
            total[name] = total.get(name, 0) + np.atleast_1d(row[name])
    return totals


def _scorer(
    pca: Pca, discriminant: Discriminant, ks: Sequence[int]
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    most = max(ks)
    cut = Pca(pca.n, pca.mean, pca.components[:most], pca.eigenvalues[:most], pca.total_variance)
    place = {label: index for index, label in enumerate(discriminant.labels)}

    def score_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            rows = []
            splits = np.array(batch["split"].to_pylist())
            for split in np.unique(splits):
                part = batch.filter(pa.array(splits == split))
                index = np.array([place.get(label, -1) for label in part["label"].to_pylist()])
                right = count_correct(project(as_matrix(part["features"]), cut, most), index, discriminant, ks)
                counts = {name: values.tolist() for name, values in right.items()}
                rows.append({"split": str(split), "photos": part.num_rows, **counts})
            yield pa.RecordBatch.from_pylist(rows, schema=COUNTS_ARROW)

    return score_batches


def _accuracy(counts: dict[str, dict[str, np.ndarray]], split: str, classifier: str, place: int) -> float | None:
    if split not in counts:
        return None
    return float(counts[split][classifier][place] / counts[split]["photos"][0])


def _record_rows(store: tracking.Tracking, run_id: str, rows: Sequence[dict[str, Any]]) -> bool | None:
    # Here, since a run without tracking needs no matplotlib.
    from fruits.views.plots import plot_accuracy_by_k

    recommended = next((row["k"] for row in rows if row["recommended"]), None)
    measured = [{name: value for name, value in row.items() if name != "recommended"} for row in rows]
    figures = [] if recommended is None else [("accuracy_by_k", plot_accuracy_by_k(rows, recommended))]
    return tracking.log_comparison(store, run_id, measured, recommended, figures)


def kept_rows(lake: Lake, model: str) -> list[dict[str, Any]]:
    """Give what gold_comparison holds of a model, by k."""
    rows = lake.read(COMPARISON).where(F.col("model") == model).collect()
    return sorted((row.asDict() for row in rows), key=lambda row: row["k"])


def choose_rows(kept: Sequence[dict[str, Any]], mark: int) -> tuple[list[dict[str, Any]], str | None]:
    """Choose of the kept rows of a model those that cover just these photos, and the MLflow run that has them.

    Returns:
        Rows as score_components gives them, and the id of the run; none of both if the photos were others.
    """
    rows = [row for row in kept if row["fingerprint"] == mark]
    measured = [{name: row[name] for name in row if name not in ("model", "fingerprint", "run_id")} for row in rows]
    return measured, rows[0]["run_id"] if rows else None


def _save_rows(
    lake: Lake, model: str, mark: int, run_id: str | None, rows: Sequence[dict[str, Any]], again: bool
) -> None:
    values = [(model, *row.values(), mark, run_id) for row in rows]
    # To replace takes more than twice as long, even where there is nothing to replace.
    lake.append_rows(values, COMPARISON, f"model = {quote(model)}" if again else None)
