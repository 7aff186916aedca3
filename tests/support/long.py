"""Whether tests that repeat something do it as often as docs/measurements.md says, rather than as often as is quick."""

import os

LONG = os.environ.get("LONG_TESTS") == "1"
