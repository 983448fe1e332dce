"""silver_features -> gold_pca: k scores per photo, the spectrum, and the fitted model in MLflow."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import reduce
from operator import xor
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from fruits.accumulate import Group, as_matrix, count_groups, refreshed_moments, with_features
from fruits.errors import FruitsError
from fruits.platform import tracking
from fruits.platform.progress import report
from fruits.platform.tables import Lake, Table, quote, remembered
from fruits.record import record_fit
from fruits.settings import Settings
from fruits.silver import SILVER, choose_backbone, features_of, photo_hash, state
from fruits.stats.moments import Moments, forget_labels, merge_moments
from fruits.stats.pca import Pca, choose_k, fit_pca, project

PCA = Table(
    "gold_pca",
    "path string, model string, sha256 string, label string, split string, pca array<double>",
    partition="model",
)
SPECTRUM = Table(
    "gold_spectrum",
    "model string, component int, eigenvalue double, explained_variance_ratio double, "
    "cumulative_explained_variance_ratio double, run_id string",
    partition="model",
)
PCA_ARROW = pa.schema(
    [
        (name, pa.list_(pa.float64()) if kind == "array<double>" else pa.string())
        for name, kind in (column.split() for column in PCA.schema.split(", "))
    ]
)
FEATURES = ["path", "sha256", "label", "split", "features"]  # what a photo's scores are made from
_NEWEST_FIT: dict[tuple, "Fit"] = {}  # for the comparison, which follows in the same process: seconds, and 60 MB


@dataclass(frozen=True)
class Fit:
    """A PCA of the Training photos of one backbone, at full rank: every k is a slice of it.

    Attributes:
        name: id of the fit, made of the backbone and of which photos were fitted on; a model is a fit cut to k.
        pca: components and spectrum.
        groups: photos by split and labelled or not, with their moments.
    """

    name: str
    pca: Pca
    groups: list[Group]

    def labelled(self, split: str) -> Moments | None:
        """Moments of the labelled photos of a split, None if there are none."""
        return next((group.moments for group in self.groups if group.split == split and group.labelled), None)

    def all_of(self, split: str) -> Moments | None:
        """Moments of all photos of a split, labelled or not, without their labels; None if there are none."""
        moments = [forget_labels(group.moments) for group in self.groups if group.split == split]
        return reduce(merge_moments, moments) if moments else None


@dataclass(frozen=True)
class Spectrum:
    """What gold_spectrum holds of a fit; nothing, where there is none."""

    cumulative: np.ndarray  # explained variance ratio of the first component, of the first two, …, shape (r,)
    runs: dict[str, str | None]  # per model, which is the fit cut to a k, its MLflow run (None: not recorded)


def reduce_features(spark: SparkSession, settings: Settings) -> dict[str, Any]:
    """Fit the PCA on the Training photos, project all photos, and record the fit in MLflow.

    Photos that only joined or left Test are projected with the components there are; new Training photos make a new
    fit. Rows of gold_pca of older models leave, the champion's stay.

    Returns:
        model, backbone, k, explained (cumulative explained variance ratio at k), photos (in gold_pca of this model),
        projected (by this run), run_id (None without tracking).

    Raises:
        FruitsError: there are no features, none of Training, or fewer components than k asks for.
    """
    lake = Lake(spark, settings.lake)
    backbone, groups = choose_features(lake, settings)
    name = name_fit(backbone, groups)
    kept = kept_spectrum(lake, name)
    fit, opened, cumulative = None, None, kept.cumulative
    if not kept.runs:
        opened = tracking.start_opening(settings)
        fit = fit_features(lake, backbone, groups)
        cumulative = fit.pca.cumulative_explained_variance_ratio
    k = choose_k(fit.pca if fit else cumulative, settings.k)
    model = f"{name}-k{k}"
    run_id = kept.runs.get(model)
    opened = None if run_id else opened or tracking.start_opening(settings)
    projected, scored = 0, survey_scores(lake)
    if model not in kept.runs or scored.get(model) != fingerprint_of(groups):
        fit = fit or fit_features(lake, backbone, groups)
        others = [each for each in scored if each != model]
        older = _choose_older(others, opened and opened(), settings) if others else []
        staying = {each: number for each, (number, _) in scored.items() if each not in older}
        projected = _project_missing(lake, backbone, fit, k, model, staying, older)
    store = opened and opened()
    if store is not None:
        fit = fit or fit_features(lake, backbone, groups)
        run_id = tracking.find_run(store, model) or record_fit(
            lake, store, settings, backbone, fit, k, scores_of(lake, model)
        )
    if model not in kept.runs or run_id != kept.runs[model]:
        _save_spectrum(lake, fit.pca, model, run_id, again=model in kept.runs)
    return {
        "model": model,
        "backbone": backbone,
        "k": k,
        "explained": float(cumulative[k - 1]),
        "photos": sum(group.photos for group in groups),
        "projected": projected,
        "run_id": run_id,
    }


def choose_features(lake: Lake, settings: Settings) -> tuple[str, list[Group]]:
    """Name the backbone to use, the only one silver_features has or that of the settings, and count its photos.

    Raises:
        FruitsError: none at all, or none that fits the settings.
    """
    there = count_groups(lake)
    if not there:
        raise FruitsError(f"lake={settings.lake!r} has no features; run `fruits silver` first")
    wanted = next(iter(there)) if len(there) == 1 else choose_backbone(lake, settings).id
    if wanted not in there:
        raise FruitsError(f"silver_features has no rows of {wanted}, only of {', '.join(there)}; give their weights")
    return wanted, there[wanted]


def name_fit(backbone: str, groups: list[Group]) -> str:
    """Name a fit by its backbone and by which Training photos it covers: the same photos give the same name."""
    training = [group for group in groups if group.split == "Training"]
    if sum(group.photos for group in training) < 2:
        raise FruitsError(
            "a PCA needs at least 2 Training photos with features; put photos under Training/<label>, "
            "or under no split folder with test_fraction below 1"
        )
    return f"{backbone}-{fingerprint_of(training)[1] % 2**32:08x}"


def make_fit(backbone: str, groups: list[Group]) -> Fit:
    """Fit the PCA of a backbone, by groups that have their moments."""
    fit = Fit(name_fit(backbone, groups), None, groups)
    return replace(fit, pca=fit_pca(fit.all_of("Training")))


def fit_features(lake: Lake, backbone: str, groups: list[Group]) -> Fit:
    """Fit the PCA of a backbone from its moments, which are refreshed first."""
    key = (lake.location, backbone, *groups)
    if key not in _NEWEST_FIT:
        with refreshed_moments(lake, backbone, groups) as measured:
            fit = make_fit(backbone, measured)
        _NEWEST_FIT.clear()
        _NEWEST_FIT[key] = fit
    return _NEWEST_FIT[key]


def scores_of(lake: Lake, model: str) -> DataFrame:
    """Rows of gold_pca of one model."""
    return lake.read(PCA).where(F.col("model") == model)


def survey_scores(lake: Lake) -> dict[str, tuple[int, int]]:
    """Give the number and the fingerprint of the photos that gold_pca has scores of, per model."""
    marks = F.bit_xor(photo_hash()).alias("mark")
    rows = _comparable(lake.read(PCA)).groupBy("model").agg(F.count("*").alias("photos"), marks).collect()
    return {model: (photos, mark) for model, photos, mark in rows}


def _comparable(scores: DataFrame) -> DataFrame:
    """Add the `error` that no row of gold_pca has, so that its photos compare with those of silver_features."""
    return scores.withColumn("error", F.lit(None).cast("string"))


def project_photos(features: DataFrame, pca: Pca, k: int, model: str) -> DataFrame:
    """Project photos on the first k components, in the workers.

    Args:
        features: columns path, sha256, label, split, features.
        pca: the fit; its mean and k components travel with the function.
        k: components kept.
        model: id written into each row.

    Returns:
        Rows of gold_pca, lazily.
    """
    return features.mapInArrow(_projector(pca, k, model), PCA.schema)


def _projector(pca: Pca, k: int, model: str) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    cut = Pca(pca.n, pca.mean, pca.components[:k], pca.eigenvalues[:k], pca.total_variance)

    def project_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            scores = project(as_matrix(batch["features"]), cut, k) if batch.num_rows else np.empty((0, k))
            ends = np.arange(0, scores.size + 1, k, dtype=np.int32)
            columns = {name: batch[name] for name in ("path", "sha256", "label", "split")}
            columns["model"] = pa.array([model] * batch.num_rows, pa.string())
            columns["pca"] = pa.ListArray.from_arrays(ends, scores.ravel())
            yield pa.RecordBatch.from_arrays([columns[name] for name in PCA_ARROW.names], schema=PCA_ARROW)

    return project_batches


def _project_missing(
    lake: Lake, backbone: str, fit: Fit, k: int, model: str, staying: dict[str, int], older: list[str]
) -> int:
    """Bring gold_pca of one model up to date with silver_features.

    Of the models that gold_pca holds, the rows of `staying` (how many each has) are kept where their photos are as they
    were, and those of `older` leave: where the model is new, in the commit that brings its rows.

    Returns:
        The number of new rows.
    """
    features = with_features(features_of(lake, backbone))
    photos = sum(group.photos for group in fit.groups)
    if model in staying:
        have = _comparable(scores_of(lake, model)).select("path", state().alias("state"))
        features = features.withColumn("state", state()).join(have, ["path", "state"], "leftanti")
        new, replaced = features.count(), None
        if older:
            lake.delete(PCA, _is_of(older))
    else:
        new, replaced = photos, _is_of([*older, model]) if older else None
    # Each photo that is not new has its one row: without more rows than these, none is stale.
    if staying and staying != {model: photos - new}:
        _prune(lake)
    if new:
        lake.append(project_photos(features.select(FEATURES), fit.pca, k, model), PCA, replaced)
    report(f"gold: {new} photos projected on {k} components")
    return new


def _is_of(models: list[str]) -> str:
    return f"model IN ({', '.join(map(quote, models))})"


def _prune(lake: Lake) -> None:
    """Remove the rows, of every model, whose photo left silver_features or has another content, label or split."""
    rows = _comparable(lake.read(PCA)).select("path", "model", state().alias("state"))
    photos = with_features(lake.read(SILVER)).select(F.col("path").alias("photo"), state().alias("now"), "backbone")
    same = (F.col("path") == F.col("photo")) & (F.col("state") == F.col("now"))
    # A model is named after its backbone.
    stale = rows.join(photos, same & F.col("model").startswith(F.concat("backbone", F.lit("-"))), "leftanti")
    if not stale.isEmpty():
        lake.merge(stale.select("path", "model"), PCA, ["path", "model"], delete=True)


def _choose_older(others: list[str], store: tracking.Tracking | None, settings: Settings) -> list[str]:
    """Choose whose rows leave gold_pca: all but the champion's; none if MLflow cannot be asked."""
    if tracking.resolve_uri(settings) is None:
        return others
    champion = tracking.champion_model(store or tracking.open_tracking(settings))
    return [] if champion == tracking.UNKNOWN else [each for each in others if each != champion]


@remembered(SPECTRUM)
def kept_spectrum(lake: Lake, name: str) -> Spectrum:
    """Give what gold_spectrum holds of a fit, by its name."""
    rows = (
        lake.read(SPECTRUM)
        .where(F.col("model").startswith(f"{name}-k"))
        .select("model", "component", "cumulative_explained_variance_ratio", "run_id")
        .collect()
    )
    runs = {model: run_id for model, _, _, run_id in rows}
    first = min(runs, default=None)  # any will do: each model has all shares
    # Sorted here: Spark would sort a thousand rows in two more jobs.
    shares = sorted((component, cumulative) for model, component, cumulative, _ in rows if model == first)
    return Spectrum(np.array([cumulative for _, cumulative in shares]), runs)


def _save_spectrum(lake: Lake, pca: Pca, model: str, run_id: str | None, again: bool) -> None:
    shares = pca.explained_variance_ratio, pca.cumulative_explained_variance_ratio
    columns = zip(pca.eigenvalues.tolist(), *(share.tolist() for share in shares), strict=True)
    rows = [(model, component, *values, run_id) for component, values in enumerate(columns, start=1)]
    lake.append_rows(rows, SPECTRUM, _is_of([model]) if again else None)


def fingerprint_of(groups: list[Group]) -> tuple[int, int]:
    """Number and fingerprint of the photos of several groups together."""
    return sum(group.photos for group in groups), reduce(xor, (group.fingerprint for group in groups), 0)
