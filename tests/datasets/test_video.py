from __future__ import annotations

import os
import struct
import wave
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datasets.video import ImageFolder, VideoFrames, open_frames, resized
from neuva import NeuvaError

DATA = Path(os.environ.get("NEUVA_REAL_DATA", Path(__file__).parents[3] / "shared" / "data"))


def real(name):
    if not (DATA / name).is_file():
        pytest.skip(f"{DATA / name} is absent")
    return DATA / name


def write_video(path, levels, size=(64, 48), fps=25.0, code="mp4v"):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), fps, size)
    for level in levels:
        frame = np.full((size[1], size[0], 3), level, np.uint8)
        frame[: size[1] // 4, : size[0] // 4] += 8  # a corner that tells how the picture is turned
        writer.write(frame)
    writer.release()
    return path


def write_with_pts(path, milliseconds):
    """Frames at these times, which OpenCV's writer cannot do."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for t in milliseconds:
            frame = av.VideoFrame.from_ndarray(np.full((48, 64), 100, np.uint8), format="gray")
            frame.pts, frame.time_base = t, Fraction(1, 1000)
            container.mux(stream.encode(frame.reformat(format="yuvj420p")))
        container.mux(stream.encode(None))
    return path


def test_video_frames_times_and_size(tmp_path):
    video = VideoFrames(write_video(tmp_path / "v.mp4", [20, 120, 220]))
    assert (video.size, video.fps, video.count) == ((64, 48), 25.0, 3)
    for _ in range(2):  # each iteration starts anew
        frames, times = zip(*video, strict=True)
        assert times == (0, 40_000, 80_000)
        assert [round(float(frame.mean()), -1) for frame in frames] == [20, 120, 220]
        assert all(frame.dtype == np.uint8 and frame.shape == (48, 64) for frame in frames)


def test_folder_of_images_in_order_of_names(tmp_path):
    for name, level in (("b.png", 20), ("a.png", 10), ("c.jpg", 30)):
        cv2.imwrite(str(tmp_path / name), np.full((6, 8, 3), level, np.uint8))
    (tmp_path / "notes.txt").write_text("no image")
    folder = open_frames(tmp_path, fps=30)
    assert (folder.size, folder.fps, folder.count) == ((8, 6), 30.0, 3)
    frames, times = zip(*folder, strict=True)
    assert [int(frame[0, 0]) for frame in frames] == [10, 20, 30]
    assert times == (0, 33_333, 66_667)


def test_resized_averages():
    frame = np.array([[0, 100], [200, 100]], np.uint8)
    ((small, t_us),) = resized([(frame, 7)], (1, 1))
    assert (small.tolist(), t_us) == ([[100]], 7)
    ((large, _),) = resized([(frame, 7)], (6, 4))
    assert large.shape == (4, 6)


def test_unusable_input_is_one_clear_line(tmp_path, capfd):
    (tmp_path / "text.mp4").write_text("no video " * 100)
    (tmp_path / "empty.mp4").touch()
    whole = write_video(tmp_path / "v.mp4", [20] * 30).read_bytes()
    (tmp_path / "half.mp4").write_bytes(whole[: len(whole) // 2])
    for name in ("text.mp4", "empty.mp4", "half.mp4"):
        with pytest.raises(NeuvaError, match=f"{name}: cannot be decoded"):
            open_frames(tmp_path / name)
    with pytest.raises(NeuvaError, match="no such file"):
        open_frames(tmp_path / "absent.mp4")
    with pytest.raises(NeuvaError, match="give the frames per second"):
        open_frames(tmp_path)
    with pytest.raises(NeuvaError, match="keeps its own time"):
        open_frames(tmp_path / "v.mp4", fps=30)
    assert capfd.readouterr().err == ""


def test_sound_alone_is_no_video(tmp_path):
    with wave.open(str(tmp_path / "v.wav"), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(800))
    with pytest.raises(NeuvaError, match=r"v\.wav: cannot be decoded as a video \(no picture"):
        VideoFrames(tmp_path / "v.wav")


def test_a_picture_that_changes_its_size(tmp_path):
    """Pictures of two sizes in one Motion JPEG stream: OpenCV would scale the second part to the first's size."""
    pictures = [np.zeros((48, 64), np.uint8), np.zeros((48, 64), np.uint8), np.zeros((64, 96), np.uint8)]
    stream = b"".join(cv2.imencode(".jpg", picture)[1].tobytes() for picture in pictures)
    (tmp_path / "v.mjpeg").write_bytes(stream)
    video = VideoFrames(tmp_path / "v.mjpeg")
    assert video.size == (64, 48)
    with pytest.raises(NeuvaError, match=r"v\.mjpeg: frame 2 is 96x64, the first is 64x48"):
        list(video)


def test_times_need_not_start_at_zero(tmp_path):
    times = [t_us for _, t_us in VideoFrames(write_with_pts(tmp_path / "v.mkv", [1400, 1440, 1510]))]
    assert times == [1_400_000, 1_440_000, 1_510_000]


def test_times_that_do_not_advance(tmp_path):
    whole = write_with_pts(tmp_path / "v.mkv", [0, 40, 80]).read_bytes()
    (tmp_path / "twice.mkv").write_bytes(whole + whole)
    with pytest.raises(NeuvaError, match=r"twice\.mkv: frame 3 is at 0 us, the one before at 80000 us"):
        list(VideoFrames(tmp_path / "twice.mkv"))


def test_a_phone_held_upright(tmp_path):
    """The matrix of the track's header says by how much a player turns the picture."""
    content = write_video(tmp_path / "v.mp4", [20, 20]).read_bytes()
    upright = VideoFrames(tmp_path / "v.mp4")
    identity = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    clockwise = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    track = content.index(b"tkhd")
    place = content.index(identity, track)
    (tmp_path / "turned.mp4").write_bytes(content[:place] + clockwise + content[place + len(identity) :])
    turned = VideoFrames(tmp_path / "turned.mp4")
    assert turned.size == upright.size[::-1]
    (frame, _), *_ = turned
    (as_taken, _), *_ = upright
    assert np.array_equal(frame, np.rot90(as_taken, -1))


def attempt(path):
    """(size, frames up to an error, the error's message or an empty one)."""
    frames, size = [], None
    try:
        video = VideoFrames(path)
        size = video.size
        frames.extend(video)
    except NeuvaError as error:
        return size, frames, str(error)
    return size, frames, ""


def test_truncated_real_video_gives_what_is_whole(tmp_path, caplog):
    content = real("face-video.mp4").read_bytes()
    for share in (0.2, 0.9):
        (tmp_path / "cut.mp4").write_bytes(content[: int(len(content) * share)])
        _, frames, error = attempt(tmp_path / "cut.mp4")
        assert error.startswith(str(tmp_path / "cut.mp4")) or (
            0 < len(frames) < 72 and "the file claims 72" in caplog.text
        )


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damaged_videos_end_in_frames_or_a_clear_error(small_videos, tmp_path, data):
    """Bit flips and cuts, in all containers: no crash, no hang, frames of one size and times that advance."""
    name = data.draw(st.sampled_from(sorted(small_videos)))
    content = bytearray(small_videos[name])
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=60)):
        content[place] ^= 1 << data.draw(st.integers(0, 7))
    cut = data.draw(st.one_of(st.none(), st.integers(0, len(content))))
    path = tmp_path / name
    path.write_bytes(content[:cut])
    size, frames, error = attempt(path)
    times = [t_us for _, t_us in frames]
    assert times == sorted(set(times))
    assert all((frame.shape[1], frame.shape[0]) == size for frame, _ in frames)
    assert error.startswith(str(path)) or (frames and not error)


@pytest.fixture(scope="module")
def small_videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    kinds = {"mp4": "mp4v", "avi": "MJPG", "mkv": "FFV1", "mpg": "MPG2"}
    return {
        f"v.{suffix}": write_video(folder / f"v.{suffix}", range(20, 220, 25), code=code).read_bytes()
        for suffix, code in kinds.items()
    }


def test_unusable_folders(tmp_path):
    with pytest.raises(NeuvaError, match="holds no image"):
        ImageFolder(tmp_path, 25)
    with pytest.raises(NeuvaError, match="is no folder"):
        ImageFolder(tmp_path / "absent", 25)
    with pytest.raises(NeuvaError, match="needed more than 0"):
        ImageFolder(tmp_path, 0)
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((6, 8, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "b.png"), np.zeros((6, 9, 3), np.uint8))
    with pytest.raises(NeuvaError, match=r"b\.png is 9x6, the first is 8x6"):
        list(ImageFolder(tmp_path, 25))
    (tmp_path / "a.png").write_text("no image")
    with pytest.raises(NeuvaError, match=r"a\.png: cannot be read"):
        ImageFolder(tmp_path, 25)


def test_real_video_keeps_its_own_time_stamps():
    video = VideoFrames(real("face-video.mp4"))
    times = [t_us for _, t_us in video]
    assert (video.size, video.count, len(times), times[-1]) == ((640, 360), 72, 72, 2_366_667)


def test_uneven_time_stamps_are_kept():
    times = np.array([t_us for _, t_us in VideoFrames(real("face-then-no-face.mov"))])
    assert len(times) == 169
    assert len(set(np.diff(times).tolist())) > 3  # a claimed 26.4 frames a second would give one interval
