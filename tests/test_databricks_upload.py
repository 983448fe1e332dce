"""`fruits databricks upload`: what arrives, what is skipped, what happens when it is stopped or refused."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from databricks_server import RECORD, VOLUME, Fault
from databricks_server import no_login as no_login
from databricks_server import type_in as type_in
from databricks_server import workspace as workspace

from fruits.platform import databricks_files, databricks_upload
from fruits.platform import upload as upload_module


@pytest.fixture
def upload(type_in, tmp_path):
    """Upload the test's photos: (status, result or None, standard error)."""

    def run(*options: object) -> tuple[int, dict | None, str]:
        status, out, err = type_in("upload", str(tmp_path / "photos"), "--json", *map(str, options))
        return status, json.loads(out) if out else None, err

    return run


def many(n: int) -> dict[str, bytes]:
    return {f"Training/Fruit {i % 3}/{i}.jpg": f"photo {i}".encode() for i in range(n)}


def in_volume(contents: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{VOLUME}/{path}": content for path, content in contents.items()}


def arrived(workspace) -> dict[str, bytes]:
    return {path: content for path, content in workspace.files.items() if path != RECORD}


def test_an_empty_volume_gets_every_photo_and_nothing_else(workspace, upload, photos):
    photos(many(70))
    photos({"notes.txt": b"no", "Test/.hidden/1.jpg": b"no", "Test/_part/1.jpg": b"no", "Test/A/2.PNG": b"yes"})
    status, result, err = upload()
    assert status == 0
    assert arrived(workspace) == in_volume(many(70) | {"Test/A/2.PNG": b"yes"})
    assert (result["photos"], result["sent"], result["skipped"], result["failed"]) == (71, 71, 0, [])
    assert result["bytes"] == sum(map(len, arrived(workspace).values()))
    assert "upload: 71 of 71 photos" in err
    assert workspace.record()["Test/A/2.PNG"] == hashlib.sha256(b"yes").hexdigest()


def test_many_photos_are_under_way_at_once(workspace, upload, photos):
    photos(many(150))
    workspace.delay = 0.05
    assert upload()[0] == 0
    assert workspace.most_at_once >= 24


def test_names_arrive_as_they_are(workspace, upload, photos):
    names = ["Äpfel & Birnen/1 #2.jpg", "50% off/a?b=c.jpg", 'it\'s "quoted"/x+y.jpg', "a=b/%41.jpg", "苹果/[1]~;,.jpg"]
    photos({f"Training/{name}": name.encode() for name in names})
    assert upload()[0] == 0
    assert arrived(workspace) == in_volume({f"Training/{name}": name.encode() for name in names})
    assert upload()[1]["skipped"] == len(names)


def test_a_name_that_is_not_text_fails_alone(workspace, upload, photos, tmp_path):
    photos(many(2))
    (tmp_path / "photos" / os.fsdecode(b"bad\xff.jpg")).write_bytes(b"x")
    status, result, _ = upload()
    assert (status, result["sent"]) == (1, 2)
    assert result["failed"] == [{"path": "bad\\udcff.jpg", "error": "its name is not UTF-8"}]


def test_what_is_there_is_skipped_and_what_changed_is_sent(workspace, upload, photos):
    photos(many(9))
    upload()
    before = len(workspace.puts())
    assert (upload()[1]["sent"], len(workspace.puts())) == (0, before)
    photos({"Training/Fruit 0/0.jpg": b"PHOTO 0"})  # the same size
    photos({"Training/Fruit 1/1.jpg": b"larger than before"})
    del workspace.files[f"{VOLUME}/Training/Fruit 2/2.jpg"]
    assert upload()[1]["sent"] == 3
    assert arrived(workspace) == in_volume(
        many(9) | {"Training/Fruit 0/0.jpg": b"PHOTO 0", "Training/Fruit 1/1.jpg": b"larger than before"}
    )


def test_another_machine_skips_too(workspace, upload, photos, monkeypatch, tmp_path):
    photos(many(5))
    upload()
    monkeypatch.setenv("FRUITS_CACHE", str(tmp_path / "another"))
    assert (upload()[1]["skipped"], len(workspace.puts())) == (5, 5)


@pytest.mark.parametrize("record", [None, b"not gzip", b""])
def test_a_file_whose_content_nobody_knows_is_sent_again(workspace, upload, photos, record):
    photos(many(4))
    workspace.files |= {path: b"x" * len(content) for path, content in in_volume(many(4)).items()}
    if record is not None:
        workspace.files[RECORD] = record
    assert upload()[1]["sent"] == 4
    assert arrived(workspace) == in_volume(many(4))


def test_two_machines_do_not_take_each_others_photos_for_their_own(workspace, upload, photos, monkeypatch, tmp_path):
    photos({"A/1.jpg": b"ours"})
    workspace.faults.append(Fault("PUT", "_fruits_upload", status=400))  # so that the journal is what is left
    upload()
    monkeypatch.setenv("FRUITS_CACHE", str(tmp_path / "another"))
    photos({"A/1.jpg": b"hers"})
    upload()
    monkeypatch.setenv("FRUITS_CACHE", str(tmp_path / "cache"))
    photos({"A/1.jpg": b"ours"})
    assert upload()[1]["sent"] == 1
    assert arrived(workspace) == in_volume({"A/1.jpg": b"ours"})


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    [
        Fault("PUT", "7.jpg", status=429, headers={"Retry-After": "1"}),
        Fault("PUT", "7.jpg", status=500),
        Fault("PUT", "7.jpg", status=503, times=2),
        Fault("PUT", "7.jpg", drop="early"),
        Fault("PUT", "7.jpg", drop="late"),
        Fault("GET", "Fruit 1$", status=429, headers={"Retry-After": "0"}),
    ],
    ids=["throttled", "error", "away", "cut while sending", "cut before the answer", "throttled listing"],
)
def test_a_passing_fault_costs_time_and_nothing_else(workspace, upload, photos, fault):
    photos(many(9) | {"Training/Fruit 1/7.jpg": bytes(300_000)})
    workspace.faults.append(fault)
    status, result, _ = upload()
    assert (status, result["sent"], result["failed"]) == (0, 9, [])
    assert fault.times == 0
    assert arrived(workspace) == in_volume(many(9) | {"Training/Fruit 1/7.jpg": bytes(300_000)})


def test_a_photo_that_arrives_cut_off_is_found_and_sent_once_more(workspace, upload, photos):
    photos(many(6))
    workspace.truncate = {f"{VOLUME}/Training/Fruit 1/4.jpg"}
    status, result, err = upload()
    assert (status, result["sent"], len(workspace.puts())) == (0, 6, 7)
    assert "sending them once more" in err
    assert arrived(workspace) == in_volume(many(6))


def test_a_photo_that_is_refused_is_reported_and_tried_again_next_time(workspace, upload, photos):
    photos(many(6))
    workspace.faults.append(Fault("PUT", "4.jpg", status=400, message="bad name", times=2))
    status, result, _ = upload()
    assert (status, result["sent"]) == (1, 5)
    assert result["failed"] == [{"path": "Training/Fruit 1/4.jpg", "error": "bad name"}]
    assert "Training/Fruit 1/4.jpg" not in workspace.record()
    status, result, _ = upload()
    assert (status, result["sent"], result["skipped"]) == (0, 1, 5)


@pytest.mark.parametrize(("status", "says"), [(401, "auth login"), (403, "does not permit")])
def test_a_login_that_ends_meanwhile_ends_the_upload(workspace, upload, photos, status, says):
    photos(many(300))
    workspace.faults.append(Fault("PUT", "/Training/", status=status, times=10**6))
    code, result, err = upload()
    assert (code, result) == (1, None)
    assert says in err.splitlines()[-1]
    assert len(workspace.puts()) <= databricks_files.THREADS


def test_a_workspace_that_refuses_all_ends_the_upload(workspace, upload, photos, monkeypatch):
    monkeypatch.setattr(upload_module, "GIVE_UP", 10)
    photos(many(200))
    workspace.faults.append(Fault("PUT", "/Training/", status=400, message="disk is full", times=10**6))
    status, _, err = upload()
    assert status == 1
    assert "10 photos in a row could not be sent (disk is full)" in err.splitlines()[-1]


def test_a_large_file_is_not_held_in_memory(workspace, upload, photos, monkeypatch):
    monkeypatch.setattr(databricks_files, "LARGE", 1000)
    monkeypatch.setattr(databricks_files.Path, "read_bytes", lambda _: pytest.fail("read as a whole"))
    photos({"A/large.tif": bytes(5000)})
    assert upload()[1]["sent"] == 1
    assert arrived(workspace) == in_volume({"A/large.tif": bytes(5000)})


def test_a_record_that_cannot_be_written_fails_nothing(workspace, upload, photos):
    photos(many(3))
    workspace.faults.append(Fault("PUT", "_fruits_upload", status=400))
    status, result, err = upload()
    assert (status, result["sent"]) == (0, 3)
    assert "the record of what was sent could not be written" in err
    assert upload()[1]["skipped"] == 3  # by the journal of this machine
    assert len(workspace.record()) == 3


@pytest.mark.slow
def test_the_record_is_also_written_on_the_way(workspace, upload, photos, monkeypatch):
    monkeypatch.setattr(databricks_upload, "SAVE_EVERY", 20)
    monkeypatch.setattr(upload_module, "PAUSE", 0.05)
    workspace.delay = 0.1
    photos(many(200))
    upload()
    assert workspace.calls.count(("PUT", RECORD)) >= 2


@pytest.mark.slow
def test_killed_and_started_again_it_sends_only_what_is_missing(workspace, photos, tmp_path):
    photos(many(400))
    workspace.delay = 0.05
    command = [sys.executable, "-m", "fruits.cli", "databricks", "upload", str(tmp_path / "photos"), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 30
    while len(workspace.puts()) < 120 and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    time.sleep(0.3)  # what was under way arrives or does not
    before, sent = set(arrived(workspace)), len(workspace.puts())
    assert 100 < len(before) < 350
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert set(workspace.puts()[sent:]) == set(in_volume(many(400))) - before
    assert arrived(workspace) == in_volume(many(400))
    assert json.loads(again.stdout)["skipped"] == len(before)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--to", "/Volumes/main/fruits/elsewhere"], "volume '/Volumes/main/fruits/elsewhere' is not there"),
        (["--to", "/tmp/photos"], "'/tmp/photos' is not in a volume"),
        (["--to", "/Volumes/main/fruits"], "'/Volumes/main/fruits' is not in a volume"),
    ],
)
def test_a_destination_that_is_none_is_one_line(workspace, upload, photos, options, says):
    photos(many(1))
    status, result, err = upload(*options)
    assert (status, result) == (1 if "there" in says else 2, None)
    assert err.startswith(f"fruits: {says}")
    assert err.count("\n") == 1


def test_a_folder_below_the_volume_is_a_destination(workspace, upload, photos):
    photos(many(1))
    assert upload("--to", f"dbfs:{VOLUME}/more/")[1]["destination"] == f"{VOLUME}/more"
    assert f"{VOLUME}/more/Training/Fruit 0/0.jpg" in workspace.files


def test_an_empty_folder_and_a_missing_one_are_said_before_any_call(workspace, upload, tmp_path):
    status, _, err = upload()
    assert (status, "is not a folder" in err) == (2, True)
    (tmp_path / "photos").mkdir()
    status, _, err = upload()
    assert (status, "no photo under" in err) == (1, True)
    assert workspace.calls == []
