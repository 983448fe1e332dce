"""Whether the steps after bronze have anything to do, found out without doing it."""

from pyspark.sql import SparkSession

from fruits.accumulate import count_groups
from fruits.compare import choose_ks, choose_rows, kept_rows
from fruits.errors import FruitsError
from fruits.gold import fingerprint_of, kept_spectrum, name_fit, survey_scores
from fruits.platform import tracking
from fruits.platform.tables import Lake
from fruits.settings import Settings
from fruits.silver import SILVER, choose_backbone, survey_photos
from fruits.stats.pca import choose_k


def has_work(spark: SparkSession, settings: Settings) -> bool:
    """Tell whether silver, gold or compare would write anything, so that a job starts them only then.

    The tables are asked, not the run of bronze: where an earlier run ended between bronze and compare, or a setting
    such as k was changed, there is work left though no photo changed. Counts and keys are read, no photo, no feature.
    """
    try:
        return not _is_done(Lake(spark, settings.lake), settings)
    except FruitsError:  # a step will raise it too, and is where people look for it
        return True


def _is_done(lake: Lake, settings: Settings) -> bool:
    if not lake.exists(SILVER):
        return False
    backbone = choose_backbone(lake, settings).id
    counted = survey_photos(lake)
    if counted[None] != counted[backbone]:
        return False
    groups = count_groups(lake).get(backbone, [])
    name = name_fit(backbone, groups)
    kept = kept_spectrum(lake, name)
    if not kept.runs:
        return False
    k = choose_k(kept.cumulative, settings.k)
    model = f"{name}-k{k}"
    if model not in kept.runs or survey_scores(lake).get(model) != fingerprint_of(groups):
        return False
    run_id = kept.runs[model]
    rows, recorded = choose_rows(kept_rows(lake, model), fingerprint_of(groups)[1])
    if [row["k"] for row in rows] != choose_ks(settings.k_values, len(kept.cumulative), k) or recorded != run_id:
        return False
    if tracking.resolve_uri(settings) is None:
        return True
    if run_id is None:  # MLflow was away
        return False
    return settings.promote != "always" or tracking.champion_model(tracking.open_tracking(settings)) == model
