"""Which labels the discriminant takes for which, for every compared k, counted over all Test photos of a lake."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from fruits.accumulate import MOMENTS, Group, as_matrix, with_features
from fruits.errors import FruitsError
from fruits.gold import Fit, make_fit, name_fit
from fruits.platform.tables import Lake
from fruits.silver import features_of
from fruits.stats.discriminant import Discriminant, fit_discriminant, log_scores
from fruits.stats.moments import unpack_moments
from fruits.stats.pca import Pca, project

GUESSES = "path string, label string, guesses array<string>"
GUESSES_ARROW = pa.schema([("path", pa.string()), ("label", pa.string()), ("guesses", pa.list_(pa.string()))])
EXAMPLES = 4  # photos named of each pair of labels


@dataclass(frozen=True)
class Confusion:
    """What the discriminant says of the labelled Test photos, with k components.

    Attributes:
        right: label to photos given their own label.
        photos: label to photos.
        pairs: label, guess, photos and examples (paths, a few), for what it takes for something else, most first.
    """

    right: dict[str, int]
    photos: dict[str, int]
    pairs: list[dict[str, Any]]


def read_fit(lake: Lake, model: str) -> tuple[str, Fit] | None:
    """Make the fit of a model again from gold_moments, where that still holds just the photos it was fitted on.

    Nothing is written.

    Returns:
        The backbone and the fit, at full rank; None where the moments are those of other photos.
    """
    rows = lake.read(MOMENTS).where(F.lit(model).startswith(F.concat("backbone", F.lit("-")))).collect()
    if not rows:
        return None
    backbone = rows[0]["backbone"]
    groups = [
        Group(row["split"], row["labelled"], row["photos"], row["fingerprint"], unpack_moments(bytes(row["state"])))
        for row in rows
    ]
    try:
        name = name_fit(backbone, groups)
    except FruitsError:
        return None
    return (backbone, make_fit(backbone, groups)) if model.startswith(f"{name}-k") else None


def count_confusions(lake: Lake, model: str, ks: Sequence[int]) -> dict[int, Confusion]:
    """Classify every labelled Test photo with each k, and count; empty where there is nothing to count or to fit.

    Args:
        lake: holds silver_features and gold_moments.
        model: whose fit.
        ks: numbers of components.
    """
    found = read_fit(lake, model)
    training = found and found[1].labelled("Training")
    if training is None:
        return {}
    backbone, fit = found
    discriminant = fit_discriminant(training, fit.pca, max(ks))
    test = with_features(features_of(lake, backbone)).where("split = 'Test' AND label IS NOT NULL")
    guesses = guess_labels(test.select("path", "label", "features"), fit.pca, discriminant, ks)
    wrong = F.when(F.col("label") != F.col("guess"), F.struct(F.xxhash64("path").alias("order"), "path"))
    rows = (
        guesses.select("path", "label", F.posexplode("guesses").alias("place", "guess"))
        .groupBy("place", "label", "guess")
        .agg(F.count("*").alias("photos"), F.slice(F.sort_array(F.collect_list(wrong)), 1, EXAMPLES).alias("examples"))
        .collect()
    )
    return {k: _sum_up([row for row in rows if row["place"] == place]) for place, k in enumerate(ks)} if rows else {}


def guess_labels(features: DataFrame, pca: Pca, discriminant: Discriminant, ks: Sequence[int]) -> DataFrame:
    """Name the most probable label of each photo with each k, in the workers.

    Args:
        features: columns path, label and features.
        pca: the fit.
        discriminant: fitted for the largest of ks at least.
        ks: numbers of components.

    Returns:
        path, label and guesses (one per k, in the order of ks), lazily.
    """
    return features.mapInArrow(_guesser(pca, discriminant, ks), GUESSES)


def _guesser(
    pca: Pca, discriminant: Discriminant, ks: Sequence[int]
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    most = max(ks)
    cut = Pca(pca.n, pca.mean, pca.components[:most], pca.eigenvalues[:most], pca.total_variance)
    labels = np.array(discriminant.labels)

    def guess_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if not batch.num_rows:
                continue
            scores = project(as_matrix(batch["features"]), cut, most)
            guesses = np.stack([labels[log_scores(scores, discriminant, k).argmax(axis=1)] for k in ks], axis=1)
            columns = [batch["path"], batch["label"], pa.array(guesses.tolist(), pa.list_(pa.string()))]
            yield pa.RecordBatch.from_arrays(columns, schema=GUESSES_ARROW)

    return guess_batches


def _sum_up(rows: Sequence[Any]) -> Confusion:
    """Tell right from wrong among the counts of one k."""
    photos: dict[str, int] = {}
    for row in rows:
        photos[row["label"]] = photos.get(row["label"], 0) + row["photos"]
    pairs = [
        {
            "label": row["label"],
            "guess": row["guess"],
            "photos": row["photos"],
            "examples": [each["path"] for each in row["examples"]],
        }
        for row in rows
        if row["label"] != row["guess"]
    ]
    right = {row["label"]: row["photos"] for row in rows if row["label"] == row["guess"]}
    pairs.sort(key=lambda pair: (-pair["photos"], pair["label"], pair["guess"]))
    return Confusion(right, photos, pairs)
