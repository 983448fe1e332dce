"""What MLflow keeps of a fit: figures, models, and how far the classifier is to be trusted."""

from typing import TYPE_CHECKING

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from fruits.accumulate import with_features
from fruits.platform import tracking
from fruits.platform.tables import Lake
from fruits.settings import Settings, as_text
from fruits.silver import SILVER, features_of, read_network
from fruits.stats.calibration import UNCALIBRATED, Calibration, calibrate
from fruits.stats.discriminant import Discriminant, fit_discriminant

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fruits.gold import Fit

MAP_PHOTOS = 5000  # dots of the figure of the first two components
CALIBRATION_PHOTOS = 5000  # of Test; 26 MB, and a share of 99 % is then known to 0.3 points


def record_fit(
    lake: Lake, store: tracking.Tracking, settings: Settings, backbone: str, fit: "Fit", k: int, scores: DataFrame
) -> str | None:
    """Log the fit with its figures and models.

    Args:
        lake: holds silver_features.
        store: the open store.
        settings: what was asked for.
        backbone: whose features were fitted.
        fit: the fit, at full rank.
        k: components kept.
        scores: rows of gold_pca of this model.

    Returns:
        The run, None if it could not be recorded.
    """
    from fruits.samples import sample_photo

    labelled = fit.labelled("Training")
    discriminant = None if labelled is None else fit_discriminant(labelled, fit.pca, k)
    counts = {
        f"photos_{group.split.lower()}{'' if group.labelled else '_unlabelled'}": group.photos for group in fit.groups
    }
    asked = {f"setting_{name}": as_text(getattr(settings, name)) for name in ("images", "lake", "weights", "k")}
    return tracking.log_fit(
        store,
        tracking.FitRecord(
            model=f"{fit.name}-k{k}",
            backbone=backbone,
            k=k,
            pca=fit.pca,
            discriminant=discriminant,
            calibration=calibrate_fit(lake, backbone, fit, discriminant, k),
            network=read_network(lake, settings, backbone),
            example=sample_photo(),
            params={**asked, **counts, "silver_version": lake.version(SILVER)},
            figures=_draw_figures(fit, k, scores),
        ),
    )


def calibrate_fit(lake: Lake, backbone: str, fit: "Fit", discriminant: Discriminant | None, k: int) -> Calibration:
    """Calibrate the classifier on labelled Test photos, all or a fixed choice of them, by the features there are."""
    if discriminant is None or fit.labelled("Test") is None:
        return UNCALIBRATED
    test = with_features(features_of(lake, backbone)).where("split = 'Test' AND label IS NOT NULL")
    rows = test.orderBy(F.xxhash64("path")).limit(CALIBRATION_PHOTOS).select("label", "features").toPandas()
    return calibrate(np.stack(rows["features"]), rows["label"], fit.pca, discriminant, k)


def _draw_figures(fit: "Fit", k: int, scores: DataFrame) -> list[tuple[str, "Figure"]]:
    # Here, since a run without tracking needs no matplotlib.
    from fruits.views.plots import plot_components, plot_cumulative_variance

    dots = scores.orderBy(F.xxhash64("path")).limit(MAP_PHOTOS)
    dots = dots.selectExpr("label", "pca[0] AS x", "try_element_at(pca, 2) AS y").toPandas()
    points = dots[["x", "y"]].to_numpy(float)
    return [
        ("cumulative_variance", plot_cumulative_variance(fit.pca.cumulative_explained_variance_ratio, k)),
        ("components", plot_components(points, dots["label"], fit.pca.explained_variance_ratio)),
    ]
