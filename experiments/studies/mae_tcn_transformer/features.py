"""What the sequence model is told of every frame: features of its face, and of the sound around it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from datasets.aff_wild2.frames import ClipFaces
from datasets.store import EventStore
from experiments.studies.fitting import device
from neuva import NeuvaError
from snn.baselines.masked_autoencoder import FaceEncoder, prepare

if TYPE_CHECKING:
    from transformers import Wav2Vec2Model

_DECODED = 1024  # pictures in memory at a time
_SPEECH_RATE, _STRIDE, _FIELD = 16_000, 320, 400  # of wav2vec 2.0: samples/s, samples a step, samples a step sees
_PIECE = 30 * _SPEECH_RATE  # samples that go through wav2vec 2.0 at a time


@torch.no_grad()
def face_features(encoder: FaceEncoder, images: np.ndarray, batch: int = 64) -> np.ndarray:
    """Class tokens of faces, RGB uint8 [N, H, W, 3]: float32 [N, width]."""
    encoder.eval()
    pieces = [images[k : k + batch] for k in range(0, len(images), batch)]
    given = [encoder.features(prepare(piece, encoder.spec.side, device())).cpu().numpy() for piece in pieces]
    return np.concatenate(given) if given else np.empty((0, encoder.spec.width), np.float32)


def clip_features(encoder: FaceEncoder, store: EventStore, clip: int, batch: int = 64) -> np.ndarray:
    """Of each label of a clip, float32 [N, width]; a picture that several show is looked at once.

    Raises:
        NeuvaError: if the clip has no pictures, or one is damaged.
    """
    faces = ClipFaces(store, clip)
    _, firsts, which = np.unique(faces.shown, return_index=True, return_inverse=True)
    parts = [firsts[k : k + _DECODED] for k in range(0, len(firsts), _DECODED)]
    return np.concatenate([face_features(encoder, faces[part], batch) for part in parts])[which]


def log_mel(sound: np.ndarray, rate: int, frame_times: np.ndarray, bands: int = 64) -> np.ndarray:
    """Loudness of `bands` pitches around each time, float32 [N, bands], natural logarithm of the power.

    log(max(1e-10, M |DFT(w x)|^2)) for windows w (Hann) of 25 ms, every 10 ms, centred, silence around the sound; M:
    triangles evenly spaced from 0 to rate / 2 on the scale mel = 2595 log10(1 + f / 700) (O'Shaughnessy 1987), of peak
    1. Between windows it is interpolated; beyond the sound's ends the value at the end holds.

    Args:
        sound: int16 [samples]; frame_times: int64 [N], us since the first sample.

    Raises:
        NeuvaError: if the sound is empty.
    """
    _require_sound(sound)
    width, hop = round(0.025 * rate), round(0.010 * rate)
    size = 1 << (width - 1).bit_length()
    taper = np.zeros(size)
    begin = (size - width) // 2
    taper[begin : begin + width] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(width) / width)
    padded = np.pad(sound.astype(np.float32) / 2**15, size // 2)
    windows = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    filters = _triangles(rate, size, bands)
    pieces = [np.abs(np.fft.rfft(windows[k : k + 4096] * taper)) ** 2 @ filters for k in range(0, len(windows), 4096)]
    rows = np.log(np.maximum(np.concatenate(pieces), 1e-10))
    return _at(frame_times, np.arange(len(rows)) * hop / rate, rows)


@torch.no_grad()
def speech_features(net: Wav2Vec2Model, sound: np.ndarray, rate: int, frame_times: np.ndarray) -> np.ndarray:
    """What the convolutions of wav2vec 2.0 hear (Baevski et al. 2020), interpolated to the times: float32 [N, 512].

    They are `extract_features` of transformers' Wav2Vec2Model; that the 512 values of arXiv 2303.08356 are those too is
    a guess from their number. The sound is brought to 16 kHz, mean 0 and deviation 1, and goes through in pieces of
    30 s, which changes nothing but where a network norms over time (feat_extract_norm "group").

    Args:
        net: see `speech_network`; of which device it is, there it hears.
        sound: int16 [samples]; frame_times: int64 [N], us since the first sample.

    Raises:
        NeuvaError: if the sound is empty.
    """
    _require_sound(sound)
    x = sound.astype(np.float32)
    if rate != _SPEECH_RATE:
        from scipy.signal import resample_poly

        common = int(np.gcd(rate, _SPEECH_RATE))
        x = resample_poly(x, _SPEECH_RATE // common, rate // common).astype(np.float32)
    x = (x - x.mean()) / (x.std() + 1e-7)
    x = np.pad(x, (0, max(0, _FIELD - len(x))))
    # a piece sees the samples of its last step's field, so that the steps of all pieces are those of the whole
    steps = (len(x) - _FIELD) // _STRIDE + 1
    each = _PIECE // _STRIDE
    pieces = [x[k * _STRIDE : (min(k + each, steps) - 1) * _STRIDE + _FIELD] for k in range(0, steps, each)]
    heard = [_heard(net, torch.from_numpy(piece).to(net.device)).cpu().numpy() for piece in pieces]
    centres = (np.arange(steps) * _STRIDE + _FIELD / 2) / _SPEECH_RATE
    return _at(frame_times, centres, np.concatenate(heard))


def _heard(net: Wav2Vec2Model, x: torch.Tensor) -> torch.Tensor:
    """[samples] -> [steps, 512], without the transformer behind."""
    return net.feature_projection(net.feature_extractor(x[None]).transpose(1, 2))[1][0]


def speech_network(folder: Path) -> Wav2Vec2Model:
    """The wav2vec 2.0 network of a folder, which transformers has saved.

    Raises:
        NeuvaError: if it holds none.
    """
    from transformers import Wav2Vec2Model

    for name in ("config.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise NeuvaError(f"{folder}: has no {name}: name a folder with a Wav2Vec2Model as transformers saves it")
    try:
        net = Wav2Vec2Model.from_pretrained(folder, local_files_only=True, use_safetensors=True)
    except Exception as error:  # a damaged file makes transformers raise almost anything
        line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise NeuvaError(f"{folder}: holds no wav2vec 2.0 network ({line}): save it again by transformers") from error
    return net.eval()


def _triangles(rate: int, size: int, bands: int) -> np.ndarray:
    """Weights of the bins of a DFT in each band, float64 [size / 2 + 1, bands]."""
    top = 2595 * np.log10(1 + rate / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, bands + 2) / 2595) - 1)
    bins = np.fft.rfftfreq(size, 1 / rate)[:, None]
    rising = (bins - edges[:-2]) / np.diff(edges[:-1])
    falling = (edges[2:] - bins) / np.diff(edges[1:])
    return np.maximum(0, np.minimum(rising, falling))


def _at(frame_times: np.ndarray, row_times: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Rows [K, D] at increasing times, s, interpolated to the frames' times, us: float32 [N, D]."""
    place = np.interp(frame_times / 1e6, row_times, np.arange(len(rows)))
    before = np.minimum(place.astype(np.int64), len(rows) - 1)
    after = np.minimum(before + 1, len(rows) - 1)
    share = (place - before)[:, None]
    return ((1 - share) * rows[before] + share * rows[after]).astype(np.float32)


def _require_sound(sound: np.ndarray) -> None:
    if not len(sound):
        raise NeuvaError("the sound of a clip is empty: make the store again, or leave sound out of the configuration")
