"""The camera layer, event by event, against sinabs' DVSLayer on frames; wrong orders must not match."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware.camera import Camera
from hardware.program import ChipProgram, Connection, InputEncoding, Layer, SpeckNeuron
from hardware.speck import event_driven
from hardware.speck.camera import seen
from neuva import NeuvaError

EVENT = np.dtype([("t", np.int64), ("x", np.int16), ("y", np.int16), ("p", np.int8)])
WIDTH, HEIGHT = 11, 9


def sensor(seed: int = 0, number: int = 300) -> np.ndarray:
    rng = np.random.default_rng(seed)
    events = np.empty(number, EVENT)
    events["t"] = np.sort(rng.integers(0, 5000, number))
    events["x"], events["y"] = rng.integers(0, WIDTH, number), rng.integers(0, HEIGHT, number)
    events["p"] = rng.integers(0, 2, number)
    return events


def frame(events: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    counts = np.zeros(shape, int)
    np.add.at(counts, (events["p"], events["y"], events["x"]), 1)
    return counts


def sinabs_frame(camera: Camera, events: np.ndarray) -> np.ndarray:
    """What sinabs' layer makes of the frame; one polarity alone, which it has not, is chosen before."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("sinabs")
    from hardware.speck.samna_guard import dynapcnn

    dynapcnn()
    from sinabs.backend.dynapcnn.dvs_layer import DVSLayer

    counts = frame(events, (2, HEIGHT, WIDTH))
    counts = counts if camera.polarity in ("both", "merged") else counts[[("off", "on").index(camera.polarity)]]
    layer = DVSLayer(
        (HEIGHT, WIDTH),
        pool=camera.pool,
        crop=camera.crop,
        merge_polarities=camera.polarity != "both",
        flip_x=camera.mirror_x,
        flip_y=camera.mirror_y,
        swap_xy=camera.swap_xy,
    )
    return layer(torch.from_numpy(counts[None].astype(np.float32)))[0].numpy().astype(int)


@st.composite
def cameras(draw: st.DrawFn) -> Camera:
    pool = draw(st.tuples(st.sampled_from([1, 2, 4]), st.sampled_from([1, 2, 4])))
    spans = []
    for side in (HEIGHT // pool[0], WIDTH // pool[1]):
        first = draw(st.integers(0, side - 1))
        spans.append((first, draw(st.integers(first + 1, side))))
    flags = [draw(st.booleans()) for _ in range(3)]
    crop = draw(st.sampled_from([None, tuple(spans)]))
    polarity = draw(st.sampled_from(["both", "merged", "on", "off"]))
    return Camera((WIDTH, HEIGHT), polarity, pool, crop, *flags)


@settings(max_examples=80, deadline=None)
@given(cameras(), st.integers(0, 5))
def test_equals_sinabs_layer_on_the_frame(camera: Camera, seed: int) -> None:
    events = sensor(seed)
    out = seen(camera, events)
    np.testing.assert_array_equal(frame(out, camera.shape), sinabs_frame(camera, events))
    assert (np.diff(out["t"]) >= 0).all()
    assert np.isin(out["t"], events["t"]).all()


def test_closed_form_and_wrong_orders() -> None:
    """x = 7, y = 2 pooled to (3, 1), cropped from (1, 0) to (2, 1), mirrored in x of 4 to (1, 1), swapped to (1, 1)."""
    camera = Camera((WIDTH, HEIGHT), "both", (2, 2), ((0, 3), (1, 5)), mirror_x=True)
    event = np.array([(5, 7, 2, 1)], EVENT)
    assert seen(camera, event)[["x", "y", "p"]].tolist() == [(1, 1, 1)]
    assert camera.shape == (2, 3, 4)
    turned = replace(camera, swap_xy=True)
    assert turned.shape == (2, 4, 3)
    event["x"] = 3
    assert seen(turned, event)[["x", "y"]].tolist() == [(1, 3)]  # swapped before it was mirrored: x 1 of 3 -> 1, y 0
    uncropped = replace(camera, crop=None)
    assert seen(uncropped, event)[["x"]].tolist() == [(3,)]  # mirrored before it was cropped: 4 - 1 - 1 = 2
    assert seen(camera, event)[["x"]].tolist() == [(3,)]
    assert seen(camera, np.array([(5, 10, 2, 1)], EVENT)).size == 0  # the eleventh column fills no window of 2


@pytest.mark.parametrize(("polarity", "left"), [("both", [0, 1]), ("merged", [0, 0]), ("on", [0]), ("off", [0])])
def test_polarity(polarity: str, left: list[int]) -> None:
    events = np.array([(1, 0, 0, 0), (2, 1, 0, 1)], EVENT)
    out = seen(Camera((4, 4), polarity), events)  # type: ignore[arg-type]
    assert out["p"].tolist() == left
    assert out["x"].tolist() == {"on": [1], "off": [0]}.get(polarity, [0, 1])


def test_the_event_driven_run_sees_through_the_camera() -> None:
    camera = Camera((WIDTH, HEIGHT), "merged", (2, 2), None, swap_xy=True)
    own = SpeckNeuron(1, 0, "subtract", np.zeros(1, int))
    layer = Layer("n", (1, 5, 4), (1, 5, 4), Connection("conv", np.ones((1, 1, 1, 1), np.int8)), own)
    chip = ChipProgram("speck2f", 1000, InputEncoding((1, 5, 4), "counts"), (layer,), None, camera=camera)
    trace = event_driven.run(chip, sensor())
    np.testing.assert_array_equal(trace.spikes["n"].dense(1, 10_000)[0], sinabs_frame(camera, sensor()))
    counts = np.ones((1, 1, 5, 4), int)
    assert event_driven.run(chip, counts).spikes["n"].total == 20  # steps are the program's input already


def test_a_program_keeps_its_camera(tmp_path) -> None:
    camera = Camera((WIDTH, HEIGHT), "on", (2, 1), ((0, 3), (1, 5)), mirror_x=True, swap_xy=True)
    own = SpeckNeuron(1, 0, "subtract", np.zeros(1, int))
    layer = Layer("n", (1, 4, 3), (1, 4, 3), Connection("conv", np.ones((1, 1, 1, 1), np.int8)), own)
    chip = ChipProgram("speck2f", 1000, InputEncoding((1, 4, 3), "counts"), (layer,), None, camera=camera)
    chip.save(tmp_path / "chip.h5")
    assert ChipProgram.load(tmp_path / "chip.h5").camera == camera
    bare = replace(chip, camera=None)
    bare.save(tmp_path / "bare.h5")
    assert ChipProgram.load(tmp_path / "bare.h5").camera is None
    assert bare.sha256() != chip.sha256() != replace(chip, camera=replace(camera, mirror_x=False)).sha256()
    with pytest.raises(NeuvaError, match="the camera sends"):
        replace(chip, camera=replace(camera, swap_xy=False))


@pytest.mark.parametrize(
    "wrong",
    [
        {"crop": ((0, 10), (0, 3))},
        {"crop": ((2, 2), (0, 3))},
        {"crop": ((0, 5), (0, 3)), "pool": (2, 1)},
        {"polarity": "white"},
        {"pool": (0, 1)},
        {"pool": (1.5, 1)},
        {"pool": 2},
        {"size": (16.5, 8)},
        {"size": (16, 8, 1)},
        {"size": "no"},
        {"crop": ()},
        {"crop": ((0, 3), (0, 3), (0, 3))},
        {"crop": ((0, 2.5), (0, 3))},
        {"mirror_x": "no"},
        {"swap_xy": 1},
    ],
)
def test_a_camera_that_cannot_be_is_refused(wrong: dict) -> None:
    with pytest.raises(NeuvaError, match=r"crop|polarity" + "".join(f"|the camera's {name} is" for name in wrong)):
        Camera(**({"size": (WIDTH, HEIGHT)} | wrong))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(-2, 13), st.integers(-2, 11), st.integers(-1, 2)), max_size=5))
def test_any_events_are_seen_or_refused_in_one_line(rows: list[tuple[int, ...]]) -> None:
    events = np.array(rows, EVENT)
    if all(0 <= x < WIDTH and 0 <= y < HEIGHT and p in (0, 1) for _, x, y, p in rows):
        assert len(seen(Camera((WIDTH, HEIGHT)), events)) == len(rows)
    else:
        with pytest.raises(NeuvaError, match=r"^event \d") as caught:
            seen(Camera((WIDTH, HEIGHT)), events)
        assert "\n" not in str(caught.value)
