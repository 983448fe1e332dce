"""LibreOffice, where it is installed: slides as PDF."""

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from fruits.errors import FruitsError

PATIENCE = 300  # seconds


def export_pdf(slides: Path) -> Path:
    """Make a PDF of slides, beside them; returns where it is.

    Raises:
        FruitsError: LibreOffice is not there, or makes none.
    """
    program = shutil.which("soffice") or shutil.which("libreoffice")
    if program is None:
        raise FruitsError(
            f"{str(slides)!r} is written; its PDF is made by LibreOffice, which is not installed here "
            "(Debian: apt install libreoffice-impress), or by what you open the slides with"
        )
    with tempfile.TemporaryDirectory() as folder:
        # A profile of its own: one that is open elsewhere would make LibreOffice end at once, without a word.
        profile = f"-env:UserInstallation={Path(folder, 'profile').as_uri()}"
        command = [program, profile, "--headless", "--convert-to", "pdf", "--outdir", folder, str(slides)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        made = Path(folder, f"{slides.stem}.pdf")
        if not made.is_file():
            said = " ".join((ended.stderr or ended.stdout).split())[:300]
            raise FruitsError(f"{str(slides)!r} is written; LibreOffice made no PDF of it: {said or 'it said nothing'}")
        return Path(shutil.move(made, slides.with_suffix(".pdf")))


def missing_fonts(fonts: dict[str, Sequence[str]]) -> list[str]:
    """Name the fonts for which this machine has neither them nor one as wide; none where it cannot be asked.

    Args:
        fonts: font to those that may stand for it.
    """
    program = shutil.which("fc-match")
    if program is None:
        return []
    missing = []
    for font, others in fonts.items():
        found = subprocess.run([program, "--format=%{family}", font], capture_output=True, text=True).stdout
        if not any(name in found for name in (font, *others)):
            missing.append(font)
    return missing
