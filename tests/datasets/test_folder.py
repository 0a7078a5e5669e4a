from __future__ import annotations

import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datasets import folder
from datasets.crop import rescale
from datasets.events import Events
from datasets.face_track import track_of
from datasets.files import read_events, write_events
from datasets.label_table import read_labels
from datasets.making import make_store
from datasets.splits import shared_groups
from datasets.store import EventStore
from neuva import NeuvaError

REAL = Path(os.environ.get("NEUVA_REAL_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))
START = 1_600_000_000_000_000  # cameras count from 1970


def recording(seed: int, size: tuple[int, int] = (64, 48), start: int = START) -> Events:
    rng = np.random.default_rng(seed)
    t = np.sort(rng.integers(0, 200_000, 500)) + start
    t[0], t[-1] = start, start + 200_000
    return Events.from_columns(t, *(rng.integers(0, limit, 500) for limit in (*size, 2)), size)


def table(root: Path, text: str) -> Path:
    path = root / "labels.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def replica(tmp_path_factory) -> Path:
    """Six recordings of five people, in several formats, with rows in no order."""
    root = tmp_path_factory.mktemp("own")
    names = ["anna/1.npz", "anna/2.raw", "ben.h5", "cara.npz", "dan.npz", "eve.npz"]
    rows = ["arousal, valence,file,time_us,subject,valid"]
    for seed, name in enumerate(names):
        (root / name).parent.mkdir(exist_ok=True)
        start = 1000 if name.endswith("raw") else START
        write_events(root / name, recording(seed, start=start))
        for k in (2, 0, 1):
            arousal = "nan" if (seed, k) == (0, 1) else f"-0.{k}"
            valid = "false" if (seed, k) == (0, 1) else "1"
            rows.append(f"{arousal}, 0.{seed}{k}, ./{name},{start + 40_000 * k},{name.split('/')[0]},{valid}")
        rows.append("")
    table(root, "\ufeff" + "\r\n".join(rows))  # as spreadsheets save it
    return root


def made(recipe):
    return {job.name: (job, *pickle.loads(pickle.dumps(job.make))()) for job in recipe.jobs}


def test_recordings_and_their_labels_come_together(replica):
    recipe = folder.recipe(replica, face="whole")
    clips = made(recipe)
    assert list(clips) == ["anna/1.npz", "anna/2.raw", "ben.h5", "cara.npz", "dan.npz", "eve.npz"]
    assert recipe.sensor_size == (64, 48)
    _, sample, arrays = clips["anna/1.npz"]
    assert sample.events == recording(0)
    np.testing.assert_array_equal(sample.label_times, START + np.array([0, 40_000, 80_000]))
    np.testing.assert_allclose(sample.labels, [[0, 0], [0, 0], [0.02, -0.2]])
    np.testing.assert_array_equal(sample.mask, [True, False, True])
    assert sample.meta == {"start_us": START, "end_us": START + 200_000, "subject": "anna"}
    assert arrays == {}
    assert clips["anna/2.raw"][1].events == recording(1, start=1000)


def test_people_are_in_one_split_each(replica):
    recipe = folder.recipe(replica, face="whole")
    splits = [job.split for job in recipe.jobs]
    people = [job.name.split("/")[0] for job in recipe.jobs]
    assert shared_groups(people, splits) == {}
    assert set(splits) == {"train", "validation", "test"}
    assert recipe.provenance["notes"] == ["no subject is in two splits"]
    again = folder.recipe(replica, face="whole")
    assert again.provenance == recipe.provenance
    assert [job.split for job in again.jobs] == splits
    others = [[job.split for job in folder.recipe(replica, face="whole", seed=seed).jobs] for seed in range(5)]
    assert any(other != splits for other in others)


def test_files_are_dealt_out_where_no_subject_is_told(tmp_path):
    for seed in range(4):
        write_events(tmp_path / f"{seed}.npz", recording(seed))
    rows = [f"{seed}.npz,0.1,0.5,-1" for seed in range(4)]
    table(tmp_path, "\n".join(["file,time_s,valence,arousal", *rows]))
    recipe = folder.recipe(tmp_path, face="whole", clock="start")
    assert sorted({job.split for job in recipe.jobs}) == ["test", "train", "validation"]
    sample = made(recipe)["2.npz"][1]
    np.testing.assert_array_equal(sample.label_times, [START + 100_000])
    assert "subject" not in sample.meta
    table(tmp_path, "\n".join(["file,time_s,valence,arousal", *rows[:2]]))
    with pytest.raises(NeuvaError, match="2 files cannot be dealt out to train, validation, test: add a column split"):
        folder.recipe(tmp_path)


def test_the_tables_own_split_is_taken_and_told(tmp_path, caplog):
    for seed in range(2):
        write_events(tmp_path / f"{seed}.npz", recording(seed))
    header = "file,time_us,valence,arousal,subject,split"
    rows = [f"{seed}.npz,{START},0,0,{{}},{split}" for seed, split in enumerate(("train", "test"))]
    table(tmp_path, "\n".join([header, rows[0].format("a"), rows[1].format("b")]))
    recipe = folder.recipe(tmp_path)
    assert [job.split for job in recipe.jobs] == ["train", "test"]
    assert recipe.provenance["notes"] == ["the table's own split; no subject is in two"]
    table(tmp_path, "\n".join([header, *(row.format("a") for row in rows)]))
    assert folder.recipe(tmp_path).provenance["notes"] == ["1 of 1 subjects are in more than one split"]
    assert "people seen in training" in caplog.text


def test_labels_that_changed_begin_another_store(replica, tmp_path):
    root = tmp_path / "own"
    shutil.copytree(replica, root)
    before = folder.recipe(root).provenance
    text = (root / "labels.csv").read_text(encoding="utf-8")
    (root / "labels.csv").write_text(text.replace("0.51", "0.52"), encoding="utf-8")
    assert folder.recipe(root).provenance["labels_sha256"] != before["labels_sha256"]


def test_sensors_of_different_size_are_an_error_or_rescaled(tmp_path, caplog):
    write_events(tmp_path / "a.npz", recording(0))
    write_events(tmp_path / "b.npz", recording(1, (128, 96)))
    write_events(tmp_path / "c.npz", recording(2, (128, 64)))
    table(tmp_path, "\n".join(["file,time_us,valence,arousal", *(f"{name}.npz,{START},0,0" for name in "abc")]))
    with pytest.raises(NeuvaError, match=r"a\.npz is 64x48, b\.npz 128x96: rescale all to one size"):
        folder.recipe(tmp_path)
    recipe = folder.recipe(tmp_path, face="whole", rescale_to=(64, 48))
    clips = made(recipe)
    assert recipe.sensor_size == (64, 48)
    assert clips["a.npz"][1].events == recording(0)
    assert clips["b.npz"][1].events == rescale(recording(1, (128, 96)), (64, 48))
    assert "c.npz: 128x64 to 64x48 squeezes the picture" in caplog.text
    assert "b.npz" not in caplog.text
    with pytest.raises(NeuvaError, match=r"a\.npz: rescale 64x48 to 100x48"):
        made(folder.recipe(tmp_path, rescale_to=(100, 48)))


def test_a_size_is_given_to_the_recordings_that_do_not_tell_theirs(tmp_path):
    write_events(tmp_path / "a.npz", recording(0))
    told = recording(1)
    rows = ["t,x,y,p", *(",".join(map(str, row)) for row in told.array.tolist())]
    (tmp_path / "b.csv").write_text("\n".join(rows) + "\n")
    write_events(tmp_path / "c.npz", recording(2))
    names = ["a.npz", "b.csv", "c.npz"]
    table(tmp_path, "\n".join(["file,time_us,valence,arousal", *(f"{name},{START},0,0" for name in names)]))
    with pytest.raises(NeuvaError, match=r"b\.csv: does not tell its sensor size"):
        folder.recipe(tmp_path)
    clips = made(folder.recipe(tmp_path, sensor_size=(64, 48), face="whole"))
    assert clips["b.csv"][1].events == told
    with pytest.raises(NeuvaError, match=r"a\.npz is 64x48, b\.csv 80x60: rescale"):
        folder.recipe(tmp_path, sensor_size=(80, 60))
    recipe = folder.recipe(tmp_path, sensor_size=(80, 60), rescale_to=(64, 48), face="whole")
    assert {sample.events.sensor_size for _, sample, _ in made(recipe).values()} == {(64, 48)}


def test_a_stopped_run_does_not_keep_recordings_that_changed(tmp_path):
    root, out = tmp_path / "own", tmp_path / "own.h5"
    root.mkdir()
    for seed in range(3):
        write_events(root / f"{seed}.npz", recording(seed))
    table(root, "\n".join([HEADER, *(f"{seed}.npz,{START},0,0" for seed in range(3))]))
    done: list[int] = []

    def stop_after(clips: int) -> None:
        def progress(number: int, _: int) -> None:
            done.append(number)
            if number == clips:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            make_store(out, folder.recipe(root, face="whole"), workers=1, progress=progress)

    stop_after(1)
    stop_after(2)
    assert done == [0, 1, 1, 2]  # gone on
    write_events(root / "0.npz", recording(9))
    stop_after(1)
    assert done[4:] == [0, 1]  # begun anew
    make_store(out, folder.recipe(root, face="whole"), workers=1)
    assert [EventStore(out).sample(i).events for i in range(3)] == [recording(seed) for seed in (9, 1, 2)]


@pytest.mark.parametrize("out", ["labels.csv", "anna/2.raw", "ben.h5", "./anna/../ben.h5", "link.h5"])
def test_no_input_is_written_over(replica, tmp_path, out):
    root = tmp_path / "own"
    shutil.copytree(replica, root)
    (root / "link.h5").symlink_to("ben.h5")
    before = (root / out).read_bytes()
    with pytest.raises(NeuvaError, match="is one of the command's own inputs"):
        make_store(root / out, folder.recipe(root, face="whole"), workers=1)
    assert (root / out).read_bytes() == before
    shutil.copy(root / "anna" / "1.npz", root / "unlisted.npz")
    with pytest.raises(NeuvaError, match=r"unlisted\.npz: is there and is no store"):
        make_store(root / "unlisted.npz", folder.recipe(root, face="whole"), workers=1)
    make_store(root / "store.h5", folder.recipe(root, face="whole"), workers=1)  # among them is well
    make_store(root / "store.h5", folder.recipe(root, face="whole", seed=1), workers=1)  # and again


def test_labels_off_the_recordings_clock_are_told(tmp_path, caplog):
    for seed in range(3):
        write_events(tmp_path / f"{seed}.npz", recording(seed))
    header = "file,time_s,valence,arousal"
    table(tmp_path, "\n".join([header, *(f"{seed}.npz,0.1,0,0" for seed in range(3))]))
    with pytest.raises(NeuvaError, match=r"0\.npz: its labels are at .* count them from its start \(clock=start\)"):
        made(folder.recipe(tmp_path))
    rows = [f"{seed}.npz,{time},0,0" for seed in range(3) for time in (0.1, 0.9)]
    table(tmp_path, "\n".join([header, *rows]))
    sample = made(folder.recipe(tmp_path, clock="start", face="whole"))["0.npz"][1]
    np.testing.assert_array_equal(sample.label_times, START + np.array([100_000, 900_000]))
    assert "1 of 2 labels lie before its first or after its last event" in caplog.text


def test_an_empty_recording_is_refused(tmp_path):
    for seed in range(3):
        write_events(tmp_path / f"{seed}.npz", Events.empty((64, 48)))
    table(tmp_path, "\n".join(["file,time_s,valence,arousal", *(f"{seed}.npz,0.1,0,0" for seed in range(3))]))
    with pytest.raises(NeuvaError, match=r"0\.npz: holds no events"):
        made(folder.recipe(tmp_path))


def test_missing_recordings_name_the_line(replica, tmp_path):
    root = tmp_path / "own"
    shutil.copytree(replica, root)
    shutil.rmtree(root / "anna")
    with pytest.raises(NeuvaError, match=r"2 of 6 recordings are not in .*, the first anna/1\.npz \(line 2\): copy"):
        folder.recipe(root)


def test_unknown_options_are_refused(replica):
    with pytest.raises(NeuvaError, match="choose recording or start"):
        folder.recipe(replica, clock="utc")
    with pytest.raises(NeuvaError, match="choose activity or whole"):
        folder.recipe(replica, face="auto")


def test_a_face_that_does_not_stand_out_is_told(tmp_path):
    for seed in range(3):
        few = recording(seed).array[:2].copy()
        write_events(tmp_path / f"{seed}.npz", Events(few, (64, 48)))
    table(tmp_path, "\n".join(["file,time_us,valence,arousal", *(f"{seed}.npz,{START},0,0" for seed in range(3))]))
    with pytest.raises(NeuvaError, match="where the face fills the picture, say so"):
        made(folder.recipe(tmp_path))


def test_a_real_recording_is_read_and_its_face_tracked(tmp_path):
    source = REAL / "face-dvxplorer.aedat4"
    if not source.is_file():
        pytest.skip("no real recordings at NEUVA_REAL_DATA")
    shutil.copy(source, tmp_path)
    path = tmp_path / "elsewhere.csv"
    path.write_text("file,time_s,valence,arousal,split\nface-dvxplorer.aedat4,0.3,0.5,0.25,test\n")
    recipe = folder.recipe(tmp_path, labels=path, clock="start")
    ((job, sample, _),) = made(recipe).values()
    assert job.split == "test"
    assert sample.events == read_events(source)
    assert len(sample.events) == 111_954
    assert recipe.sensor_size == (320, 240)
    track = track_of(sample.meta)
    assert track is not None
    x, y, side = track.at(int(sample.label_times[0]))
    assert 0 < x < 320
    assert 0 < y < 240
    assert 40 < side < 276


HEADER = "file,time_us,valence,arousal"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no rows"),
        (HEADER, "has no rows"),
        ("file,valence,arousal\na,0,0", "header has no time: give one of time_us or time_s"),
        (HEADER + ",time_s\na,0,0,0,0", "header has time_us and time_s: give one"),
        ("file,time_us,valence\na,0,0", "header has no column 'arousal'"),
        (HEADER + ",subjet\na,0,0,0,x", "unknown columns 'subjet'; allowed are file, valence"),
        (HEADER + ",file\na,0,0,0,x", "header has twice 'file'"),
        (HEADER + "\na,0,0,0\na,1,0", "line 3 has 3 cells, the header 4"),
        (HEADER + "\na,0,nan,0", r"line 2: valence is 'nan': needed a number in \[-1, 1\], or valid 0"),
        (HEADER + "\na,0,0,1.01", r"line 2: arousal is '1\.01'"),
        (HEADER + "\na,0,0,-inf", "line 2: arousal is '-inf'"),
        (HEADER + "\na,0,,0", "line 2: valence is ''"),
        (HEADER + "\na,0.5,0,0", r"line 2: time is '0\.5': needed whole microseconds"),
        (HEADER + "\na,9999999999999999999,0,0", "line 2: time is"),
        ("file,time_s,valence,arousal\na,1e300,0,0", "line 2: time is '1e300': needed seconds"),
        (HEADER + "\n,0,0,0", "line 2: file is empty"),
        (HEADER + "\n../a,0,0,0", "needed a path below the folder"),
        (HEADER + "\n/a,0,0,0", "needed a path below the folder"),
        (HEADER + ",valid\na,0,0,0,maybe", "line 2: valid is 'maybe': needed 1, 0, true or false"),
        (HEADER + ",split\na,0,0,0,", "line 2: split is empty"),
        (HEADER + ",split\na,0,0,0,a/b", "line 2: split is 'a/b'"),
        (HEADER + ",subject\na,0,0,0,x\na,1,0,0,y", "a has subject x in line 2 and y in line 3"),
        (HEADER + "\na,5,0,0\nb,5,0,0\n./a,5,0,0", "a has two labels at 5 us, in lines 2 and 4"),
        (HEADER + '\n"a,5,0,0', "unexpected end of data"),
    ],
)
def test_a_bad_table_names_the_line(tmp_path, text, message):
    with pytest.raises(NeuvaError, match=message):
        read_labels(table(tmp_path, text))


def test_a_table_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "labels.csv").write_bytes(b"PK\x03\x04\xff\xfe")
    with pytest.raises(NeuvaError, match="cannot be read as a table"):
        read_labels(tmp_path / "labels.csv")
    with pytest.raises(NeuvaError, match="cannot be read as a table"):
        read_labels(tmp_path / "none.csv")


CELLS = st.text('-+.01e9na,"\n\r \x00é/', max_size=8) | st.sampled_from(["a", "b", "0", "1", "0.5", "-1", "true"])
ROWS = st.lists(st.lists(CELLS, min_size=3, max_size=6), max_size=6)


@given(st.permutations(["file", "time_us", "valence", "arousal", "valid", "split"]), ROWS)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_table_is_read_or_refused_in_one_line(tmp_path, header, rows):
    path = table(tmp_path, "\n".join(",".join(cells) for cells in [header, *rows]))
    refused, clips = "", []
    try:
        clips = read_labels(path)
    except NeuvaError as error:
        refused = str(error)
    assert "\n" not in refused
    assert bool(refused) != bool(clips)
    for clip in clips:
        assert np.all(np.diff(clip.times) > 0)
        assert np.all(np.abs(clip.labels) <= 1)


VALUE = st.floats(-1, 1, width=32)
TRUTH = st.dictionaries(
    st.sampled_from(["a.raw", "b c.npz", 'd"e.h5', "f,g.csv", "ü/h.dat"]),
    st.dictionaries(st.integers(-(1 << 60), 1 << 60), st.tuples(VALUE, VALUE, st.booleans()), min_size=1, max_size=4),
    min_size=1,
)


@given(TRUTH, st.randoms(use_true_random=False))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read(tmp_path, truth, random):
    rows = []
    for file, labels in truth.items():
        for time, (valence, arousal, valid) in labels.items():
            quoted = '"' + file.replace('"', '""') + '"'
            rows.append(f"{quoted},{time},{valence!r},{arousal!r},{int(valid)}")
    random.shuffle(rows)
    clips = read_labels(table(tmp_path, "\n".join([HEADER + ",valid", *rows])))
    assert [clip.file for clip in clips] == sorted(truth)
    for clip in clips:
        assert clip.times.tolist() == sorted(truth[clip.file])
        for time, label, valid in zip(clip.times.tolist(), clip.labels, clip.mask, strict=True):
            *expected, good = truth[clip.file][time]
            assert valid == good
            np.testing.assert_array_equal(label, np.array(expected, np.float32) if good else [0, 0])
