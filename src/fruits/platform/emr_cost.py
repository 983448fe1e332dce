"""What a run on AWS EMR takes and costs, before it is started: measured rates times a dated price file."""

import datetime
import math
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

from fruits.errors import SettingError
from fruits.platform.progress import report
from fruits.settings import Settings

MACHINES = {"x86_64": "m7i.xlarge", "arm64": "m7g.xlarge"}  # of 4 vCPU; a cluster takes these first
HOURS_PER_MONTH = 730
OLD = 180  # days after which prices are doubted
ASSUMED = [
    "cores_per_vcpu",
    "seconds_per_object",
    "megabytes_per_second",
    "serverless_boot_minutes",
    "cluster_boot_minutes",
    "driver_seconds",
    "commit_seconds",
    "seconds_per_1000_listed",
    "worker_vcpu",
    "worker_gb",
    "spot_share",
    "disk_gb",
]
DIVISORS = ("cores_per_vcpu", "megabytes_per_second", "worker_vcpu")
PRICED = ["s3_gb_month", "s3_put_1000", "s3_get_1000", "disk_gb_month", "serverless_disk_gb_hour"]

Data = dict[str, Any]


def read_prices(file: str | None, region: str) -> tuple[Data, Data]:
    """Read the price file, that of the package for None; returns the whole of it, and the prices of a region.

    Raises:
        SettingError: it cannot be read, lacks something, or does not know the region.
    """
    name = file or str(resources.files("fruits.platform").joinpath("prices.toml"))
    prices = _read(file, "prices.toml")
    _check(prices.get("assumptions", {}), ASSUMED, f"[assumptions] of {name!r}")
    if region not in prices.get("regions", {}):
        known = ", ".join(prices.get("regions", {})) or "none"
        raise SettingError(
            f"{name!r} has no prices of region {region!r} (it has {known}); copy it, add [regions.{region}] and give "
            "it with --prices FILE"
        )
    there = prices["regions"][region]
    _check(there, PRICED, f"[regions.{region}] of {name!r}")
    for kind, machine in MACHINES.items():
        _check(there.get("serverless", {}).get(kind, {}), ["vcpu_hour", "gb_hour"], f"serverless.{kind} of {name!r}")
        _check(there.get("instances", {}).get(machine, {}), ["hour", "emr"], f'instances."{machine}" of {name!r}')
    if not isinstance(prices.get("date"), datetime.date):
        raise SettingError(f"{name!r} has no date; write when its prices were looked up: date = 2026-11-25")
    age = (datetime.date.today() - prices["date"]).days
    if age > OLD:
        report(
            f"cost: the prices are of {prices['date']}, {age} days old; check them, and give yours with --prices FILE"
        )
    return prices | {"file": name}, there


def read_rates() -> Data:
    """Read the rates that benchmarks/rates.py measured."""
    return _read(None, "rates.toml")


def _read(file: str | None, packaged: str) -> Data:
    try:
        text = Path(file).expanduser().read_text() if file else _packaged(packaged)
        return tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise SettingError(f"{file or packaged!r} could not be read ({error}); it is to be a TOML file") from None


def _packaged(name: str) -> str:
    return resources.files("fruits.platform").joinpath(name).read_text()


def _check(values: Data, names: list[str], where: str) -> None:
    for name in names:
        value = values.get(name)
        if not isinstance(value, int | float) or isinstance(value, bool) or value < 0:
            raise SettingError(f"{name} in {where} is {value!r}; it is to be a number, not below 0")
        if name in DIVISORS and value == 0:
            raise SettingError(f"{name} in {where} is 0; it is to be above")


def choose_network(rates: Data, settings: Settings) -> Data:
    """Give the measured rate of the network that the settings ask for; any weights but `fruits` are MobileNetV2's.

    Raises:
        SettingError: nobody measured that one.
    """
    weights = "fruits" if settings.weights == "fruits" else "imagenet"
    size = settings.input_size or {"fruits": None, "imagenet": 224}[weights]
    for network in rates["networks"]:
        alike = network["weights"] == weights and network["precision"] == settings.precision
        if alike and size in (None, network["input_size"]):
            return network
    known = "; ".join("{weights} {input_size} {precision}".format(**each) for each in rates["networks"])
    raise SettingError(
        f"no rate was measured for weights={settings.weights} input_size={size} precision={settings.precision} "
        f"(there are {known}); benchmarks/rates.py measures"
    )


def measure_work(photos: int, fresh: int, photo_bytes: float, settings: Settings, rates: Data, assumed: Data) -> Data:
    """Say how much there is to do.

    minutes = boot + driver + N (t + c / f) / (60 v): t waits for S3 an object, c seconds of a core a photo, f cores a
    vCPU, v vCPU. Gold works on all photos whenever there are new ones, and every run lists all.

    Args:
        photos: in the folder, the new ones included.
        fresh: the new ones.
        photo_bytes: mean size of a photo's file.
        settings: weights, input_size, precision and chunk count.
        rates: of one core, measured.
        assumed: of the price file.

    Returns:
        vcpu_seconds (for workers to share) and driver_seconds (that no worker shortens).

    Source: the usual division of a parallel and a serial part (Amdahl, AFIPS 1967).
    """
    each = rates["seconds"]
    decoding = each["megabyte"] * max(0.0, photo_bytes - rates["photo_bytes"]) / 1e6
    core = fresh * (
        each["bronze"] + each["silver"] + decoding + 1 / choose_network(rates, settings)["photos_per_second"]
    )
    core += photos * each["gold"]
    waiting = fresh * (assumed["seconds_per_object"] + photo_bytes / 1e6 / assumed["megabytes_per_second"])
    driver = assumed["driver_seconds"] + photos / 1000 * assumed["seconds_per_1000_listed"]
    driver += 2 * math.ceil(fresh / settings.chunk) * assumed["commit_seconds"]
    return {"vcpu_seconds": waiting + core / assumed["cores_per_vcpu"], "driver_seconds": driver}


def estimate(
    photos: int, new: int | None, workers: int, photo_bytes: float | None, settings: Settings, prices: Data, there: Data
) -> Data:
    """Estimate minutes and money of every way to run the chain, with all that the numbers rest on.

    Args:
        photos: there already, or all of them in a first run.
        new: photos that came since, in a second run; None for a first one.
        workers: of 4 vCPU: executors on Serverless, spot machines of a cluster beside its own.
        photo_bytes: mean size of a photo's file; None for the measured ones'.
        settings: as measure_work takes them.
        prices: the price file.
        there: its prices of one region.

    Raises:
        SettingError: a number out of range.
    """
    for name, value in {"photos": photos, "new": 1 if new is None else new, "workers": workers}.items():
        if value < 1:
            raise SettingError(f"{name}={value} is below 1; try --{name} {90_000 if name == 'photos' else 7}")
    rates, assumed = read_rates(), prices["assumptions"]
    size = rates["photo_bytes"] if photo_bytes is None else photo_bytes
    if not 0 < size < math.inf:
        raise SettingError(f"photo_bytes={size} is not a size; try --photo-bytes 5000")
    fresh, total = (photos, photos) if new is None else (new, photos + new)
    work = measure_work(total, fresh, size, settings, rates, assumed)
    ways = [way for kind in MACHINES for way in _price_ways(work, workers, kind, assumed, there)]
    best = min(ways, key=lambda way: (way["dollars"], way["minutes"]))
    gigabytes = total * (2 * size + rates["bytes"]["silver"] + rates["bytes"]["gold"]) / 1e9
    return {
        "photos": total,
        "new": fresh,
        "ways": ways,
        "recommended": best["way"],
        "storage": {"gigabytes": gigabytes, "dollars_per_month": gigabytes * there["s3_gb_month"]},
        "requests": {
            "upload_dollars": fresh / 1000 * there["s3_put_1000"],
            "run_dollars": fresh / 1000 * there["s3_get_1000"] + total / 1e6 * there["s3_put_1000"],
        },
        "assumed": assumed | {"photo_bytes": size, "chunk": settings.chunk, **choose_network(rates, settings)},
        "prices": {name: prices[name] for name in ("file", "date", "source") if name in prices},
        "rates": {name: rates[name] for name in ("date", "machine", "photos")},
    }


def _price_ways(work: Data, workers: int, kind: str, assumed: Data, there: Data) -> list[Data]:
    """Price one architecture: Serverless, a cluster on demand, and one whose task nodes are spot machines."""
    vcpu = assumed["worker_vcpu"]
    rate, machine = there["serverless"][kind], there["instances"][MACHINES[kind]]
    minutes = (work["driver_seconds"] + work["vcpu_seconds"] / (workers * vcpu)) / 60
    minutes += assumed["serverless_boot_minutes"]
    hours = (workers + 1) * minutes / 60  # of workers, the driver's among them, taken as billed from first to last
    price = vcpu * rate["vcpu_hour"] + assumed["worker_gb"] * rate["gb_hour"]
    ways = [_way(f"serverless {kind}", workers, minutes, hours * vcpu, hours * price)]
    minutes = (work["driver_seconds"] + work["vcpu_seconds"] / ((workers + 1) * vcpu)) / 60
    minutes += assumed["cluster_boot_minutes"]
    disk = assumed["disk_gb"] * there["disk_gb_month"] / HOURS_PER_MONTH
    fixed = (workers + 2) * (machine["emr"] + disk)
    for name, share in (("on demand", 1.0), ("spot", assumed["spot_share"])):
        dollars = minutes / 60 * (fixed + (2 + workers * share) * machine["hour"])
        ways.append(_way(f"EC2 {name} {kind}", workers + 1, minutes, (workers + 2) * vcpu * minutes / 60, dollars))
    return ways


def _way(name: str, workers: int, minutes: float, vcpu_hours: float, dollars: float) -> Data:
    return {"way": name, "workers": workers, "minutes": minutes, "vcpu_hours": vcpu_hours, "dollars": dollars}
