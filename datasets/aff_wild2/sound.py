"""The sound of a video, mono at 16 kHz, from a .wav file or through ffmpeg."""

from __future__ import annotations

import logging
import math
import shutil
import subprocess
from pathlib import Path

import numpy as np

from neuva import NeuvaError, require

log = logging.getLogger(__name__)

RATE = 16_000


def ffmpeg() -> str | None:
    """Where ffmpeg is, None where it is not installed."""
    return shutil.which("ffmpeg")


def read_sound(path: Path) -> np.ndarray | None:
    """The mean of all channels at 16 kHz, int16 [samples]; sample k is at k / 16000 s. None where a video is silent.

    Raises:
        NeuvaError: if the file cannot be decoded, or a video needs ffmpeg and there is none.
    """
    return _from_wav(path) if path.suffix.lower() == ".wav" else _from_video(path)


def _from_wav(path: Path) -> np.ndarray:
    from scipy.signal import resample_poly

    soundfile = require("soundfile", "pip install soundfile")
    try:
        channels, rate = soundfile.read(path, dtype="float64", always_2d=True)
    except (soundfile.LibsndfileError, OSError) as error:
        raise NeuvaError(f"{path}: cannot be read as sound ({error}): convert the video again, or remove it") from error
    common = math.gcd(rate, RATE)
    mono = channels.mean(axis=1)
    mono = mono if rate == RATE or not len(mono) else resample_poly(mono, RATE // common, rate // common)
    return np.clip(np.round(mono * 2**15), -(2**15), 2**15 - 1).astype(np.int16)


def _from_video(path: Path) -> np.ndarray | None:
    program = ffmpeg()
    if program is None:
        raise NeuvaError(f"{path}: its sound needs ffmpeg: install it, or put audio/{path.stem}.wav beside the videos")
    # first_pts=0 fills with silence where the sound begins after the picture, so that both keep one clock
    filters = ["-af", "aresample=async=1:first_pts=0", "-ac", "1", "-ar", str(RATE)]
    command = [program, "-nostdin", "-v", "error", "-i", str(path), "-map", "0:a:0", *filters, "-f", "s16le", "-"]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode == 0:
        return np.frombuffer(done.stdout, "<i2").astype(np.int16)
    said = done.stderr.decode(errors="replace").strip()
    if "matches no streams" in said:
        log.info("%s: has no sound", path)
        return None
    raise NeuvaError(f"{path}: ffmpeg cannot read its sound ({said.splitlines()[0] if said else 'no reason given'})")
