"""Photos to bronze_images: only what changed is opened, and every file keeps a row."""

import ctypes
import os
import struct
import sys
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from conftest import read_rows, stopped_after_one_commit
from photos import jpeg

from fruits import bronze
from fruits.bronze import BRONZE, ingest_photos, list_photos
from fruits.errors import FruitsError, SettingError
from fruits.platform.tables import Lake
from fruits.settings import from_text

IGNORED = ("Apple/notes.txt", "Apple/photo.jpg.part")


def rows_of(here):
    rows = read_rows(here.lake, BRONZE)
    assert len({row.path for row in rows}) == len(rows)
    return {row.path: row for row in rows}


def version_of(spark, here):
    return Lake(spark, str(here.lake)).version(BRONZE)


@contextmanager
def opened_files():
    """List the names of the files that anybody opens under given folders, by Linux' inotify."""
    if sys.platform != "linux":
        pytest.skip("inotify is Linux'")
    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init1(os.O_NONBLOCK)
    names = []

    def folders(*paths):
        for path in paths:
            assert libc.inotify_add_watch(watch, os.fsencode(path), 0x20) >= 0  # IN_OPEN

    try:
        yield folders, names
        events = os.read(watch, 2**20)
    except BlockingIOError:
        events = b""
    finally:
        os.close(watch)
    while events:
        mask, _, length = struct.unpack_from("III", events, 4)
        if not mask & 0x40000000:  # IN_ISDIR: a listing
            names.append(events[16 : 16 + length].rstrip(b"\0").decode())
        events = events[16 + length :]


@pytest.mark.old
def test_only_new_and_changed_files_are_opened(spark, place):
    here = place({f"Apple/{name}.jpg": jpeg(size=(8, 8), seed=n) for n, name in enumerate("abcd")})
    first = ingest_photos(spark, here.settings)
    before = rows_of(here)
    assert (first["listed"], first["new"], version_of(spark, here)) == (4, 4, 0)

    same = here.images / "Apple/a.jpg"
    times = same.stat().st_atime_ns, same.stat().st_mtime_ns
    same.write_bytes(bytes(same.stat().st_size))  # other bytes that nothing but reading them would tell
    os.utime(same, ns=times)
    here.write("Apple/b.jpg", jpeg(size=(9, 9), seed=7))
    touched = here.images / "Apple/c.jpg"
    os.utime(touched, (1.7e9, 1.7e9))
    (here.images / "Apple/d.jpg").unlink()
    here.write("Apple/e.jpg", jpeg(size=(8, 8), seed=8))
    with opened_files() as (watch, opened):
        watch(here.images, here.images / "Apple")
        second = ingest_photos(spark, here.settings)
    assert set(opened) == {"b.jpg", "c.jpg", "e.jpg"}
    assert second == {"listed": 4, "new": 1, "changed": 2, "gone": 1, "unchanged": 1, "removed": 0, "errors": 0}
    after = rows_of(here)
    assert sorted(after) == [f"Apple/{name}.jpg" for name in "abcde"]
    assert [after[f"Apple/{name}.jpg"] == before[f"Apple/{name}.jpg"] for name in "abcd"] == [True, False, False, True]
    assert bytes(after["Apple/b.jpg"].content) == (here.images / "Apple/b.jpg").read_bytes()
    assert after["Apple/c.jpg"].modification_time.astimezone(UTC) == datetime.fromtimestamp(1.7e9, UTC)
    # A commit for the changed ones, old rows out and new ones in; another for the new one.
    lake = Lake(spark, str(here.lake))
    assert [lake.read(BRONZE, version).count() for version in range(lake.version(BRONZE) + 1)] == [4, 4, 5]

    with opened_files() as (watch, opened):
        watch(here.images, here.images / "Apple")
        third = ingest_photos(spark, here.settings)
    assert (third["unchanged"], third["gone"], version_of(spark, here), opened) == (4, 1, 2, [])


def test_mirror_removes_what_left_the_folder_but_never_everything(spark, place):
    here = place({f"Apple/{name}.jpg": jpeg(size=(8, 8), seed=n) for n, name in enumerate("ab")}, sync="mirror")
    ingest_photos(spark, here.settings)
    (here.images / "Apple/a.jpg").unlink()
    counts = ingest_photos(spark, here.settings)
    assert (counts["removed"], counts["unchanged"], list(rows_of(here))) == (1, 1, ["Apple/b.jpg"])
    (here.images / "Apple/b.jpg").unlink()  # as when a disk was not mounted
    with pytest.raises(FruitsError, match="no photo under images="):
        ingest_photos(spark, here.settings)
    assert list(rows_of(here)) == ["Apple/b.jpg"]


def test_a_run_that_stopped_between_two_chunks_is_continued(spark, place):
    here = place({f"Apple/{name} é.jpg": jpeg(size=(8, 8), seed=n) for n, name in enumerate("abcdefg")}, chunk="3")
    with stopped_after_one_commit(BRONZE):
        ingest_photos(spark, here.settings)
    assert sorted(rows_of(here)) == [f"Apple/{name} é.jpg" for name in "abc"]
    with opened_files() as (watch, opened):
        watch(here.images / "Apple")
        counts = ingest_photos(spark, here.settings)
    assert set(opened) == {f"{name} é.jpg" for name in "defg"}
    assert (counts["new"], counts["unchanged"], version_of(spark, here)) == (4, 3, 2)
    assert {path: row.content for path, row in rows_of(here).items()} == {
        f"Apple/{file.name}": file.read_bytes() for file in (here.images / "Apple").iterdir()
    }


@pytest.mark.old
def test_a_file_too_large_or_vanished_keeps_a_row_that_says_so(spark, place, monkeypatch):
    small, big = jpeg(size=(8, 8)), jpeg(size=(64, 64), seed=1)
    here = place({"Apple/small.jpg": small, "Test/Pear/big.jpg": big}, max_bytes="1000")
    assert len(small) < 1000 < len(big)

    def list_one_more(spark, root):
        vanished = "'Test/Plum/gone #1.jpg' path, 'file:/nowhere/gone.jpg' uri, 77L length"
        return list_photos(spark, root).union(spark.sql(f"SELECT {vanished}, timestamp_seconds(1.7e9) t"))

    monkeypatch.setattr(bronze, "list_photos", list_one_more)
    with opened_files() as (watch, opened):
        watch(here.images / "Apple", here.images / "Test" / "Pear")
        counts = ingest_photos(spark, here.settings)
    assert set(opened) == {"small.jpg"}
    assert (counts["new"], counts["errors"]) == (3, 2)
    rows = rows_of(here)
    assert {path: row.error for path, row in rows.items()} == {
        "Apple/small.jpg": None,
        "Test/Pear/big.jpg": f"{len(big)} bytes, more than max_bytes=1000",
        "Test/Plum/gone #1.jpg": "file could not be read",
    }
    bad = rows["Test/Pear/big.jpg"]
    assert (bad.length, bad.sha256, bad.content, bad.label, bad.split) == (len(big), None, None, "Pear", "Test")

    before = version_of(spark, here)
    counts = ingest_photos(spark, here.settings)
    assert (counts["unchanged"], counts["errors"], version_of(spark, here)) == (3, 0, before)

    monkeypatch.setattr(bronze, "list_photos", list_photos)
    raised = from_text({"images": str(here.images), "lake": str(here.lake), "max_bytes": "100000"})
    assert ingest_photos(spark, raised)["changed"] == 1
    row = rows_of(here)["Test/Pear/big.jpg"]
    assert (bytes(row.content), row.error) == (big, None)


def test_another_test_fraction_moves_the_split(spark, place):
    here = place({"Apple/1.jpg": jpeg(size=(8, 8)), "Training/Apple/2.jpg": jpeg(size=(8, 8))}, test_fraction="0")
    for fraction, split, changed in (("0", "Training", 0), ("1", "Test", 1), ("1", "Test", 0)):
        here = place(test_fraction=fraction)
        assert ingest_photos(spark, here.settings)["changed"] == changed
        splits = {path: row.split for path, row in rows_of(here).items()}
        assert splits == {"Apple/1.jpg": split, "Training/Apple/2.jpg": "Training"}


def test_a_folder_without_photos_is_an_error(spark, place):
    here = place()
    for path in (None, *IGNORED):
        if path:
            here.write(path, b"text")
        with pytest.raises(FruitsError, match=r"no photo under images='.*/photos'; photos end in jpg, jpeg"):
            ingest_photos(spark, here.settings)
    assert not here.lake.exists()


@pytest.mark.parametrize("kind", ["", "/nowhere", "file", "file:/nowhere/at all"])
def test_a_folder_that_is_not_there_is_a_wrong_setting(spark, place, tmp_path, kind):
    here = place()
    (tmp_path / "file").touch()
    images = str(tmp_path / "file") if kind == "file" else kind
    with pytest.raises(SettingError, match=f"images={images!r} is not|images is empty"):
        ingest_photos(spark, from_text({"images": images, "lake": str(here.lake)}))
    assert not here.lake.exists()
