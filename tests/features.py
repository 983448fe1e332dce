"""Features made of random numbers, written straight into silver_features: what gold needs, without photos."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from conftest import read_rows
from pyspark.sql import DataFrame

from fruits.settings import Settings
from fruits.silver import ARROW, SILVER

BACKBONE = "random-32-test"


def make_features(
    n: int, split: str = "Training", labels=("Apple", "Fig", "Lime"), seed: int = 0, d: int = 40, **columns: str
) -> pa.Table:
    """Make n rows of silver_features, labels in turn; a label has a mean of its own, every feature its own spread.

    Args:
        n: number of rows.
        split: of all of them.
        labels: None among them gives photos without a label.
        seed: of the numbers, and part of the paths.
        d: features a photo; MobileNetV2's 1280 take a second more in every step, so only where they count.
        columns: `backbone` for another one, `path` for given paths, `error` for rows without features.
    """
    rng = np.random.default_rng([seed, len(split)])
    named = [labels[i % len(labels)] for i in range(n)]
    means = {label: np.random.default_rng(len(str(label))).normal(0, 0.5, d) for label in labels}
    matrix = rng.normal(0, np.linspace(1, 0.1, d), (n, d)) + 3 + np.array([means[label] for label in named])
    paths = columns.get("path") or [f"{split}/{label}/{seed}-{i}.jpg" for i, label in enumerate(named)]
    rows = {
        "path": paths,
        "backbone": [columns.get("backbone", BACKBONE)] * n,
        "sha256": [hashlib.sha256(row.astype(np.float32).tobytes()).hexdigest() for row in matrix],
        "label": named,
        "split": [split] * n,
        "features": [None] * n if "error" in columns else list(matrix.astype(np.float32)),
        "error": [columns.get("error")] * n,
    }
    return pa.table([pa.array(rows[field.name], field.type) for field in ARROW], ARROW)


def write_features(lake, *tables: pa.Table) -> None:
    """Add rows to silver_features, in one commit; not by Spark, which takes ten times as long."""
    from deltalake import write_deltalake

    configuration = {"delta.enableChangeDataFeed": "true"}
    write_deltalake(
        Path(lake.location) / SILVER.name, pa.concat_tables(tables), mode="append", configuration=configuration
    )


def as_rows(spark, table: pa.Table) -> DataFrame:
    """Give features as rows of silver_features; Spark 3.5 makes none of an Arrow table itself."""
    return spark.createDataFrame([tuple(row.values()) for row in table.to_pylist()], SILVER.schema)


def read_features(lake, backbone: str = BACKBONE) -> pd.DataFrame:
    """Read all rows without an error, in the order of paths: path, split, label (NaN for none) and features."""
    rows = [row for row in read_rows(lake, SILVER) if row.error is None and row.backbone == backbone]
    columns = ["path", "split", "label", "features"]
    frame = pd.DataFrame([[getattr(row, name) for name in columns] for row in rows], columns=columns)
    return frame.sort_values("path", ignore_index=True)


def matrix(rows: pd.DataFrame, split: str | None = None) -> np.ndarray:
    """Give the features of rows, or of those of a split, as float64 (n, d)."""
    chosen = rows if split is None else rows[rows["split"] == split]
    return np.array(chosen["features"].tolist(), np.float64)


def reference_pca(training: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit by SVD of the centred features, which our code never does: eigenvalues (r,) and signed components (r, d)."""
    _, singular, components = np.linalg.svd(training - training.mean(axis=0), full_matrices=False)
    r = min(len(training) - 1, training.shape[1])
    largest = np.abs(components).argmax(axis=1)
    components *= np.sign(components[np.arange(len(components)), largest])[:, None]
    return singular[:r] ** 2 / (len(training) - 1), components[:r]


def settings_of(lake, **changes) -> Settings:
    """Settings for a lake: 3 components, no tracking."""
    return Settings(lake=lake.location, **({"k": 3, "k_values": (2, 4), "tracking": "none"} | changes))
