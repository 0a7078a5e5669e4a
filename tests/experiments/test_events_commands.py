"""`neuva events` on files of any format, and the figures it prints."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from datasets.events import Events
from datasets.files import describe, read_events, stream_events, write_events
from experiments import sheet
from experiments.commands.events import app
from neuva import NeuvaError

REAL = Path(os.environ.get("NEUVA_REAL_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))


def real(name: str) -> Path:
    path = REAL / name
    if not path.exists():
        pytest.skip(f"real recording {name} is not there (NEUVA_REAL_DATA)")
    return path


def events_command(*arguments: str | Path) -> str:
    """Standard output of `neuva events ...`; its errors are raised."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if done.exception is not None:
        raise done.exception
    return done.stdout


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    n = 5000
    t = np.sort(rng.integers(0, 400_000, n))
    x, y, p = (rng.integers(0, most, n) for most in (40, 30, 2))
    write_events(tmp_path / "a.aedat4", Events.from_columns(t, x, y, p, (40, 30)))
    return tmp_path / "a.aedat4"


def test_info_tells_format_and_figures(recording):
    figures = json.loads(events_command("info", "--json", recording))[str(recording)]
    assert (figures["format"], figures["count"], figures["sensor_size"]) == ("AEDAT4", 5000, [40, 30])
    text = events_command("info", recording)
    assert "AEDAT4" in text
    assert "5,000" in text


@pytest.mark.parametrize(
    ("name", "size", "known_as", "count", "start", "stop"),
    [
        ("face-dvxplorer.aedat4", None, "AEDAT4", 111_954, 1605537493718345, 1605537494308262),
        ("dvs.es", None, "Event Stream", 473_225, 0, 999_000),
        ("gesture-dvs128.bin", "128x128", "N-MNIST bin", 63_471, None, None),
        ("nmnist-digit.bin", "34x34", "N-MNIST bin", 4_325, None, None),
        ("prophesee-gen3.evt2.raw", None, "EVT2", 521_252, 913716224, 913812095),
        ("prophesee-gen41.evt3.raw", None, "EVT3", 219_596, 11718656, 11727457),
        ("chronocam-car.dat", "304x240", "DAT", 2_009, 0, 99_952),
    ],
)
def test_info_of_the_real_recordings(name, size, known_as, count, start, stop):
    arguments = ("--sensor", size) if size else ()
    figures = json.loads(events_command("info", "--json", real(name), *arguments))[str(real(name))]
    assert (figures["format"], figures["count"]) == (known_as, count)
    if start is not None:
        assert (figures["start_us"], figures["stop_us"]) == (start, stop)


@pytest.mark.parametrize("name", ["b.npz", "b.npy", "b.csv", "b.h5", "b.raw", "b.dat", "b.aedat4"])
def test_convert_to_any_format_keeps_the_events(recording, name):
    out = recording.with_name(name)
    assert "5,000 events" in events_command("convert", recording, out)
    assert np.array_equal(read_events(out, sensor_size=(40, 30)).array, read_events(recording).array)


def test_convert_to_a_format_by_name(recording):
    out = recording.with_name("b.raw")
    events_command("convert", recording, out, "--format", "evt2")
    assert stream_events(out).format == "EVT2"
    with pytest.raises(NeuvaError, match='"EVT9" is no format that is written'):
        events_command("convert", recording, out, "--format", "EVT9")
    for name, known in (("b.raw", "CSV"), ("b.csv", "EVT2.1"), ("b.txt", "CSV")):
        with pytest.raises(NeuvaError, match=rf"{known} is written to files that end in \.\w+: name it so"):
            events_command("convert", recording, recording.with_name(name), "--format", known)
    assert sorted(path.name for path in recording.parent.iterdir()) == ["a.aedat4", "b.raw"]


@pytest.mark.parametrize(("name", "told"), [("b.npy", False), ("b.npz", True), ("b.csv", True), ("b.raw", True)])
def test_a_file_that_loses_the_sensor_says_so(recording, name, told):
    said = events_command("convert", recording, recording.with_name(name))
    assert ("give --sensor 40x30" in said) != told


def test_info_goes_on_after_a_bad_file_and_without_a_size(recording):
    bad, sizeless = recording.with_name("bad.raw"), recording.with_name("b.npy")
    bad.write_bytes(b"no events")
    events_command("convert", recording, sizeless)
    for json_too in ([], ["--json"]):
        done = CliRunner().invoke(app, ["info", str(bad), str(sizeless), str(recording), *json_too])
        assert isinstance(done.exception, NeuvaError)
        assert str(bad) in str(done.exception)
        assert str(sizeless) not in str(done.exception)
        assert str(recording) in done.stdout
    figures = json.loads(done.stdout)
    whole, part = figures[str(recording)], figures[str(sizeless)]
    same = ("count", "on_share", "start_us", "stop_us", "duration_us", "rate")
    assert {key: part[key] for key in same} == {key: whole[key] for key in same}
    assert (part["sensor_size"], part["rate_per_pixel"], part["largest_xy"]) == (None, None, [39, 29])
    assert "largest x 39, y 29" in events_command("info", sizeless)


def test_no_input_is_written_over(recording):
    before = recording.read_bytes()
    for command in (("convert", recording, recording), ("show", recording, "-o", recording)):
        with pytest.raises(NeuvaError, match="own input"):
            events_command(*command)
    assert recording.read_bytes() == before


def test_damage_is_refused_and_repair_says_what_it_did(recording, caplog):
    cut = recording.with_name("cut.csv")
    cut.write_text("t,x,y,p\n1,2,3,1\n2,99,3,1\n3,2,3,0\nhello\n")
    with pytest.raises(NeuvaError, match=r"event 1: x = 99 is outside 0\.\.7: read with repair"):
        events_command("info", cut, "--sensor", "8x8")
    out = recording.with_name("b.npz")
    events_command("convert", cut, out, "--sensor", "8x8", "--repair")
    assert [event[0] for event in read_events(out).array.tolist()] == [1, 3]
    assert "1 events outside the sensor" in caplog.text
    assert "after 3 events" in caplog.text


def test_show_makes_a_picture_or_a_film_of_a_stretch(recording):
    picture, film = recording.with_name("a.png"), recording.with_name("a.mp4")
    events_command("show", recording, "-o", picture, "--start", "0.1", "--length", "0.1")
    assert picture.read_bytes().startswith(b"\x89PNG")
    events_command("show", recording, "--video", film)
    assert b"ftyp" in film.read_bytes()[:16]
    with pytest.raises(NeuvaError, match=r"lasts 0\.\d+ s; nothing lies at 5\.0 s|nothing lies at 5\.0 s"):
        events_command("show", recording, "--start", "5")
    write_events(recording.with_name("empty.npz"), Events.empty((4, 4)))
    with pytest.raises(NeuvaError, match="there is nothing to show"):
        events_command("show", recording.with_name("empty.npz"))
    far = Events.from_columns([0, 10**12], [0, 0], [0, 0], [1, 1], (4, 4))
    write_events(recording.with_name("far.npz"), far)
    with pytest.raises(NeuvaError, match=r"--video FILE\.mp4 or \.gif"):
        events_command("show", recording, "-o", recording.with_name("a.gif"))
    for length in ("0", "-1"):
        with pytest.raises(NeuvaError, match=f"--length {length}: needed above 0"):
            events_command("show", recording, "--length", length)
    assert CliRunner().invoke(app, ["show", str(recording), "--start", "-1"]).exit_code == 2
    with pytest.raises(NeuvaError, match="1000000 s, allowed in a film 600: give --length"):
        events_command("show", recording.with_name("far.npz"), "--video", film)


def test_pictures_of_a_stretch_tell_the_time_in_the_recording(recording, monkeypatch):
    drawn = []
    monkeypatch.setattr(sheet, "save_png", lambda figure, path: drawn.append(figure))
    events_command("show", recording, "--start", "0.2", "--length", "0.06")
    titles = [axes.get_title() for axes in drawn[0].axes]
    assert (titles[0], titles[-1]) == ("0.200 to 0.210 s", "0.250 to 0.260 s")


def exact_median(events: Events) -> float:
    """By sorting all events, as the summary cannot."""
    array, width = events.array, events.sensor_size[0]
    pixel = array["y"].astype(np.int64) * width + array["x"]
    order = np.argsort(pixel, kind="stable")
    same = pixel[order][1:] == pixel[order][:-1]
    return float(np.median(np.diff(array["t"][order])[same]))


def test_description_by_hand():
    events = Events.from_columns([0, 100, 200, 500_000], [0, 0, 1, 0], [0, 0, 1, 0], [1, 0, 0, 0], (4, 2))
    summary = describe(events)
    assert (summary.count, summary.on_share, summary.start_us, summary.stop_us) == (4, 0.25, 0, 500_000)
    assert (summary.rate, summary.rate_per_pixel, summary.active_share) == (8.0, 1.0, 0.25)
    assert summary.median_interval_us == pytest.approx((100 + 499_900) / 2, rel=0.004)
    assert (summary.duration_us, summary.format) == (500_000, None)
    nothing = describe(Events.empty((4, 2)))
    assert (nothing.count, nothing.rate, nothing.on_share, nothing.median_interval_us) == (0, None, None, None)
    assert nothing.active_share == 0


@pytest.mark.parametrize("spread", [200, 10_000, 2**40, 2**62])
def test_the_median_is_within_its_bound(spread):
    rng = np.random.default_rng(spread)
    t = np.sort(rng.integers(-spread // 30, spread, 4000))
    x, y, p = (rng.integers(0, most, 4000) for most in (7, 5, 2))
    events = Events.from_columns(t, x, y, p, (7, 5))
    assert describe(events).median_interval_us == pytest.approx(exact_median(events), rel=0.004)
    if exact_median(events) < 255:
        assert describe(events).median_interval_us == exact_median(events)


def test_times_as_far_apart_as_can_be():
    events = Events.from_columns([-(2**63), 2**63 - 1], [0, 0], [0, 0], [0, 1], (1, 1))
    assert describe(events).duration_us == 2**64 - 1
    assert describe(events).median_interval_us == pytest.approx(2.0**63, rel=0.004)
