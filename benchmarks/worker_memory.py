"""Peak memory of the process that runs the network, by photos per partition; `--help` says more."""

import argparse
import multiprocessing
import resource
from pathlib import Path

import pyarrow as pa

BATCH = 256  # what a laptop's session sends at a time


def measure(images: str, network: bytes, size: int, photos: int) -> float:
    """Run one partition of `photos` photos, as a worker does; returns the peak resident memory in MB."""
    from fruits.silver import make_featuriser

    files = sorted(Path(images).rglob("*.jpg"))

    def batches():
        for start in range(0, photos, BATCH):
            chosen = [files[number % len(files)] for number in range(start, min(start + BATCH, photos))]
            names = [str(file) for file in chosen]
            columns = {"path": names, "sha256": names, "label": names, "split": names}
            yield pa.RecordBatch.from_pydict(columns | {"content": [file.read_bytes() for file in chosen]})

    done = sum(batch.num_rows for batch in make_featuriser("measured", network, size)(batches()))
    assert done == photos
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Read the arguments and measure, each number in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--photos", type=int, nargs="+", default=[1000, 10_000])
    given = parser.parse_args()
    from fruits.settings import Settings
    from fruits.vision.backbone import identify_backbone, load_network

    backbone = identify_backbone(Settings(weights=given.weights))
    network = load_network(backbone)
    for photos in given.photos:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            peak = pool.apply(measure, (given.images, network, backbone.input_size, photos))
        print(f"{photos} photos in one partition: {peak:.0f} MB at the peak")


if __name__ == "__main__":
    main()
