"""The cloud notebook: the four steps of the chain in one, explained, with tables and charts."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fruits.platform.livy import ask_session
from fruits.views import plots
from fruits.views.notebook_texts import TEXTS
from fruits.views.notebooks import OPEN, READ, Cell, make_notebook, read_cells, tidy_imports, write_settings

if TYPE_CHECKING:
    from nbformat import NotebookNode

# Without 05_explore.py: this notebook has looks of its own, which can be drawn where neither package nor Spark is.
FILES = {
    "bronze": "01_bronze_images.py",
    "silver": "02_silver_features.py",
    "gold": "03_gold_pca.py",
    "compare": "04_compare_k.py",
}
DOTS = 5000  # photos in the picture of the first two components, as in MLflow


@dataclass(frozen=True)
class Frame:
    """A small table that comes from Spark to where the notebook is drawn.

    Attributes:
        name: variable, a DataFrame of Spark first and of pandas then.
        code: Python that gives the DataFrame; `summary` is what the step gave.
        imports: what it needs beyond the imports of its step.
    """

    name: str
    code: str
    imports: str = ""


# What a step shows after the notebook's own look: tables that are fetched, then Python that draws from them, where
# LANGUAGE stands for the argument that has a chart speak the notebook's.
LOOKS: dict[str, tuple[Sequence[Frame], Sequence[str]]] = {
    "bronze": (
        [
            Frame(
                "photos",
                """(
    Lake(spark, settings.lake)
    .read(BRONZE)
    .groupBy("split")
    .agg(
        F.count("*").alias("photos"),
        F.countDistinct("label").alias("labels"),
        F.round(F.sum("length") / 1e6, 1).alias("megabytes"),
        F.count("error").alias("not_read"),
    )
    .orderBy("split")
)""",
            )
        ],
        ["photos"],
    ),
    "silver": (
        [
            Frame(
                "features",
                """(
    Lake(spark, settings.lake)
    .read(SILVER)
    .groupBy("backbone", "split", F.coalesce("error", F.lit("none")).alias("error"))
    .agg(F.count("*").alias("photos"), F.max(F.size("features")).alias("numbers_per_photo"))
    .orderBy("backbone", "split", "error")
)""",
            )
        ],
        ["features"],
    ),
    "gold": (
        [
            Frame(
                "spectrum",
                """(
    Lake(spark, settings.lake)
    .read(SPECTRUM)
    .where(F.col("model") == summary["model"])
    .select(
        "component",
        "explained_variance_ratio",
        "cumulative_explained_variance_ratio",
        F.lit(summary["k"]).alias("k"),
    )
    .orderBy("component")
)""",
                "from fruits.gold import SPECTRUM",
            ),
            Frame(
                "scores",
                f"""(
    Lake(spark, settings.lake)
    .read(PCA)
    .where(F.col("model") == summary["model"])
    .orderBy(F.xxhash64("path"))
    .limit({DOTS})
    .select(
        F.coalesce("label", F.lit("no label")).alias("label"),
        F.col("pca")[0].alias("x"),
        F.coalesce(F.try_element_at("pca", F.lit(2)), F.lit(0.0)).alias("y"),
    )
)""",
            ),
        ],
        [
            """\
cumulative = spectrum["cumulative_explained_variance_ratio"]
Image(as_png(plot_cumulative_variance(cumulative, int(spectrum["k"][0])LANGUAGE)))""",
            """\
explained = list(spectrum["explained_variance_ratio"])
Image(as_png(plot_components(scores[["x", "y"]].to_numpy(float), list(scores["label"]), explainedLANGUAGE)))""",
        ],
    ),
    "compare": (
        [
            Frame(
                "comparison",
                """(
    Lake(spark, settings.lake)
    .read(COMPARISON)
    .where(F.col("model") == summary["model"])
    .drop("model", "fingerprint", "run_id")
    .orderBy("k")
)""",
            )
        ],
        [
            "comparison.round(4)",
            """\
recommended = comparison.loc[comparison["recommended"].astype(bool), "k"]
best = int(recommended.iloc[0]) if len(recommended) else None
Image(as_png(plot_accuracy_by_k(comparison.to_dict("records"), bestLANGUAGE)))""",
        ],
    ),
}


@dataclass(frozen=True)
class Place:
    """Where a cloud notebook runs.

    Attributes:
        kernel: python, where the notebook and Spark are one process or joined by Spark Connect; or sparkmagic, where
            Spark is at the other end of Livy and charts are drawn where the notebook is.
        bucket: of the stack.
        version: of the release that is published there.
        architecture: x86_64 or arm64.
        on_cluster: EMR on EC2, or EMR Serverless.
    """

    kernel: str
    bucket: str
    version: str
    architecture: str = "x86_64"
    on_cluster: bool = False


def compose(folder: Path, place: Place, language: str, settings: Mapping[str, Any], note: str = "") -> "NotebookNode":
    """Make the cloud notebook.

    Args:
        folder: of the notebooks in source format.
        place: where it runs.
        language: of the words, en or fr.
        settings: values of the parameters; where `images` or `lake` is missing, they are in the bucket.
        note: words under the title, if any.
    """
    texts = TEXTS[language]
    cells = [Cell(words, is_code=False) for words in (texts["title"], note) if words]
    if place.kernel == "sparkmagic":
        asked = ask_session(place.bucket, place.version, place.architecture, place.on_cluster)
        cells += [
            Cell(texts["configure"], is_code=False),
            Cell(f"%%configure -f\n{json.dumps(asked, indent=4)}"),
        ]
    cells += [Cell(texts["parameters"], is_code=False), Cell(_write_parameters(place, settings))]
    cells += [Cell(texts["session"], is_code=False), Cell(OPEN_SESSION), *_import_plots(place.kernel, texts)]
    for step, file in FILES.items():
        cells += _compose_step(folder / file, step, place.kernel, language)
    return make_notebook([*cells, Cell(texts["end"], is_code=False)], place.kernel)


OPEN_SESSION = """\
from pyspark.sql import functions as F

from fruits.platform.session import open_session

spark = open_session()
spark.version"""


def _write_parameters(place: Place, settings: Mapping[str, Any]) -> str:
    here = {"images": 'f"s3://{bucket}/photos"', "lake": 'f"s3://{bucket}/lake"'}
    literals = {name: word for name, word in here.items() if name not in settings}
    bucket = [f'bucket = "{place.bucket}"'] if literals else []
    return "\n".join(["from fruits.settings import Settings", "", *bucket, write_settings(settings, literals)])


def _import_plots(kernel: str, texts: Mapping[str, str]) -> Iterator[Cell]:
    """Bring the charts to where they are drawn: there the package may not be, so its module of charts comes whole."""
    image = "from IPython.display import Image\n\n"
    if kernel == "python":
        names = "as_png, plot_accuracy_by_k, plot_components, plot_cumulative_variance"
        yield Cell(f"{image}from fruits.views.plots import {names}")
        return
    yield Cell(texts["charts"], is_code=False)
    source = Path(plots.__file__).read_text(encoding="utf-8")
    yield Cell(f"%%local\n{image}{source.strip()}", folded=True)


def _compose_step(file: Path, step: str, kernel: str, language: str) -> list[Cell]:
    """Take a notebook's cells but for those that the top of this one has, and add the looks of its step."""
    cells = [cell for cell in read_cells(file) if not (READ.search(cell.source) or OPEN.search(cell.source))]
    title, code = cells[0], cells[1:]
    words = TEXTS[language][step]
    if language == "en":
        words = f"{title.source}\n\n{words}"
    return [Cell(words, is_code=False), *tidy_imports(code), *_look(step, kernel, language)]


def _look(step: str, kernel: str, language: str) -> Iterator[Cell]:
    frames, drawings = LOOKS[step]
    for frame in frames:
        head = f"{frame.imports}\n\n" if frame.imports else ""
        if kernel == "sparkmagic":
            yield Cell(f"%%spark -o {frame.name} -n -1 -c False\n{head}{frame.name} = {frame.code}")
        else:
            yield Cell(f"{head}{frame.name} = {frame.code}.toPandas()")
    for drawing in drawings:
        cell = Cell(drawing.replace("LANGUAGE", "" if language == "en" else f', language="{language}"'))
        yield replace(cell, source=f"%%local\n{cell.source}") if kernel == "sparkmagic" else cell
