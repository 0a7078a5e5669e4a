"""Settings of all tests."""

from __future__ import annotations

import os

os.environ["COLUMNS"] = "200"  # lines are not broken wherever the tests run; before anything asks for the width
