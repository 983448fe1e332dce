"""What a page or slides about a lake show, as plain arrays: figures, photos, scores and times; nothing is written."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from fruits.accumulate import MOMENTS
from fruits.bronze import BRONZE
from fruits.compare import COMPARISON
from fruits.confusion import Confusion, count_confusions
from fruits.gold import PCA, SPECTRUM, scores_of
from fruits.platform.progress import report
from fruits.platform.tables import Lake, Table
from fruits.settings import Settings
from fruits.silver import SILVER
from fruits.status import describe_lake
from fruits.thumbnails import make_thumbnails

SAMPLE = 10_000  # photos looked at one by one; of a larger lake, those with the lowest hash of their path
SCORES = 64  # leading components read of each of them
MOST_ERRORS = 500  # files named
CONFUSED = 12  # pairs of labels whose photos are shown, for each k
COMMITS = 100  # of each table
PAUSE = 3600  # seconds without a commit after which the next one belongs to another run
STAGES = {BRONZE: "bronze", SILVER: "silver", MOMENTS: "gold", PCA: "gold", SPECTRUM: "gold", COMPARISON: "compare"}


@dataclass(frozen=True, kw_only=True)
class LakeFigures:
    """What the tables say in numbers; no photo is looked at for it.

    Attributes:
        status: counts, errors by reason, models and runs, as describe_lake gives them.
        made: when, in UTC.
        model: whose figures; None before the first fit.
        cumulative: (r,) share of variance of the first components, at full rank.
        comparison: rows of gold_comparison of the model, by k.
        confusions: k to what the discriminant confuses.
        reasons: error and photos (how many files), for files that could not be read, most frequent first.
        errors: path and error of such files, at most MOST_ERRORS.
        stages: what the tables' histories tell of times, oldest first.
    """

    status: dict[str, Any]
    made: datetime
    model: str | None = None
    cumulative: np.ndarray = field(default_factory=lambda: np.empty(0))
    comparison: Sequence[dict[str, Any]] = ()
    confusions: dict[int, Confusion] = field(default_factory=dict)
    reasons: Sequence[dict[str, Any]] = ()
    errors: Sequence[dict[str, Any]] = ()
    stages: Sequence[dict[str, Any]] = ()

    @property
    def kept(self) -> int | None:
        """The k of the model, if there is one."""
        return kept_components(self.model) if self.model else None

    @property
    def recommended(self) -> int | None:
        """The k that the comparison recommends, if any."""
        return next((row["k"] for row in self.comparison if row["recommended"]), None)

    @property
    def k(self) -> int:
        """Components to look at: as many as are recommended, if so many are kept; 0 before the first fit."""
        kept = self.kept or 0
        return min(self.recommended or kept, kept)


@dataclass(frozen=True, kw_only=True)
class LakeReport(LakeFigures):
    """What a page about a lake shows: its figures, and photos.

    Attributes:
        photos: path, label, split, thumbnail (JPEG) and colour (0xRRGGBB), both null for a photo that cannot be read;
            a row per photo of the sample, and after them those that only an example of a confusion needs.
        total: photos in the lake that the sample is taken of.
        scores: (sample, up to `components`) float32, leading PCA scores; NaN where a photo has none.
    """

    photos: pd.DataFrame
    total: int
    scores: np.ndarray


def gather_figures(spark: SparkSession, settings: Settings) -> LakeFigures:
    """Gather what the tables of a lake say in numbers.

    Raises:
        FruitsError: no table was ever written.
    """
    lake = Lake(spark, settings.lake)
    # The lake as it was typed: whoever is shown the page need not learn where it is on this machine.
    status = describe_lake(spark, settings) | {"lake": settings.lake}
    model = choose_model(status)
    report(f"figures: {model or 'no fit yet'}")
    fitted: dict[str, Any] = {}
    if model is not None:
        comparison = _read_comparison(lake, model)
        ks = [row["k"] for row in comparison] or [kept_components(model)]
        confusions = count_confusions(lake, model, ks)
        report(f"figures: Test photos classified with k={', '.join(map(str, ks))}")
        fitted = {"cumulative": _read_cumulative(lake, model), "comparison": comparison, "confusions": confusions}
    reasons, errors = _read_errors(lake)
    stages = find_stages([each for table in STAGES for each in _read_history(lake, table)])
    now = datetime.now(UTC)
    return LakeFigures(status=status, made=now, model=model, reasons=reasons, errors=errors, stages=stages, **fitted)


def gather_report(
    spark: SparkSession, settings: Settings, sample: int = SAMPLE, components: int = SCORES
) -> LakeReport:
    """Gather what a page about a lake shows. Of a lake of more photos than `sample`, only so many leave the workers.

    Args:
        spark: the session.
        settings: name the lake, and where its runs are.
        sample: photos looked at one by one.
        components: leading scores read of each, where as many are kept.

    Raises:
        FruitsError: no table was ever written.
    """
    lake, figures = Lake(spark, settings.lake), gather_figures(spark, settings)
    photos, total = _sample_photos(lake, sample)
    scores = _read_scores(lake, figures.model, photos["path"], sample, components)
    pairs = [pair for each in figures.confusions.values() for pair in each.pairs[:CONFUSED]]
    photos = _add_thumbnails(lake, photos, total, sorted({path for pair in pairs for path in pair["examples"]}))
    report(f"report: {photos['thumbnail'].notna().sum()} photos made small")
    return LakeReport(**vars(figures), photos=photos, total=total, scores=scores)


def choose_model(status: dict[str, Any]) -> str | None:
    """Name the model of the newest fit that gold_pca has rows of; untracked, the one with most photos."""
    projected = {row["model"]: row["photos"] for row in status["projections"]}
    tracked = [run["name"] for run in status["runs"] if run["name"] in projected]
    return tracked[0] if tracked else max(sorted(projected), key=projected.get, default=None)


def kept_components(model: str) -> int:
    """Give k of a model, which ends its name."""
    return int(model.rpartition("-k")[2])


def find_stages(commits: Sequence[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    """Make stages of the commits of all tables: those that follow one another are one stage.

    Delta writes down when a commit ended, not when its work began. A stage began when the one before it ended; the
    first after a pause has no known beginning.

    Args:
        commits: pairs of a stage and a commit as Lake.history gives it, in any order.

    Returns:
        stage, ended, rows (written by it; None if not told), commits and seconds (None if not known), oldest first.
    """
    ordered = sorted(commits, key=lambda each: each[1]["when"])
    stages, before = [], None
    for stage, group in groupby(_number_runs(ordered), key=lambda each: each[:2]):
        inside = [commit for *_, commit in group]
        ended = inside[-1]["when"]
        known = before is not None and before[0] == stage[0]
        rows = [commit["rows"] for commit in inside if commit["rows"] is not None]
        stages.append(
            {
                "stage": stage[1],
                "ended": ended,
                "rows": sum(rows) if rows else None,
                "commits": len(inside),
                "seconds": (ended - before[1]).total_seconds() if known else None,
            }
        )
        before = stage[0], ended
    return stages


def _number_runs(commits: Sequence[tuple[str, dict[str, Any]]]) -> list[tuple[int, str, dict[str, Any]]]:
    """Give each commit the number of its run: a new one after a pause."""
    run, last, numbered = 0, None, []
    for stage, commit in commits:
        if last is not None and (commit["when"] - last).total_seconds() > PAUSE:
            run += 1
        numbered.append((run, stage, commit))
        last = commit["when"]
    return numbered


def _read_cumulative(lake: Lake, model: str) -> np.ndarray:
    rows = lake.read(SPECTRUM).where(F.col("model") == model).orderBy("component")
    return rows.select("cumulative_explained_variance_ratio").toPandas().to_numpy(float).ravel()


def _read_comparison(lake: Lake, model: str) -> list[dict[str, Any]]:
    return [row.asDict() for row in lake.read(COMPARISON).where(F.col("model") == model).orderBy("k").collect()]


def _sample_photos(lake: Lake, sample: int) -> tuple[pd.DataFrame, int]:
    """Take the photos with the lowest hash of their path: the same at every call, and spread over all folders."""
    photos = lake.read(BRONZE).where("error IS NULL").select("path", "label", "split")
    taken = photos.orderBy(F.xxhash64("path"), "path").limit(sample).toPandas()
    return taken, len(taken) if len(taken) < sample else photos.count()


def _read_scores(lake: Lake, model: str | None, paths: pd.Series, sample: int, most: int) -> np.ndarray:
    if model is None:
        return np.empty((len(paths), 0), np.float32)
    width = min(kept_components(model), most)
    rows = scores_of(lake, model).orderBy(F.xxhash64("path"), "path").limit(sample)
    rows = rows.select("path", F.slice("pca", 1, width).cast("array<float>").alias("scores")).toPandas()
    found = dict(zip(rows["path"], rows["scores"], strict=True))
    missing = np.full(width, np.nan, np.float32)
    return np.array([found.get(path, missing) for path in paths], np.float32).reshape(len(paths), width)


def _add_thumbnails(lake: Lake, photos: pd.DataFrame, total: int, extra: Sequence[str]) -> pd.DataFrame:
    """Join small pictures to the sample, and add the photos of `extra` that it lacks; others stay in the workers."""
    bronze = lake.read(BRONZE).where("error IS NULL")
    extra = sorted(set(extra) - set(photos["path"]))
    if len(photos) < total:
        # By the rule of the sample, so that nothing is joined.
        last = F.xxhash64(F.lit(photos["path"].iloc[-1]))
        wanted = F.xxhash64("path") <= last
        bronze = bronze.where(wanted | F.col("path").isin(extra) if extra else wanted)
    added = bronze.where(F.col("path").isin(extra)).select("path", "label", "split").toPandas() if extra else None
    small = make_thumbnails(bronze).toPandas()
    return pd.concat([photos, added] if extra else [photos], ignore_index=True).merge(small, "left", "path")


def _read_history(lake: Lake, table: Table) -> list[tuple[str, dict[str, Any]]]:
    """Pair the commits of a table with its stage; rows count where a row is a photo."""
    commits = lake.history(table, COMMITS)
    if table not in (BRONZE, SILVER, PCA):
        commits = [commit | {"rows": None} for commit in commits]
    return [(STAGES[table], commit) for commit in commits]


def _read_errors(lake: Lake) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Count files that could not be read by reason, and name some. One that bronze could not read is in silver too."""
    bronze, silver = (lake.read(table).where("error IS NOT NULL").select("path", "error") for table in (BRONZE, SILVER))
    errors = bronze.union(silver).distinct()
    reasons = errors.groupBy("error").agg(F.count("*").alias("photos")).orderBy(F.desc("photos"), "error").collect()
    named = errors.orderBy("path").limit(MOST_ERRORS).collect() if reasons else []
    return [row.asDict() for row in reasons], [row.asDict() for row in named]
