"""Make tests/golden/emr/<name>.json: the requests that `fruits emr run --dry-run` shows where there is no account.

`python tests/golden/regenerate_emr.py`
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from test_emr_requests import ORDERS, show_request

folder = Path(__file__).parent / "emr"
folder.mkdir(exist_ok=True)
for name, words in ORDERS.items():
    (folder / f"{name}.json").write_text(json.dumps(show_request(*words), indent=2, ensure_ascii=False) + "\n")
