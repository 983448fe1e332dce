"""`fruits …`: arguments in, summaries out; the work is done by the steps."""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import fruits
from fruits.errors import FruitsError, SettingError
from fruits.platform.parameters import add_arguments, parse
from fruits.platform.progress import in_words, report
from fruits.settings import Settings

STEPS = {
    "bronze": "photos -> bronze_images",
    "silver": "bronze_images -> silver_features",
    "gold": "silver_features -> gold_pca and a model in MLflow",
    "compare": "which k? scores every k of --k-values",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 done, 1 failed, 2 wrong use."""
    arguments = _make_parser().parse_args(argv)
    try:
        result = arguments.work(arguments)
    except SettingError as error:
        report(f"fruits: {error}")
        return 2
    except FruitsError as error:
        report(f"fruits: {error}")
        return 1
    except KeyboardInterrupt:
        report("fruits: stopped; run the same command again to continue")
        return 1
    if result is not None:
        print(json.dumps(result, ensure_ascii=False, default=str) if arguments.json else arguments.show(result))
    return 1 if result and result.get("not_found") else 0


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fruits", description="A folder of photos to PCA features: bronze, silver, gold and a comparison of k."
    )
    parser.add_argument("--version", action="version", version=f"fruits {fruits.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, help: str, work: Callable, show: Callable, names: Sequence[str] | None = ()) -> Any:
        command = commands.add_parser(name, help=help, description=help)
        if names is not None:
            add_arguments(command, names)
        command.add_argument("--json", action="store_true", help="end with one JSON object on standard output")
        command.set_defaults(work=work, show=show)
        return command

    add("run", "all four steps, in order", _run, _show_run)
    for name, help in STEPS.items():
        add(name, help, lambda arguments, name=name: _run(arguments, [name]), _show_run)
    add("status", "what is in the lake", _status, _show_status, ("lake", "experiment", "tracking"))
    forget = add("forget", "erase photos from every table and file", _forget, _show_forget, ("lake",))
    forget.add_argument("photos", nargs="+", metavar="PHOTO", help="path as in the tables, from the photo folder on")
    samples = add("samples", "draw a synthetic photo set", _samples, _show_pairs, None)
    samples.add_argument("folder", metavar="DIR")
    samples.add_argument("--photos", type=int, default=500, help="how many (default: 500)")
    network = add(
        "network",
        "make a network once, where TensorFlow is",
        _network,
        _show_pairs,
        ("images", "weights", "input_size", "precision"),
    )
    network.add_argument("file", metavar="OUT.tflite")
    ui = add("ui", "open MLflow on this lake", _ui, _show_pairs, ("lake", "tracking"))
    ui.add_argument("--port", type=int, default=5000, help="port on this machine (default: 5000)")
    return parser


def _run(arguments: argparse.Namespace, steps: Sequence[str] = tuple(STEPS)) -> dict[str, Any]:
    settings = parse(arguments)
    if "bronze" in steps:
        from fruits.bronze import locate_photos

        locate_photos(settings.images)
    spark = _open(settings)
    from fruits import bronze, compare, gold, silver

    verbs = {
        "bronze": bronze.ingest_photos,
        "silver": silver.featurise_photos,
        "gold": gold.reduce_features,
        "compare": compare.compare_components,
    }
    summary = {}
    for step in steps:
        start = time.monotonic()
        summary[step] = verbs[step](spark, settings)
        summary[step]["seconds"] = round(time.monotonic() - start, 1)
        report(f"{step}: done in {in_words(summary[step]['seconds'])}")
    return {"lake": settings.lake, **summary}


def _open(settings: Settings) -> Any:
    """Check the lake's place before Spark starts, which takes seconds, then start it."""
    from fruits.platform.session import open_session
    from fruits.platform.tables import locate

    locate(settings.lake)
    return open_session()


def _status(arguments: argparse.Namespace) -> dict[str, Any]:
    settings = parse(arguments)
    spark = _open(settings)
    from fruits.status import describe_lake

    return describe_lake(spark, settings)


def _forget(arguments: argparse.Namespace) -> dict[str, Any]:
    settings = parse(arguments)
    spark = _open(settings)
    from fruits.forget import forget_photos

    return forget_photos(spark, settings, arguments.photos)


def _samples(arguments: argparse.Namespace) -> dict[str, Any]:
    from fruits.samples import draw_samples

    return draw_samples(arguments.folder, arguments.photos)


def _network(arguments: argparse.Namespace) -> dict[str, Any]:
    from fruits.vision.backbone import write_network

    return write_network(parse(arguments), arguments.file)


def _ui(arguments: argparse.Namespace) -> None:
    from fruits.platform.tracking import resolve_uri

    uri = resolve_uri(parse(arguments))
    if uri is None:
        raise SettingError("no MLflow store is known for this lake; give tracking=URI or set MLFLOW_TRACKING_URI")
    report(f"ui: MLflow on {uri} at http://127.0.0.1:{arguments.port}, Ctrl-C to stop")
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri, "--port", str(arguments.port)]
    os.execv(sys.executable, command)


def _show_run(result: dict[str, Any]) -> str:
    """Write the summary of a run for people."""
    lines = [f"lake      {result['lake']}"]
    if step := result.get("bronze"):
        lines.append(
            f"bronze    {step['listed']} photos: {step['new']} new, {step['changed']} changed, {step['removed']} removed, "
            f"{step['unchanged']} unchanged, {step['errors']} not read ({in_words(step['seconds'])})"
        )
    if step := result.get("silver"):
        lines.append(
            f"silver    {step['total']} photos: {step['computed']} computed, {step['reused']} reused, "
            f"{step['removed']} removed, {step['errors']} with an error ({in_words(step['seconds'])})"
        )
        lines.append(f"          {step['backbone']}")
    if step := result.get("gold"):
        lines.append(
            f"gold      k={step['k']} explains {step['explained']:.1%} of the variance, {step['projected']} photos "
            f"projected ({in_words(step['seconds'])})"
        )
        lines.append(f"          {step['model']}")
    if step := result.get("compare"):
        lines.append(f"compare   {_show_recommendation(step)} ({in_words(step['seconds'])})")
        lines.append(_show_comparison(step["rows"]))
        if step["promoted"]:
            versions = ", ".join(f"{kind} version {version}" for kind, version in step["promoted"].items())
            lines.append(f"champion  {versions}")
    lines.append(f"next      fruits status --lake {result['lake']}, fruits ui --lake {result['lake']}")
    return "\n".join(lines)


def _show_recommendation(step: dict[str, Any]) -> str:
    if step["recommended_k"] is None:
        return "no k is recommended, for no labelled Test photo could be scored"
    return f"k={step['recommended_k']} is the smallest within one point of the best Test accuracy"


def _show_comparison(rows: Sequence[dict[str, Any]]) -> str:
    import pandas as pd

    table = pd.DataFrame(rows).rename(columns=lambda name: name.replace("_", " "))
    table["recommended"] = table["recommended"].map({True: "*", False: ""})
    text = table.to_string(index=False, float_format="{:.4f}".format, na_rep="-")
    return "\n".join(f"          {line}" for line in text.splitlines())


def _show_status(result: dict[str, Any]) -> str:
    import pandas as pd

    tables = [
        {
            "table": name,
            "version": "-" if about is None else about["version"],
            "rows": 0 if about is None else about["rows"],
        }
        for name, about in result["tables"].items()
    ]
    parts = [f"lake {result['lake']}", pd.DataFrame(tables).to_string(index=False)]
    for name in ("photos", "errors", "features", "projections", "models", "runs"):
        if result[name]:
            parts += ["", name, pd.DataFrame(result[name]).fillna("-").to_string(index=False)]
    return "\n".join(parts)


def _show_forget(result: dict[str, Any]) -> str:
    lines = [f"{count} rows erased from {table}" for table, count in result["erased"].items()]
    lines += [f"not found: {path}" for path in result["not_found"]]
    lines.append("a photo still in its folder is read again by the next run: delete it there too")
    return "\n".join(lines)


def _show_pairs(result: dict[str, Any]) -> str:
    return "\n".join(f"{name:10}{value}" for name, value in result.items())


if __name__ == "__main__":
    sys.exit(main())
