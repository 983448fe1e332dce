"""Who a photo is: its path, label and split, whatever folders and files are called."""

import hashlib

import pytest
from conftest import Place, read_rows
from photos import jpeg

from fruits import bronze
from fruits.bronze import BRONZE, ingest_photos, label_of, list_photos, locate_photos, split_of
from fruits.platform.tables import Lake
from fruits.settings import from_text

ODD_LABELS = (
    "Apple Red 1",
    "Pomme été",
    "Granny's",
    'say "hi"',
    "a=b",
    "#1",
    "100%",
    "a%20b",
    "a+b",
    "[x]",
    "{a,b}",
    "a*b?",
    "back\\slash",
    "apple: green",
    "$5",
    "${spark.app.name}",
    "🍎",
)
OTHERS = {  # path: label
    "root.jpg": None,
    "Training/split only.jpg": None,
    "Apple/no split.jpg": "Apple",
    "2024/summer/Pear/deep.jpg": "Pear",
    "Test/fresh/Plum/deep.jpg": "Plum",
    "Case/1.JPG": "Case",
    "Case/2.JpEg": "Case",
    "Case/3.PNG": "Case",
    "Case/4.WebP": "Case",
    "Case/5.bmp": "Case",
    "Case/6.Tif": "Case",
    "Case/7.tiff": "Case",
    "Case/8.GIF": "Case",
}
IGNORED = ("Apple/notes.txt", "Apple/photo.jpg.part", "Apple/jpg", "Apple/photo.heic", "Thumbs.db")


@pytest.fixture(scope="module")
def odd(spark, tmp_path_factory):
    """A lake of one folder that holds every odd name; the folder has an odd name as well."""
    folder = tmp_path_factory.mktemp("odd")
    images = folder / "my photos [1] 50% #é+{x}"
    texts = {"images": f"{images}/../{images.name}/", "lake": str(folder / "lake"), "test_fraction": "0.5"}
    here = Place(images, folder / "lake", from_text(texts))
    for number, label in enumerate(ODD_LABELS):
        here.write(f"Training/{label}/{label.replace(':', '')}.jpg", jpeg(size=(8, 8), seed=number))
    for number, path in enumerate(OTHERS):
        here.write(path, jpeg(size=(8, 8), seed=100 + number))
    for path in IGNORED:
        here.write(path, jpeg(size=(8, 8)))
    # Neither does Spark list these; an empty photo of another name would get a row.
    here.write("Apple/.hidden.jpg", b"")
    here.write("_passed over/empty.jpg", b"")
    (images / "Apple" / "link.jpg").symlink_to("nowhere")
    counts, rows = ingest_photos(spark, here.settings), read_rows(here.lake, BRONZE)
    return here, counts, {row.path: row for row in rows}


@pytest.mark.sample
def test_label_is_the_folder_that_holds_the_photo(spark):
    paths = ["Test/Apple Red 1/3.jpg", "Apple/3.jpg", "a/b/c/3.jpg", "Test/3.jpg", "3.jpg", "Training/Test/3.jpg"]
    photos = spark.createDataFrame([(path,) for path in paths], "path string")
    labels = [row[0] for row in photos.select(label_of(photos.path)).collect()]
    assert labels == ["Apple Red 1", "Apple", "c", None, None, "Test"]


@pytest.mark.sample
def test_split_is_the_first_folder_or_drawn_from_the_content(spark):
    paths = ["Test/a/1.jpg", "Training/1.jpg", "a/Test/1.jpg", "Tests/1.jpg"]
    low, high = "7fffffff" + 56 * "0", "80000000" + 56 * "0"
    photos = spark.createDataFrame([(path, sha) for path in paths for sha in (low, high)], "path string, sha string")
    splits = [row[0] for row in photos.select(split_of(photos.path, photos.sha, 0.5)).collect()]
    assert splits == ["Test", "Test", "Training", "Training", "Test", "Training", "Test", "Training"]


def test_any_label_a_folder_can_have_comes_out_as_it_is(odd):
    _, counts, rows = odd
    labels = {path: row.label for path, row in rows.items()}
    assert labels == OTHERS | {f"Training/{label}/{label.replace(':', '')}.jpg": label for label in ODD_LABELS}
    assert counts == {
        "listed": len(rows),
        "new": len(rows),
        "changed": 0,
        "gone": 0,
        "unchanged": 0,
        "removed": 0,
        "errors": 0,
    }


def test_bytes_are_kept_unaltered_with_what_describes_them(odd):
    here, _, rows = odd
    for path, row in rows.items():
        file = here.images / path
        content = file.read_bytes()
        assert (bytes(row.content), row.length) == (content, len(content))
        assert row.sha256 == hashlib.sha256(content).hexdigest()
        # Hadoop's local files know milliseconds.
        assert abs(row.modification_time.timestamp() - file.stat().st_mtime) < 0.002
        assert row.error is None


def test_a_photo_in_no_split_folder_is_drawn_by_its_sha256(odd):
    _, _, rows = odd
    for path, row in rows.items():
        drawn = "Test" if int(row.sha256[:8], 16) / 2**32 < 0.5 else "Training"
        assert row.split == (path.split("/")[0] if path.startswith(("Test/", "Training/")) else drawn)
    assert {row.split for path, row in rows.items() if path.startswith("Case/")} == {"Test", "Training"}


def test_many_photos_are_packed_into_one_file(odd):
    here, _, _ = odd
    assert len(list((here.lake / BRONZE.name).glob("*.parquet"))) == 1


def test_the_folder_named_as_a_uri_is_the_same_folder_and_writes_nothing(spark, odd):
    here, _, rows = odd
    again = from_text({"images": f"file://{here.images}", "lake": str(here.lake), "test_fraction": "0.5"})
    assert ingest_photos(spark, again)["unchanged"] == len(rows)
    assert Lake(spark, str(here.lake)).version(BRONZE) == 0


@pytest.mark.parametrize(
    "name", ["plain", "with space", "a%20b", "[1]", "{a,b}", "a*?", "back\\slash", "x=1", "_under", "🍎 é", "100%"]
)
def test_a_folder_of_any_name_is_taken_by_that_name(spark, tmp_path, name):
    (tmp_path / name / "Apple").mkdir(parents=True)
    (tmp_path / name / "Apple" / "1.jpg").write_bytes(b"1")
    (tmp_path / name / "Apple" / "empty é%20.jpg").touch()  # Spark's own listing leaves these out
    for images in (f"{tmp_path / name}/", f"file:{tmp_path}/x/../{name}", f"file://{tmp_path}//{name}//"):
        listed = {row.path: row.length for row in list_photos(spark, locate_photos(images)).collect()}
        assert listed == {"Apple/1.jpg": 1, "Apple/empty é%20.jpg": 0}


def test_the_files_of_a_volume_are_not_looked_at_one_by_one(spark, tmp_path, monkeypatch):
    monkeypatch.setattr(bronze, "VOLUMES", str(tmp_path))
    monkeypatch.setattr(bronze, "_walk_empty", lambda _: pytest.fail("a call per file"))
    (tmp_path / "Apple").mkdir()
    (tmp_path / "Apple" / "1.jpg").write_bytes(b"1")
    (tmp_path / "Apple" / "empty é%20.jpg").touch()
    listed = {row.path: row.length for row in list_photos(spark, locate_photos(str(tmp_path))).collect()}
    assert listed == {"Apple/1.jpg": 1, "Apple/empty é%20.jpg": 0}
