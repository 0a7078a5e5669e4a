"""Settings of all tests."""

from __future__ import annotations

import os

os.environ["COLUMNS"] = "200"  # lines are not broken wherever the tests run; before anything asks for the width
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"  # before torch: two test processes share the cores, none shall spin

import signal

import pytest

from hardware.loihi import lava
from neuva import NeuvaError

for sign in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(sign) is signal.SIG_IGN:  # by nohup or a script's background: children would inherit that
        signal.signal(sign, lambda *_: None)  # ignored here alone


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked `lava` start Lava itself: skipped with the reason where its interpreter is missing."""
    marked = [item for item in items if item.get_closest_marker("lava")]
    try:
        if marked:
            lava.interpreter()
    except NeuvaError as error:
        for item in marked:
            item.add_marker(pytest.mark.skip(reason=str(error)))
