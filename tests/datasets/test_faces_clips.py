"""Rendered clips: format, repeatability, smooth motion, visible expressions, and disjoint people."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest

from datasets.faces import (
    AU_NAMES,
    LIGHTINGS,
    SPLITS,
    ClipSpec,
    Identity,
    clip_specs,
    contact_sheet,
    render_clip,
    write_contact_sheet,
)
from datasets.faces.action_units import AU_INDEX
from datasets.faces.canvas import Canvas
from datasets.faces.curves import smoothstep, spline
from datasets.faces.pose import CENTRE, FACE_UNIT, Pose, Turner
from datasets.faces.render import Light, Scene, render
from neuva import NeuvaError


def _still(units: np.ndarray, identity: int = 1, size: int = 96, **pose: float) -> np.ndarray:
    n = len(units)
    zero, one = np.zeros(n), np.ones(n)
    angles = {k: pose.get(k, 0.0) * one for k in ("yaw", "pitch", "roll", "x", "y")}
    scene = Scene(
        units, np.zeros(len(AU_NAMES)), Pose(**angles, scale=one), Light(one, 0.3 * one, zero), np.zeros((n, 2)), 1
    )
    return render(Identity.from_seed(identity), scene, size)


def _units(n: int = 1, **intensity: float) -> np.ndarray:
    units = np.zeros((n, len(AU_NAMES)))
    for name, value in intensity.items():
        units[:, AU_INDEX[name]] = value
    return units


def test_a_clip_has_the_promised_format():
    clip = render_clip(ClipSpec(identity=4, seed=7, seconds=1.0, fps=50, size=64))
    assert clip.frames.shape == (51, 64, 64)
    assert clip.frames.dtype == np.uint8
    assert clip.frame_times.tolist()[:3] == [0, 20_000, 40_000]
    assert clip.frame_times[-1] == clip.label_times[-1] == 1_000_000
    np.testing.assert_array_equal(clip.label_times, 40_000 * np.arange(1, 26))
    for labels in (clip.valence, clip.arousal):
        assert labels.dtype == np.float32
        assert labels.shape == (25,)
        assert np.abs(labels).max() <= 1
    assert clip.action_units.shape == (25, len(clip.au_names))
    assert clip.expression.shape == (25,)
    assert clip.face_box.shape == (25, 3)
    assert np.all(clip.face_box[:, 2] > 0.5 * 64)


def test_the_same_spec_gives_the_same_bytes_and_another_seed_does_not():
    spec = ClipSpec(identity=3, seed=1, seconds=0.2, size=64)
    first, again = render_clip(spec), render_clip(spec)
    np.testing.assert_array_equal(first.frames, again.frames)
    np.testing.assert_array_equal(first.action_units, again.action_units)
    other = render_clip(ClipSpec(identity=3, seed=2, seconds=0.2, size=64))
    assert not np.array_equal(first.frames, other.frames)
    assert not np.array_equal(first.valence, other.valence)


def test_frame_rate_does_not_change_the_clip():
    slow, fast = (render_clip(ClipSpec(identity=6, seed=5, seconds=0.4, fps=fps, size=64)) for fps in (25, 100))
    np.testing.assert_array_equal(slow.valence, fast.valence)
    np.testing.assert_array_equal(slow.frames, fast.frames[::4])


def test_no_person_is_in_two_splits_and_every_lighting_occurs():
    people = [{s.identity for s in clip_specs(split, 40, 10)} for split in SPLITS]
    assert [len(p) for p in people] == [10, 10, 10]
    assert not any(a & b for a, b in itertools.combinations(people, 2))
    specs = clip_specs("train", 40, 10, size=64, seconds=2)
    assert {(s.identity, s.lighting) for s in specs} == {(s.identity, x) for s in specs for x in LIGHTINGS}
    assert len({s.seed for s in specs}) == 40
    assert specs == clip_specs("train", 40, 10, size=64, seconds=2)


@pytest.mark.parametrize(
    ("change", "word"),
    [({"lighting": "moon"}, "moon"), ({"fps": 0}, "fps"), ({"size": 8}, "size"), ({"seconds": 0}, "seconds"),
     ({"identity": -1}, "identity"), ({"seconds": float("nan")}, "seconds")],
)  # fmt: skip
def test_bad_specs_are_refused(change, word):
    with pytest.raises(NeuvaError, match=word):
        ClipSpec(**{"identity": 0, "seed": 0, **change})


def test_bad_lists_are_refused(tmp_path):
    with pytest.raises(NeuvaError, match="holdout"):
        clip_specs("holdout", 1, 1)
    with pytest.raises(NeuvaError, match="at least 1"):
        clip_specs("train", 1, 0)
    with pytest.raises(NeuvaError, match="at least 1"):
        contact_sheet([])


def test_people_differ_and_are_repeatable():
    people = [Identity.from_seed(s) for s in range(60)]
    assert people == [Identity.from_seed(s) for s in range(60)]
    assert len({p.hair_style for p in people}) >= 7
    assert len({p.beard for p in people}) >= 4
    assert {p.glasses for p in people} == {"none", "round", "square"}


@pytest.mark.parametrize("name", AU_NAMES)
def test_every_unit_is_seen_and_moves_the_picture_smoothly(name):
    # Forty small steps: a pixel that jumped in one of them would make false events.
    ramp = _units(41)
    ramp[:, AU_INDEX[name]] = np.linspace(0, 1, 41)
    frames = _still(ramp).astype(float)
    whole = np.abs(frames[-1] - frames[0])
    steps = np.abs(np.diff(frames, axis=0))
    assert whole.max() > 15
    assert steps.max() < 40


def test_a_head_turned_or_shifted_little_changes_the_picture_little_but_surely():
    small = _still(_units(1), yaw=np.radians(0.5)).astype(float) - _still(_units(1))
    assert 1 < np.abs(small).max() < 60
    assert _still(_units(1), x=0.05)[0].astype(int).sum() != _still(_units(1))[0].astype(int).sum()


def test_turning_inverts_the_projection():
    canvas, size, angle = Canvas(96), 64, 0.3
    pose = Pose(*(np.array([v]) for v in (angle, 0.1, 0.05, 0.02, -0.01, 1.1)))
    turner = Turner(canvas, size, 1.0)
    mx, my = (m[32:48:5, 24:40:5].ravel() for m in turner.maps(pose, 0))
    z = cv2.remap(turner._depth, mx, my, cv2.INTER_LINEAR).ravel()
    x, y = ((m + 0.5) / canvas.unit - canvas.span / 2 for m in (mx, my))
    seen = pose.rotation(0) @ np.stack([x, y, z])
    unit = FACE_UNIT * size * 1.1
    rows, columns = np.meshgrid(np.arange(32, 48, 5), np.arange(24, 40, 5), indexing="ij")
    np.testing.assert_allclose(seen[0] * unit + (CENTRE[0] + 0.02) * size, columns.ravel() + 0.5, atol=0.3)
    np.testing.assert_allclose(seen[1] * unit + (CENTRE[1] - 0.01) * size, rows.ravel() + 0.5, atol=0.3)


def test_lightings_expose_as_named():
    mean = {x: render_clip(ClipSpec(5, 3, x, seconds=0.04, fps=25, size=64)).frames[0] for x in LIGHTINGS}
    assert mean["low"].mean() < 0.4 * mean["normal"].mean()
    assert (mean["overexposed"] == 255).mean() > 5 * (mean["normal"] == 255).mean()
    sides = sorted((mean["hdr"][:, :8].mean(), mean["hdr"][:, -8:].mean()))
    assert sides[1] > 3 * sides[0]


def test_splines_pass_through_their_points():
    points = np.random.default_rng(0).normal(size=(3, 7, 2))
    np.testing.assert_allclose(spline(points, per_segment=5)[:, ::5], points, atol=1e-12)
    np.testing.assert_allclose(spline(points, closed=True)[:, ::4], points, atol=1e-12)
    np.testing.assert_allclose(smoothstep(np.array([-1.0, 0.5, 2.0]), 0, 1), [0, 0.5, 1])


def test_the_contact_sheet_is_written_whole(tmp_path):
    write_contact_sheet(tmp_path / "faces.png", [0, 1], size=64)
    sheet = cv2.imread(str(tmp_path / "faces.png"), cv2.IMREAD_GRAYSCALE)
    np.testing.assert_array_equal(sheet, contact_sheet([0, 1], size=64))
    assert [p.name for p in tmp_path.iterdir()] == ["faces.png"]
