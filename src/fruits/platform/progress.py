"""What a person reads while a step works: one line per stage on standard error, never on standard output."""

import sys
import time


def report(line: str) -> None:
    """Print one line for people."""
    print(line, file=sys.stderr, flush=True)


class Progress:
    """Counts what is done of a total, with the rate and the time left, after each commit."""

    def __init__(self, stage: str, total: int, unit: str = "photos") -> None:
        """Start the clock; `total` is what is to be done."""
        self.stage, self.total, self.unit = stage, total, unit
        self.done = self.errors = 0
        self._start = time.monotonic()

    def add(self, done: int, errors: int = 0) -> None:
        """Count what was just committed, and say how it goes."""
        self.done += done
        self.errors += errors
        seconds = max(time.monotonic() - self._start, 1e-9)
        left = (self.total - self.done) * seconds / max(self.done, 1)
        rate = self.done / seconds
        report(
            f"{self.stage}: {self.done} of {self.total} {self.unit}, {rate:.{0 if rate >= 10 else 1}f} {self.unit}/s, "
            + (f"{in_words(left)} left" if self.done < self.total else f"in {in_words(seconds)}")
            + (f", {self.errors} error{'s' * (self.errors > 1)}" if self.errors else "")
        )


def in_words(seconds: float) -> str:
    """Write a duration as people say it: 3 min 14 s, 42 s, 0.4 s."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
