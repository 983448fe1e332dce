"""Reports of lakes that are nowhere: what the page is made of, without Spark."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
from photos import jpeg

from fruits.confusion import Confusion
from fruits.report import LakeReport

MODEL = "tiny-32-float32-0123abcd-p1-89abcdef-k6"
TABLES = ("bronze_images", "silver_features", "gold_moments", "gold_spectrum", "gold_pca", "gold_comparison")


def make_report(n: int = 60, labels: tuple[str | None, ...] = ("Apple", "Fig", "Lime"), k: int = 6) -> LakeReport:
    """Make the report of a lake of n photos, labels in turn, a fifth of them Test; k = 0 is a lake without a fit."""
    rng = np.random.default_rng(n)
    named = [labels[place % len(labels)] for place in range(n)]
    splits = ["Test" if place % 5 == 4 else "Training" for place in range(n)]
    counts = pd.Series(list(zip(splits, named, strict=True)), dtype=object).value_counts(sort=False)
    pictures = [jpeg(tuple(rng.integers(0, 255, 3).tolist()), (64, 64), 80, seed) for seed in range(min(n, 200))]
    photos = pd.DataFrame(
        {
            "path": [f"{splits[place]}/{named[place]}/{place}.jpg" for place in range(n)],
            "label": pd.Series(named, dtype=object),
            "split": splits,
            "thumbnail": [pictures[place % len(pictures)] for place in range(n)],
            "colour": rng.integers(0, 2**24, n).astype(float),
        }
    )
    status: dict[str, Any] = {
        "lake": "/a lake",
        "tables": {name: {"version": 1, "rows": n} for name in TABLES} | {"gold_comparison": None},
        "photos": [{"split": split, "label": label, "photos": count} for (split, label), count in counts.items()],
        "features": [{"backbone": "tiny-32-float32-0123abcd-p1", "photos": n}],
        "models": [],
        "runs": [],
    }
    made = datetime(2026, 3, 1, 12, tzinfo=UTC)
    if not k:
        return LakeReport(status=status, made=made, photos=photos, total=n, scores=np.empty((n, 0), np.float32))
    ks = sorted({max(1, k // 2), k})
    scores = (rng.normal(0, 1, (n, k)) * np.linspace(3, 1, k)).astype(np.float32)
    cumulative = np.cumsum(np.geomspace(1, 0.1, 2 * k) / np.geomspace(1, 0.1, 2 * k).sum())
    return LakeReport(
        status=status,
        made=made,
        photos=photos,
        total=n,
        scores=scores,
        model=MODEL.replace("-k6", f"-k{k}"),
        cumulative=cumulative,
        comparison=compare(ks, cumulative),
        confusions={place: confuse(photos, place) for place in ks} if len(set(labels)) > 1 else {},
        stages=[
            {"stage": "bronze", "ended": made, "rows": n, "commits": 1, "seconds": None},
            {"stage": "silver", "ended": made, "rows": n, "commits": 2, "seconds": 12.5},
        ],
    )


def compare(ks: list[int], cumulative: np.ndarray) -> list[dict[str, Any]]:
    """Rows of gold_comparison; the least k is recommended."""
    return [
        {
            "k": k,
            "cumulative_explained_variance": float(cumulative[k - 1]),
            "reconstruction_error_test": 0.25,
            "accuracy_train": 0.875,
            "accuracy_test": 0.75 + k / 1000,
            "centroid_accuracy_test": 0.5,
            "bytes_per_photo": 8 * k,
            "recommended": k == ks[0],
        }
        for k in ks
    ]


def confuse(photos: pd.DataFrame, k: int) -> Confusion:
    """Take the first k Test photos of the first label for the second."""
    test = photos[photos["split"] == "Test"]
    counts = test["label"].dropna().value_counts().to_dict()
    first, second = list(photos["label"].dropna().unique())[:2]
    wrong = test.loc[test["label"] == first, "path"].head(k).tolist()
    right = counts | ({first: counts[first] - len(wrong)} if wrong else {})
    if not wrong:
        return Confusion(right, counts, [])
    return Confusion(right, counts, [{"label": first, "guess": second, "photos": len(wrong), "examples": wrong}])
