"""The chain under spark-submit: `run.py run --images s3://… --lake s3://…`, as the command `fruits` takes it."""

import sys

from fruits.cli import main

sys.exit(main())
