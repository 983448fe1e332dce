"""Make tests/golden/bundle/<target>.yml: what the bundle deploys, names and references filled in, for me@example.com.

`python tests/golden/regenerate_bundle.py`
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bundle import dump, read_bundle, render

folder = Path(__file__).parent / "bundle"
folder.mkdir(exist_ok=True)
bundle = read_bundle()
for target in bundle.config["targets"]:
    (folder / f"{target}.yml").write_text(dump(render(bundle, target)))
