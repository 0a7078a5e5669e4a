"""What `neuva verify` shows: what conversion lost, in 80 columns, and a verdict that says what it judged."""

from __future__ import annotations

import numpy as np
import pytest
from rich.console import Console

from conversion.comparison import ClipRun, Comparison
from conversion.fidelity import EMULATOR, EVENTS, FAKE, FLOAT, Tolerances, _verdict
from experiments.commands import certificate


def pair(left: str, right: str, a: np.ndarray, b: np.ndarray, *, equal: bool) -> Comparison:
    compared = Comparison(left, right, must_be_equal=equal)
    va = np.zeros((5, 2), np.float32)
    same = np.tile(np.arange(4).reshape(1, 4, 1, 1), (10, 1, 1, 1))
    compared.add(ClipRun({"conv1": same, "dense2": a}, va), ClipRun({"conv1": same, "dense2": b}, va + 0.25))
    return compared


def shown(monkeypatch: pytest.MonkeyPatch, metrics: dict | None) -> list[str]:
    rng = np.random.default_rng(0)
    a = 1000 * rng.integers(0, 50, (10, 6, 1, 1))
    b = a[:, ::-1]
    pairs = [pair(FLOAT, FAKE, a, b, equal=False), pair(EMULATOR, EVENTS, a, a * 0, equal=False)]
    verdict = _verdict(pairs, metrics, [], Tolerances())
    told = None if metrics is None else {name: {**each, "clips": 1} for name, each in metrics.items()}
    figures = {"fidelity": [each.to_dict() for each in pairs], "metrics": told, "not_run": [], "verdict": verdict}
    narrow = Console(width=80, highlight=False)
    monkeypatch.setattr(certificate, "console", narrow)
    with narrow.capture() as captured:
        certificate.print_certificate(figures)
    lines = captured.get().splitlines()
    correlation = np.corrcoef(a.mean(0).ravel(), b.mean(0).ravel())[0, 1]
    assert any(f"{correlation:.3f}" in line for line in lines)  # the smallest: conv1's is 1
    assert any(f"{a.sum() + 60:,}" in line and FLOAT in line for line in lines)
    return lines


def test_what_conversion_lost_is_shown_in_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(monkeypatch, None)
    text = "\n".join(lines)
    assert max(map(len, lines)) <= 80
    assert "…" not in text
    for level in (FLOAT, FAKE, EMULATOR, EVENTS):
        assert level in text
    assert any(" 60 " in line and EVENTS in line for line in lines)  # all of dense2's spikes are gone
    assert "pass: the chip's levels agree; what conversion cost is not judged" in text


def test_with_labels_the_verdict_is_of_the_cost_too(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(monkeypatch, {FLOAT: {"ccc": 0.5}, EMULATOR: {"ccc": 0.49}})[-1] == "pass"
    assert shown(monkeypatch, {FLOAT: {"ccc": 0.5}, EMULATOR: {"ccc": 0.4}})[-1].startswith("FAIL: mean CCC falls")
    undefined = shown(monkeypatch, {FLOAT: {"ccc": None}, EMULATOR: {"ccc": 0.4}})
    assert undefined[-1].endswith("what conversion cost is not judged")
