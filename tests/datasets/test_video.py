from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from datasets.video import ImageFolder, VideoFrames, open_frames, resized
from neuva import NeuvaError

DATA = Path(os.environ.get("NEUVA_REAL_DATA", Path(__file__).parents[3] / "shared" / "data"))


def real(name):
    if not (DATA / name).is_file():
        pytest.skip(f"{DATA / name} is absent")
    return DATA / name


def write_video(path, levels, size=(64, 48), fps=25.0):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, size)
    for level in levels:
        writer.write(np.full((size[1], size[0], 3), level, np.uint8))
    writer.release()
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
