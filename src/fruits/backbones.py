"""The networks of a lake side by side: what their features are worth, and how fast they are; nothing is written."""

import time

import numpy as np
import pandas as pd
from pyspark.sql import SparkSession

from fruits.accumulate import count_groups, known_moments
from fruits.bronze import BRONZE
from fruits.compare import score_components
from fruits.errors import FruitsError
from fruits.gold import make_fit
from fruits.platform.progress import report
from fruits.platform.tables import Lake
from fruits.settings import Settings
from fruits.silver import read_network
from fruits.vision.backbone import extract_features, input_size_of
from fruits.vision.decode import decode_photo

TIMED = 40  # photos a network is timed on


def compare_backbones(spark: SparkSession, settings: Settings) -> pd.DataFrame:
    """Score every k of `k_values` for every backbone that silver_features has, from the features that are there.

    A network is only run to time it, on a few photos.

    Returns:
        A row per backbone and k: backbone, photos (with features), photos_per_second (of one core of this machine;
        NaN where the network is not here) and what score_components measures.

    Raises:
        FruitsError: there are no features, or a backbone has fewer than two Training photos.
    """
    lake = Lake(spark, settings.lake)
    there = {backbone: groups for backbone, groups in count_groups(lake).items() if groups}
    if not there:
        raise FruitsError(f"lake={settings.lake!r} has no features; run `fruits silver` first")
    photos = lake.read(BRONZE).where("error IS NULL").select("content").limit(TIMED)
    contents = [bytes(row["content"]) for row in photos.collect()]
    rows = []
    for backbone, groups in there.items():
        fit = make_fit(backbone, known_moments(lake, backbone, groups))
        most = len(fit.pca.eigenvalues)
        scored = score_components(lake, backbone, fit, [k for k in sorted(settings.k_values) if k <= most] or [most])
        network = read_network(lake, settings, backbone)
        told = {
            "backbone": backbone,
            "photos": sum(group.photos for group in groups),
            "photos_per_second": measure_speed(network, contents) if network else float("nan"),
        }
        rows += [told | row for row in scored]
        report(f"backbones: {backbone}, {told['photos']} photos")
    if len(there) == 1:
        report(
            "backbones: there is only this one; to add one of other weights or input_size, featurise the photos with it"
        )
    return pd.DataFrame(rows)


def measure_speed(network: bytes, contents: list[bytes]) -> float:
    """Time a network on photos, decoded, resized and run: photos/s of one core; NaN where none can be read."""
    size, seconds = input_size_of(network), []
    for content in contents:
        start = time.thread_time()  # of this thread, which is all of it: what else the machine does hardly counts
        pixels, _ = decode_photo(content, size)
        if pixels is not None:
            extract_features(network, pixels)
            seconds.append(time.thread_time() - start)
    return 1 / float(np.median(seconds)) if seconds else float("nan")
