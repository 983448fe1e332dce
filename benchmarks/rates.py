"""What one core does in a second: the networks, and each step of the chain. `fruits emr cost` reads what this writes.

Everything is processor time, of this process or of it and all it started, so other work on the machine spoils little.
The steps are run on few photos and on many, and the difference is divided: a start costs nothing a photo. Linux only.
"""

import argparse
import datetime
import io
import os
import platform
import random
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from fruits.settings import Settings

RATES = Path(__file__).parents[1] / "src" / "fruits" / "platform" / "rates.toml"
NETWORKS = (("fruits", 0, "float32"), ("imagenet", 224, "float32"), ("imagenet", 224, "int8"))
BATCH = 256
HEAD = """\
# What one core does, measured by `python benchmarks/rates.py`; `fruits emr cost` reads it. Seconds are processor time.
"""


def choose(images: Path, n: int, place: Path) -> Path:
    """Copy n photos into a folder, the same ones each time."""
    files = sorted(images.rglob("*.jpg"))
    for file in random.Random(0).sample(files, n):
        copy = place / file.relative_to(images)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    return place


def rate_of_network(settings: Settings, images: Path, photos: int) -> tuple[int, float]:
    """Give input size and photos per second of a network, decoding included, as a worker runs it; the best of three."""
    from fruits.silver import make_featuriser
    from fruits.vision.backbone import identify_backbone, load_network

    files = sorted(images.rglob("*.jpg"))[:photos]
    contents = [file.read_bytes() for file in files]
    backbone = identify_backbone(settings)
    if settings.precision == "int8":
        backbone = backbone.calibrated_on([])
    network = load_network(backbone, contents[:200])
    names = [str(file) for file in files]

    def batches():
        for start in range(0, len(files), BATCH):
            some = slice(start, start + BATCH)
            columns = dict.fromkeys(("path", "sha256", "label", "split"), names[some])
            yield pa.RecordBatch.from_pydict(columns | {"content": contents[some]})

    def run() -> float:
        start = time.process_time()
        done = sum(batch.num_rows for batch in make_featuriser("measured", network, backbone.input_size)(batches()))
        assert done == len(files)
        return time.process_time() - start

    run()
    return backbone.input_size, len(files) / min(run() for _ in range(3))


def seconds_per_megabyte() -> float:
    """Decode a photo as telephones make them, 12 megapixels in some megabytes, to 224 px."""
    from PIL import Image

    from fruits.samples import sample_photo
    from fruits.vision.decode import decode_photo

    photo = Image.open(io.BytesIO(sample_photo())).convert("RGB").resize((4000, 3000), Image.Resampling.BICUBIC)
    grain = np.random.default_rng(0).integers(-6, 7, size=(3000, 4000, 3))
    file = io.BytesIO()
    Image.fromarray((np.asarray(photo) + grain).clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    start = time.process_time()
    for _ in range(5):
        assert decode_photo(file.getvalue(), 224)[1] is None
    return (time.process_time() - start) / 5 / (len(file.getvalue()) / 1e6)


def processor_seconds() -> float:
    """Sum up the processor time of this process and of all below it, the ended ones included."""
    times, parents = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:  # ended meanwhile
            continue
        values = text.rpartition(")")[2].split()
        process = int(stat.parent.name)
        parents[process], times[process] = int(values[1]), sum(map(int, values[11:15]))

    def is_ours(process: int) -> bool:
        return process == os.getpid() or (process in parents and is_ours(parents[process]))

    return sum(ticks for process, ticks in times.items() if is_ours(process)) / os.sysconf("SC_CLK_TCK")


def run_steps(spark, images: Path, lake: Path) -> dict[str, float]:
    """Run the chain into an empty lake; returns the processor seconds of each step."""
    from fruits import bronze, compare, gold, silver

    settings = Settings(images=str(images), lake=str(lake), tracking="none")
    verbs: dict[str, Callable] = {
        "bronze": bronze.ingest_photos,
        "silver": silver.featurise_photos,
        "gold": gold.reduce_features,
        "compare": compare.compare_components,
    }
    seconds = {}
    for step, verb in verbs.items():
        before = processor_seconds()
        verb(spark, settings)
        seconds[step] = processor_seconds() - before
    return seconds


def bytes_of(lake: Path, table: str) -> int:
    """Sum up the data files of a table in a folder."""
    return sum(file.stat().st_size for file in (lake / table).rglob("*.parquet"))


def measure_steps(images: Path, few: int, many: int, place: Path) -> dict[str, float]:
    """Give seconds and bytes per photo of each step, from a run on few photos and one on many, after one to warm up."""
    from fruits.platform.session import open_session

    spark = open_session()
    ran = {}
    for name, n in (("warm", few), ("few", few), ("many", many)):
        folder = choose(images, n, place / name / "photos")
        ran[name] = run_steps(spark, folder, place / name / "lake")
        print(f"{n} photos: " + ", ".join(f"{step} {seconds:.1f} s" for step, seconds in ran[name].items()))
    measured = {step: (ran["many"][step] - ran["few"][step]) / (many - few) for step in ran["many"]}
    for table in ("silver_features", "gold_pca"):
        measured[table] = bytes_of(place / "many" / "lake", table) / many
    return measured


def describe_machine() -> tuple[str, int]:
    """Give the processor in words, and how many threads share a core of it."""
    about = Path("/proc/cpuinfo").read_text()
    name = re.search(r"model name\s*: (.+)", about)
    siblings, cores = (re.search(rf"{key}\s*: (\d+)", about) for key in ("siblings", "cpu cores"))
    threads = int(siblings[1]) // int(cores[1]) if siblings and cores else 1
    wide = " with AVX-512" if "avx512f" in about else ""
    return f"{name[1] if name else platform.machine()}{wide}, {os.cpu_count()} CPUs", threads


def write(file: Path, given: argparse.Namespace, networks: list, steps: dict[str, float], megabyte: float) -> None:
    """Write the rates; silver's share is what Spark does around the network."""
    machine, threads = describe_machine()
    sizes = [each.stat().st_size for each in given.images.rglob("*.jpg")]
    around = max(0.0, steps["silver"] - 1 / networks[0][3])
    lines = [
        HEAD,
        f"date = {datetime.date.today()}",
        f'machine = "{machine}"',
        f'photos = "{given.photos}"',
        f"threads_per_core = {threads}",
        f"photo_bytes = {sum(sizes) / len(sizes):.0f}",
        "",
        "# Of one core, a photo: listing, reading and packing; what Spark does around the network; fit, scores and",
        "# comparison; and a megabyte beyond photo_bytes, its decoding.",
        "[seconds]",
        f"bronze = {steps['bronze']:.2g}",
        f"silver = {around:.2g}",
        f"gold = {steps['gold'] + steps['compare']:.2g}",
        f"megabyte = {megabyte:.2g}",
        "",
        "# Of each photo in the tables; gold for the k that keeps 95 % of the variance.",
        "[bytes]",
        f"silver = {steps['silver_features']:.0f}",
        f"gold = {steps['gold_pca']:.0f}",
    ]
    for weights, size, precision, rate in networks:
        lines += ["", "[[networks]]", f'weights = "{weights}"', f"input_size = {size}", f'precision = "{precision}"']
        lines += [f"photos_per_second = {rate:.0f}"]
    file.write_text("\n".join(lines) + "\n")


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, required=True, help="photos to measure on")
    parser.add_argument("--photos", default="photos of Fruits-360, 100 x 100 pixels", help="what they are, in words")
    parser.add_argument("--imagenet", default="imagenet", help="ImageNet weights: imagenet, or the path of an .h5")
    parser.add_argument("--few", type=int, default=1000)
    parser.add_argument("--many", type=int, default=6000)
    parser.add_argument("--to", type=Path, default=RATES)
    given = parser.parse_args()
    networks = []
    for weights, size, precision in NETWORKS:
        settings = Settings(weights=weights, input_size=size, precision=precision)
        if weights == "imagenet":
            settings = replace(settings, weights=given.imagenet)
        size, rate = rate_of_network(settings, given.images, given.few)
        networks.append((weights, size, precision, rate))
        print(f"{weights} {size} px {precision}: {rate:.0f} photos/s")
    megabyte = seconds_per_megabyte()
    print(f"decoding: {megabyte:.3f} s/MB")
    with tempfile.TemporaryDirectory() as place:
        steps = measure_steps(given.images, given.few, given.many, Path(place))
    write(given.to, given, networks, steps, megabyte)
    print(given.to.read_text())


if __name__ == "__main__":
    main()
