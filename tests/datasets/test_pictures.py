from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from datasets.crop import BoxTrack
from datasets.events import Events
from datasets.pictures import BOX, DARK, LIGHT, OFF, ON, draw_box, event_picture, write_animation
from neuva import NeuvaError


def two_events():
    return Events.from_columns(np.array([10, 90_000]), np.array([1, 2]), np.array([0, 3]), np.array([1, 0]), (64, 48))


@pytest.mark.parametrize("dark", [False, True])
def test_colours_and_ground(dark):
    picture = event_picture(two_events(), 0, 100_000, dark=dark)
    assert (picture.shape, picture.dtype) == ((48, 64, 3), np.uint8)
    assert picture[0, 1].tolist() == list(ON)
    assert picture[3, 2].tolist() == list(OFF)
    assert picture[10, 10].tolist() == list(DARK if dark else LIGHT)
    assert np.array_equal(event_picture(two_events(), 20, 30, dark=dark), np.full_like(picture, picture[10, 10]))


def test_box_is_drawn_on_a_copy():
    picture = event_picture(two_events(), 0, 1)
    boxed = draw_box(picture, BoxTrack(np.array([0]), np.array([[30.0, 20, 10]])), 5)
    assert boxed[15, 30].tolist() == list(BOX)
    assert boxed[20, 30].tolist() == list(LIGHT)
    assert not np.array_equal(picture, boxed)


def test_films_are_written(tmp_path):
    events = two_events()
    write_animation(tmp_path / "a.gif", events)
    with Image.open(tmp_path / "a.gif") as film:
        assert (film.n_frames, film.size) == (3, (64, 48))
    write_animation(tmp_path / "a.mp4", events)
    assert cv2.VideoCapture(str(tmp_path / "a.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.gif", "a.mp4"]


def test_mistakes_are_named(tmp_path):
    with pytest.raises(NeuvaError, match=r"written as \.gif"):
        write_animation(tmp_path / "a.avi", two_events())
    with pytest.raises(NeuvaError, match="no events"):
        write_animation(tmp_path / "a.gif", Events.empty((4, 4)))
