"""The registered classifier behind `mlflow models serve`, where there is nothing but what its requirements name."""

import shutil
import sys
from importlib import metadata
from pathlib import Path

import pytest
from photos import jpeg

from fruits.platform import tracking
from fruits.platform.tracking_classifier import fetch_classifier
from fruits.settings import Settings

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import serving
from test_classify import COLOURS, fit  # noqa: F401

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_store_of_the_machine")]


def test_it_answers_over_http_with_its_own_requirements_alone(fit, tmp_path):  # noqa: F811
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if not uv:
        pytest.skip("there is no uv; make setup installs it")
    settings = Settings(lake=str(tmp_path / "lake"))
    assert tracking.log_fit(tracking.open_tracking(settings), fit)
    model = fetch_classifier(settings).folder.parent
    python = serving.make_environment(uv, model, tmp_path / "env")
    there = {each.metadata["Name"].lower() for each in metadata.distributions(path=[_site(python)])}
    assert {"mlflow", "ai-edge-litert"} <= there and not there & {"fruits", "pyspark", "tensorflow", "keras"}
    photos = [jpeg(colour, seed=60) for colour in COLOURS.values()]
    with serving.serve(python, model, tmp_path / "log.txt") as address:
        first = serving.ask_first(address, photos[0])
        answers = serving.ask(address, [*photos, b"no photo", b""])
    assert first == answers[:1]
    assert [each["label"] for each in answers] == [*COLOURS, None, None]
    assert {each["decision"] for each in answers[:4]} == {"sure"}
    assert [len(each["next"]) for each in answers] == [3, 3, 3, 3, 0, 0]
    assert answers[1]["information"]["name_fr"] == "citron" and answers[3]["information"] is None
    assert answers[5] == {
        "label": None,
        "probability": None,
        "next": [],
        "information": None,
        "decision": None,
        "error": "empty file",
    }
    assert answers[4]["error"].startswith("not a photo") and answers[0]["error"] is None


def _site(python: Path) -> str:
    return str(next(python.parents[1].glob("lib/python*/site-packages")))
