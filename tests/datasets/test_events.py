from __future__ import annotations

import logging

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from datasets.events import EVENT_DTYPE, Events, check
from datasets.sample import Sample
from neuva import NeuvaError

SIZE = (9, 7)


@st.composite
def columns(draw, bad=False):
    """Four columns; sorted and inside the sensor unless bad."""
    n = draw(st.integers(0, 30))
    low, high = (-3, 12) if bad else (0, None)
    t = draw(arrays(np.int64, n, elements=st.integers(-(2**63), 2**63 - 1)))
    x = draw(arrays(np.int64, n, elements=st.integers(low, high or SIZE[0] - 1)))
    y = draw(arrays(np.int64, n, elements=st.integers(low, high or SIZE[1] - 1)))
    p = draw(arrays(np.int64, n, elements=st.integers(low if bad else 0, 4 if bad else 1)))
    return (t if bad else np.sort(t)), x, y, p


@given(columns())
def test_good_columns_are_kept_as_they_are(given_columns):
    events = Events.from_columns(*given_columns, SIZE)
    assert len(events) == len(given_columns[0])
    for name, column in zip("txyp", given_columns, strict=True):
        np.testing.assert_array_equal(events.array[name], column)
    assert events == Events.from_columns(*given_columns, SIZE, repair=True)


@given(columns(bad=True))
def test_an_error_names_the_first_bad_row_and_repair_heals_all(given_columns):
    t, x, y, p = (column.tolist() for column in given_columns)
    inside = [row for row in range(len(t)) if 0 <= x[row] < SIZE[0] and 0 <= y[row] < SIZE[1] and p[row] in (0, 1)]
    expected = sorted(((t[row], x[row], y[row], p[row]) for row in inside), key=lambda event: event[0])
    repaired = Events.from_columns(*given_columns, SIZE, repair=True)
    assert [tuple(map(int, event)) for event in repaired.array] == expected

    if len(inside) == len(t) and t == sorted(t):
        Events.from_columns(*given_columns, SIZE)
        return
    with pytest.raises(NeuvaError, match=r"^event \d+: .*repair=True") as error:
        Events.from_columns(*given_columns, SIZE)
    row = int(str(error.value).split()[1].rstrip(":"))
    assert row not in inside or t[row] < t[row - 1]


@given(columns(), st.integers(-100, 100), st.integers(-100, 100))
def test_between_is_half_open(given_columns, start, stop):
    t = np.sort(given_columns[0] % 200 - 100)
    events = Events.from_columns(t, *given_columns[1:], SIZE)
    cut = events.between(start, stop)
    np.testing.assert_array_equal(cut.array, events.array[(t >= start) & (t < stop)])
    assert cut.sensor_size == SIZE
    assert not cut.array.flags.writeable


@pytest.mark.parametrize("dtype", [np.uint64, np.uint32, np.int64])
def test_unsigned_times_that_run_backwards_are_sorted(dtype, caplog):
    t = np.array([5, 3, 4], dtype)
    with caplog.at_level(logging.WARNING):
        events = Events.from_columns(t, [0, 1, 2], [0, 0, 0], np.array([True, False, True]), SIZE, repair=True)
    assert events.array["t"].tolist() == [3, 4, 5]
    assert events.array["x"].tolist() == [1, 2, 0]
    assert "1 steps back in time" in caplog.text


def test_what_is_no_column_of_integers_is_refused():
    ok = np.zeros(2, np.int64)
    for bad in (np.array([0.5, 1.0]), np.array([0.0, np.nan]), np.zeros((2, 1), int), np.array(["a", "b"])):
        with pytest.raises(NeuvaError, match=r"column t is .* integers"):
            Events.from_columns(bad, ok, ok, ok, SIZE)
    with pytest.raises(NeuvaError, match="differ in length: t 2, x 1"):
        Events.from_columns(ok, ok[:1], ok, ok, SIZE)
    with pytest.raises(NeuvaError, match="event 1: x = 70000 is out of range"):
        Events.from_columns(ok, np.array([0, 70000]), ok, ok, SIZE)
    with pytest.raises(NeuvaError, match=r"event 0: t = 18446744073709551615 is out of range"):
        Events.from_columns(np.array([2**64 - 1], np.uint64), ok[:1], ok[:1], ok[:1], SIZE)


def test_the_stream_is_frozen_and_the_given_array_is_not():
    array = np.zeros(3, EVENT_DTYPE)
    events = Events(array, SIZE)
    with pytest.raises(ValueError, match="read-only"):
        events.array["x"][0] = 1
    array["x"][0] = 1
    assert events.array.base is array


def test_a_view_with_gaps_is_checked_as_it_stands():
    array = np.zeros(6, EVENT_DTYPE)
    array["t"] = [0, 9, 1, 8, 2, 7]
    assert Events(array[::2], SIZE).array["t"].tolist() == [0, 1, 2]
    assert Events(array[::-2], SIZE).array["t"].tolist() == [7, 8, 9]
    with pytest.raises(NeuvaError, match=r"event 2: t = 1 us runs backwards \(before it 9\)"):
        Events(array, SIZE)


def test_the_first_bad_row_is_named_whatever_is_wrong_with_it():
    for name, value, message in (
        ("x", 9, "outside 0..8"),
        ("y", -1, "outside 0..6"),
        ("p", 2, "outside 0..1"),
        ("t", -1, "runs"),
    ):
        array = np.zeros(5, EVENT_DTYPE)
        array["p"][4] = -1  # a later one is not named
        array[name][3] = value
        with pytest.raises(NeuvaError, match=rf"^event 3: {name} = {value} .*{message}"):
            Events(array, SIZE)
        with pytest.raises(NeuvaError, match=rf"^event 103: {name} = {value} "):
            check(array, SIZE, first_row=100)
    with pytest.raises(NeuvaError, match=r"^event 0: t = 0 us runs backwards \(before it 1\)"):
        check(np.zeros(1, EVENT_DTYPE), SIZE, after=1)


def test_empty_streams_are_valid_and_sensors_need_pixels():
    empty = Events.empty(SIZE)
    assert (len(empty), empty.t0, empty.t1) == (0, 0, 0)
    assert empty == Events.from_columns([], [], [], [], SIZE)
    assert empty != Events.empty((7, 9))
    with pytest.raises(NeuvaError, match="0x7 is not a sensor"):
        Events.empty((0, 7))
    with pytest.raises(NeuvaError, match="from_columns"):
        Events(np.zeros(3), SIZE)


def test_samples_refuse_labels_that_make_no_sense():
    empty, times = Events.empty(SIZE), np.array([0, 40])
    labels, mask = np.zeros((2, 2), np.float32), np.ones(2, bool)
    with pytest.raises(NeuvaError, match="2 label times need labels"):
        Sample(empty, times, labels[:1], mask)
    with pytest.raises(NeuvaError, match="label 1 at 0 us"):
        Sample(empty, times[::-1], labels, mask)
    labels[1] = 2
    with pytest.raises(NeuvaError, match=r"label 1 is \[2.0, 2.0\]"):
        Sample(empty, times, labels, mask)
    Sample(empty, times, labels, np.array([True, False]))
    labels[1] = np.nan
    with pytest.raises(NeuvaError, match="label 1"):
        Sample(empty, times, labels, mask)
