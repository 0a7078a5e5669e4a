"""The command line without a process of its own: starting one takes seconds, and a few tests that do are enough."""

from __future__ import annotations

import io
import os
import sys
import warnings
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from subprocess import CompletedProcess
from unittest import mock

from experiments.cli import main

ROOT = Path(__file__).parents[1]


def neuva(*arguments: object, **environment: str) -> CompletedProcess[str]:
    """What the command prints and ends with; an exception that `main` lets through is a traceback, and is raised."""
    texts = [str(each) for each in arguments]
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, "argv", ["neuva", *texts]),
        mock.patch.dict(os.environ, {"COLUMNS": "200", **environment}),
        chdir(ROOT),
        redirect_stdout(out),
        redirect_stderr(err),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("default")  # a warning is printed, as a user would see it
        try:
            main()
            code = 0
        except SystemExit as ending:
            code = int(ending.code or 0)
    return CompletedProcess(texts, code, out.getvalue(), err.getvalue())
