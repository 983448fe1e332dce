"""What a person reads while a step works."""

import pytest

from fruits.platform import progress
from fruits.platform.progress import Progress, in_words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "0.0 s"), (1.26, "1.3 s"), (9.96, "10 s"), (59.6, "1 min 0 s"), (194, "3 min 14 s"), (7320, "2 h 2 min")],
)
def test_a_duration_is_written_as_people_say_it(seconds, words):
    assert in_words(seconds) == words


def test_progress_says_rate_and_time_left_on_standard_error_only(monkeypatch, capsys):
    clock = iter([100.0, 110.0, 140.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    bar = Progress("silver", 2000)
    bar.add(500, errors=1)
    bar.add(1500, errors=1)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines() == [
        "silver: 500 of 2000 photos, 50 photos/s, 30 s left, 1 error",
        "silver: 2000 of 2000 photos, 50 photos/s, in 40 s, 2 errors",
    ]


def test_a_slow_rate_is_not_rounded_to_nothing(monkeypatch, capsys):
    clock = iter([0.0, 10.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    Progress("bronze", 10).add(3)
    assert "0.3 photos/s" in capsys.readouterr().err
