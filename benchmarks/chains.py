"""Our chain beside the usual one, photos to projected table, in one run: `python benchmarks/chains.py --help`.

The usual chain is what most public projects do, with features saved before the PCA, which most forget: binaryFile, 20
partitions, Keras' predict in an iterator pandas UDF, parquet, MLlib's PCA, parquet. Ours is bronze, silver and gold
without tracking. Each run is a process of its own; the network of ours is made once, before, and kept.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path


def run_usual(images: str, lake: str, weights: str, k: int) -> None:
    """Photos to parquet of k scores, the usual way."""
    import io

    import numpy as np
    import pandas as pd
    from PIL import Image
    from pyspark.ml.feature import PCA
    from pyspark.ml.functions import array_to_vector
    from pyspark.sql import SparkSession
    from pyspark.sql import functions as F

    os.environ["PYSPARK_PYTHON"] = sys.executable
    spark = (
        SparkSession.builder.master("local[*]").config("spark.driver.memory", "4g").config("spark.ui.enabled", False)
    ).getOrCreate()

    @F.pandas_udf("array<float>")
    def featurise(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
        import keras

        network = keras.applications.MobileNetV2(include_top=False, weights=weights, pooling="avg")
        for batch in batches:
            photos = [Image.open(io.BytesIO(each)).convert("RGB").resize((224, 224)) for each in batch]
            pixels = keras.applications.mobilenet_v2.preprocess_input(np.stack([np.asarray(each) for each in photos]))
            yield pd.Series(list(network.predict(pixels, batch_size=32, verbose=0)))

    photos = spark.read.format("binaryFile").option("recursiveFileLookup", True).load(images).repartition(20)
    label = F.element_at(F.split("path", "/"), -2).alias("label")
    photos.select("path", label, featurise("content").alias("features")).write.parquet(f"{lake}/features")
    features = spark.read.parquet(f"{lake}/features").withColumn("vector", array_to_vector("features"))
    model = PCA(k=k, inputCol="vector", outputCol="pca").fit(features)
    model.transform(features).select("path", "label", "pca").write.parquet(f"{lake}/pca")


def run_ours(images: str, lake: str, weights: str, k: int) -> None:
    """Photos to gold_pca of k scores, our way."""
    from fruits.bronze import ingest_photos
    from fruits.gold import reduce_features
    from fruits.platform.session import open_session
    from fruits.settings import Settings
    from fruits.silver import featurise_photos

    start = time.monotonic()
    spark, settings = open_session(), Settings(images=images, lake=lake, weights=weights, k=k, tracking="none")
    print(f"session {time.monotonic() - start:.1f} s", file=sys.stderr)
    for step in (ingest_photos, featurise_photos, reduce_features):
        start = time.monotonic()
        step(spark, settings)
        print(f"{step.__name__} {time.monotonic() - start:.1f} s", file=sys.stderr)


def compare(images: str, weights: str, photos: int, k: int, runs: int, folder: Path) -> None:
    """Time both chains in turn on the same photos and print each pair and the median ratio."""
    files = sorted(Path(images).rglob("*.jpg"))
    chosen = files[:: len(files) // photos][:photos] if photos else files
    subset = folder / "photos"
    for file in chosen:
        copy = subset / file.relative_to(images)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    from fruits.settings import Settings
    from fruits.vision.backbone import identify_backbone, load_network

    load_network(identify_backbone(Settings(weights=weights)))
    ratios = []
    for number in range(runs):
        seconds = {}
        for chain in ("ours", "usual"):
            lake = folder / f"{chain}-{number}"
            command = [sys.executable, __file__, chain, "--images", str(subset), "--lake", str(lake)]
            start = time.monotonic()
            subprocess.run([*command, "--weights", weights, "--k", str(k)], check=True, stderr=subprocess.DEVNULL)
            seconds[chain] = time.monotonic() - start
            shutil.rmtree(lake)
        ratios.append(seconds["usual"] / seconds["ours"])
        print(
            f"{len(chosen)} photos, k={k}: ours {seconds['ours']:.1f} s, usual {seconds['usual']:.1f} s, "
            f"{ratios[-1]:.2f} times as fast",
            flush=True,
        )
    print(f"median of {runs}: {statistics.median(ratios):.2f} times as fast")


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("chain", choices=("compare", "ours", "usual"))
    parser.add_argument("--images", required=True)
    parser.add_argument("--weights", required=True, help="Keras' MobileNetV2 .h5 without top, 224 px")
    parser.add_argument("--lake", help="folder to write, for ours and usual")
    parser.add_argument("--photos", type=int, default=0, help="compare: how many, spread evenly (default: all)")
    parser.add_argument("--runs", type=int, default=3, help="compare: pairs of runs (default: 3)")
    parser.add_argument("--k", type=int, default=50)
    given = parser.parse_args()
    images, weights = str(Path(given.images).absolute()), str(Path(given.weights).absolute())
    if given.chain == "compare":
        with tempfile.TemporaryDirectory() as folder:
            compare(images, weights, given.photos, given.k, given.runs, Path(folder))
    else:
        chain = {"ours": run_ours, "usual": run_usual}[given.chain]
        chain(images, given.lake, weights, given.k)


if __name__ == "__main__":
    main()
