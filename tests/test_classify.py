"""`fruits classify` on a registered fit of the tiny network: what it says, where it fails, all without Spark."""

import json
import shutil
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY, features_of
from photos import BAD_WORDS, bad_photos, huge_jpeg, jpeg

from fruits import cli, cli_classify
from fruits.classifier import load_classifier
from fruits.platform import tracking
from fruits.platform.tracking_classifier import fetch_classifier
from fruits.settings import Settings
from fruits.stats.calibration import UNCALIBRATED, calibrate
from fruits.stats.discriminant import fit_discriminant
from fruits.stats.moments import measure_moments
from fruits.stats.pca import fit_pca

COLOURS = {"Cherry 1": (200, 30, 40), "Lemon": (240, 220, 60), "Grape Blue": (60, 40, 120), "Stone": (120, 120, 120)}
K = 6

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_store_of_the_machine")]


def measure(seeds):
    photos = [(jpeg(colour, seed=seed), label) for label, colour in COLOURS.items() for seed in seeds]
    return np.stack([features_of(content) for content, _ in photos]), [label for _, label in photos]


@pytest.fixture(scope="module")
def fit():
    moments = measure_moments(*measure(range(8)))
    pca = fit_pca(moments)
    discriminant = fit_discriminant(moments, pca, K)
    return tracking.FitRecord(
        model="tiny-k6",
        backbone="tiny-32",
        k=K,
        pca=pca,
        discriminant=discriminant,
        calibration=calibrate(*measure(range(100, 110)), pca, discriminant, K),
        network=TINY.read_bytes(),
        example=jpeg(),
    )


def register(lake, *fits, champion=None):
    store = tracking.open_tracking(Settings(lake=str(lake)))
    for each in fits:
        assert tracking.log_fit(store, each)
    if champion:
        assert tracking.promote(store, champion.model, "always")
    return store


@pytest.fixture(scope="module")
def lake(fit, tmp_path_factory):
    """A lake whose first fit is the champion, and a newer one is not; look at it."""
    folder = tmp_path_factory.mktemp("registered") / "lake"
    register(folder, fit, replace(fit, model="newer"), champion=fit)
    return folder


@pytest.fixture
def classify(capsys, monkeypatch):
    """Type `fruits classify …` in this process, Spark forbidden: (status, standard output, standard error)."""

    def start():
        raise AssertionError("Spark was started")

    monkeypatch.setattr("fruits.platform.session.open_session", start)

    def run(lake, *words):
        capsys.readouterr()
        status = cli.main(["classify", "--lake", str(lake), *map(str, words)])
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def photos(tmp_path):
    """A folder with a photo per label, and one below another folder."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for label, colour in COLOURS.items():
        (folder / f"{label}.jpg").write_bytes(jpeg(colour, seed=50))
    (folder / "more" / "again.png.JPG").write_bytes(jpeg(COLOURS["Lemon"], seed=51))
    (folder / "notes.txt").write_text("not among the photos of a folder")
    return folder


def test_photos_and_folders_are_answered_by_the_champion(classify, lake, photos):
    status, out, err = classify(lake, photos / "Lemon.jpg", photos, "--json")
    assert (status, err) == (0, "")
    said = json.loads(out)
    assert said["classifier"] == {"name": "fruits_classifier", "version": 1, "champion": True, "model": "tiny-k6"}
    names = ["Lemon.jpg", *(f"{label}.jpg" for label in sorted(COLOURS)), "more/again.png.JPG"]
    assert [each["photo"] for each in said["photos"]] == [str(photos / name) for name in names]
    assert [each["label"] for each in said["photos"]] == ["Lemon", *sorted(COLOURS), "Lemon"]
    for each in said["photos"]:
        assert each["decision"] == "sure" and len(each["next"]) == 3
        likely = [each["probability"], *(other["probability"] for other in each["next"])]
        assert likely == sorted(likely, reverse=True) and sum(likely) == pytest.approx(1)
    assert said["information"]["Lemon"]["botanical_name"] == "Citrus × limon"  # noqa: RUF001
    assert said["information"]["Stone"] is None
    assert said["failed"] == []


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ["decision", "sure", "Lemon: lemon", "imported, all year"]),
        ("fr", ["sûr", "Lemon: citron", "toute l'année"]),
    ],
)
def test_people_read_a_table_and_facts_in_their_language(classify, lake, photos, language, words):
    status, out, _ = classify(lake, photos / "Lemon.jpg", photos / "Stone.jpg", "--language", language)
    assert status == 0
    assert all(word in out for word in words)
    head, first, second, _, *facts = out.splitlines()
    assert head.startswith("photo ") and first.split()[:2] == [str(photos / "Lemon.jpg"), "Lemon"]
    assert "%" in second and len(facts) == 2  # nothing is known of stones


def test_what_is_no_photo_is_told_in_words_and_the_others_go_on(classify, lake, photos):
    odd = photos.with_name("odd")
    (odd / "empty folder").mkdir(parents=True)
    for name, content in (bad_photos() | {"forty.jpg": huge_jpeg(8000, 5000)}).items():
        (odd / name).write_bytes(content)
    status, out, err = classify(
        lake, odd, odd / "empty folder", odd / "none.jpg", odd / "text.jpg" / "x", "a\0b.jpg", photos, "--json"
    )
    said = json.loads(out)
    assert (status, err) == (1, "")
    expected = {str(odd / name): words for name, words in BAD_WORDS.items()} | {
        str(odd / "empty folder"): "no photo in this folder",
        str(odd / "none.jpg"): "no such file",
        str(odd / "text.jpg" / "x"): "no such file",
        "a\0b.jpg": "unreadable file (ValueError)",
    }
    assert {each["photo"]: each["error"] for each in said["failed"]} == expected
    assert Path(said["photos"][0]["photo"]).name == "forty.jpg" and len(said["photos"]) == 6
    out = classify(lake, odd, photos, "--max-bytes", "5000")[1]
    assert f"{odd / 'forty.jpg'}: not read, too large: " in out and f"{odd / 'empty.jpg'}: not read, empty file" in out


def test_what_is_no_fruit_is_said_and_named_nothing(classify, lake, tmp_path):
    (tmp_path / "noise.jpg").write_bytes(jpeg((0, 255, 0), seed=1))
    out = classify(lake, tmp_path / "noise.jpg")[1]
    assert out.splitlines()[1].split() == [str(tmp_path / "noise.jpg"), "-", "-", "no", "fruit"]
    assert len(out.splitlines()) == 2


def test_many_photos_take_the_memory_of_their_answers(classify, lake, photos, monkeypatch):
    """Two thousand names for a file of a megabyte: all bytes together would be 2 GB."""
    large = photos / "large.bmp"
    large.write_bytes((photos / "Lemon.jpg").read_bytes() + bytes(1_000_000))
    read = []
    monkeypatch.setattr(
        cli_classify, "_read", lambda file, *_, real=cli_classify._read: read.append(1) or real(file, *_)
    )
    tracemalloc.start()
    status, out, err = classify(lake, *[large] * 2_000, "--json")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (status, len(read), len(json.loads(out)["photos"])) == (0, 2_000, 2_000)
    assert peak < 60e6
    assert err.count("classify: ") == 4 and "classify: 2000 of 2000 photos" in err


def test_without_a_champion_the_newest_version_answers_and_that_is_said(classify, fit, tmp_path, photos):
    register(tmp_path / "lake", fit, replace(fit, model="second", calibration=UNCALIBRATED))
    status, out, err = classify(tmp_path / "lake", photos / "Lemon.jpg")
    assert status == 0 and "not sure" in out
    assert err.splitlines() == [
        "classify: fruits_classifier has no champion; version 2, the newest, answers",
        "classify: no answer is called sure, for this fit had no labelled Test photos to learn that from",
    ]


def test_one_label_is_answered_with_nothing_next(tmp_path, classify, photos):
    moments = measure_moments(features_of(jpeg(seed=0)) + np.random.default_rng(0).normal(0, 1, (9, 1280)), ["Fig"] * 9)
    pca = fit_pca(moments)
    alone = fit_discriminant(moments, pca, 3)
    register(tmp_path / "lake", tracking.FitRecord("one", "tiny-32", 3, pca, alone, network=TINY.read_bytes()))
    (answer,) = json.loads(classify(tmp_path / "lake", photos / "Lemon.jpg", "--json")[1])["photos"]
    assert (answer["label"], answer["probability"], answer["next"]) == ("Fig", 1.0, [])


def test_a_version_of_an_earlier_package_asks_for_another_fit(classify, fit, tmp_path, photos):
    store = register(tmp_path / "lake", fit)
    folder = fetch_classifier(Settings(lake=str(tmp_path / "lake"))).folder
    with np.load(folder / "classifier.npz") as arrays:
        np.savez(folder / "classifier.npz", **{name: arrays[name] for name in arrays if "calibration" not in name})
    status, out, err = classify(tmp_path / "lake", photos / "Lemon.jpg")
    assert (status, out) == (1, "") and err.count("\n") == 2
    assert err.splitlines()[1].startswith("fruits: fruits_classifier version 1 gives no such answers")
    assert "fruits run --k 0.94 --promote always" in err
    assert tracking.log_fit(store, replace(fit, model="tiny-k5", k=5))
    assert tracking.promote(store, "tiny-k5", "always")
    assert classify(tmp_path / "lake", photos / "Lemon.jpg")[::2] == (0, "")


def test_a_lake_without_an_answer_is_one_line(classify, fit, tmp_path, photos):
    photo, gone, empty = photos / "Lemon.jpg", tmp_path / "gone", tmp_path / "empty"
    empty.mkdir()
    register(tmp_path / "unlabelled", replace(fit, discriminant=None))
    shutil.copytree(register_at(tmp_path / "first", fit), tmp_path / "moved")
    shutil.rmtree(tmp_path / "first" / "mlartifacts")
    away = ["--tracking", "http://127.0.0.1:9"]
    for lake, words, status, says in (
        (gone, [], 2, f"lake='{gone}' is not there"),
        (empty, [], 1, f"nothing was fitted for lake='{empty}' yet"),
        (tmp_path / "unlabelled", [], 1, "no classifier fruits_classifier is registered"),
        (tmp_path / "moved", [], 1, "the files of fruits_classifier version 1 are not in"),
        ("s3://bucket/lake", [], 2, "no MLflow store is known for lake='s3://bucket/lake'"),
        (gone, ["--tracking", "none"], 2, "no MLflow store is known"),
        (gone, ["--tracking", "databricks"], 2, "classifier_model='fruits_classifier' has no schema"),
        ("main.fruits", away, 1, "the classifier main.fruits.fruits_classifier could not be had from MLflow: "),
    ):
        ended, out, err = classify(lake, photo, *words)
        assert (ended, out) == (status, ""), err
        assert err.startswith(f"fruits: {says}") and err.count("\n") == 1


def register_at(lake, fit):
    register(lake, fit)
    return lake


def test_what_a_server_holds_is_downloaded_once(fit, tmp_path, monkeypatch, capsys):
    """By the store's own link, since here only a server would give one; the process is at another store."""
    from fruits.platform import tracking_classifier

    monkeypatch.setattr("mlflow.tracking._tracking_service.utils._tracking_uri", f"sqlite:///{tmp_path}/theirs.db")
    store = register(tmp_path / "lake", fit)
    version = store.client.get_model_version("fruits_classifier", "1")
    first = tracking_classifier._download(store.uri, store.registry_uri, version)
    monkeypatch.setattr("mlflow.artifacts.download_artifacts", lambda *_, **__: pytest.fail("downloaded again"))
    assert tracking_classifier._download(store.uri, store.registry_uri, version) == first
    answer = load_classifier(first / "artifacts").classify([jpeg(COLOURS["Lemon"], seed=52)])[0]
    assert (answer.label, answer.decision) == ("Lemon", "sure")
    assert capsys.readouterr().err == "classify: downloading fruits_classifier version 1, once\n"
    assert [file for file in first.parent.iterdir() if file.name.startswith("tmp")] == []
