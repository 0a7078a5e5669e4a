"""Features of faces and of sound for every frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.studies.mae_tcn_transformer import features
from experiments.studies.mae_tcn_transformer.features import face_features, log_mel, speech_features, speech_network
from neuva import NeuvaError
from snn.baselines.masked_autoencoder import AutoencoderSpec, FaceEncoder, prepare

RATE = 16_000


def tone(hertz: float, seconds: float = 1.0, rate: int = RATE) -> np.ndarray:
    return np.round(8000 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.int16)


def noise(samples: int) -> np.ndarray:
    return np.random.default_rng(0).integers(-9000, 9000, samples).astype(np.int16)


@pytest.mark.parametrize(("rate", "size"), [(RATE, 512), (44_100, 2048)])
def test_log_mel_is_transformers(rate: int, size: int) -> None:
    from transformers.audio_utils import mel_filter_bank, spectrogram

    sound, hop, width = noise(rate // 2), round(0.01 * rate), round(0.025 * rate)
    filters = mel_filter_bank(size // 2 + 1, 40, 0, rate / 2, rate, norm=None, mel_scale="htk")
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(width) / width)
    theirs = spectrogram(
        sound / 2**15, hann, width, hop, size, power=2.0, pad_mode="constant", mel_filters=filters, log_mel="log"
    )
    times = np.round(np.arange(theirs.shape[1]) * hop / rate * 1e6).astype(np.int64)
    assert np.allclose(log_mel(sound, rate, times, 40), theirs.T, atol=2e-3)


def test_a_tone_is_loudest_in_its_band_and_twice_as_loud_is_log_four_more() -> None:
    times = np.array([500_000])
    mels = 2595 * np.log10(1 + 8000 / 700) * np.arange(1, 65) / 65
    for hertz in (440.0, 1500.0, 5000.0):
        band = np.argmin(np.abs(mels - 2595 * np.log10(1 + hertz / 700)))
        assert abs(int(log_mel(tone(hertz), RATE, times)[0].argmax()) - band) <= 1
    quiet, loud = (log_mel(gain * (tone(1000) // 2), RATE, times)[0].max() for gain in (1, 2))
    assert loud - quiet == pytest.approx(np.log(4), abs=1e-3)


def test_silence_is_the_floor_and_what_lies_beyond_the_end_holds() -> None:
    assert np.allclose(log_mel(np.zeros(100, np.int16), RATE, np.array([0, 10**7])), np.log(1e-10))
    rows = log_mel(noise(RATE), RATE, np.array([1_000_000, 5_000_000]))
    assert np.array_equal(rows[0], rows[1])


def test_between_windows_it_is_interpolated() -> None:
    rows = log_mel(noise(RATE), RATE, np.array([100_000, 102_500, 105_000, 110_000]))
    assert np.allclose(rows[1], 0.75 * rows[0] + 0.25 * rows[3], atol=1e-4)
    assert np.allclose(rows[2], (rows[0] + rows[3]) / 2, atol=1e-4)


def test_long_sound_goes_through_in_pieces() -> None:
    """45 s are more windows than one piece: the tone changes where the pieces meet."""
    sound = np.concatenate([tone(500, 40.96), tone(3000, 5)])
    rows = log_mel(sound, RATE, np.array([40_900_000, 41_000_000]))
    assert rows[0].argmax() < rows[1].argmax()


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 3000), st.sampled_from([8000, 16_000, 22_050]), st.lists(st.integers(0, 10**6), max_size=5))
def test_any_sound_gives_finite_values(samples: int, rate: int, times: list[int]) -> None:
    rows = log_mel(noise(samples), rate, np.array(sorted(times), np.int64), 20)
    assert rows.shape == (len(times), 20)
    assert rows.dtype == np.float32
    assert np.isfinite(rows).all()


def test_a_sound_that_is_empty_is_refused() -> None:
    with pytest.raises(NeuvaError, match="empty"):
        log_mel(np.empty(0, np.int16), RATE, np.array([0]))


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, torch.nn.Module]:
    """A small wav2vec 2.0 as transformers saves it."""
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("speech")
    config = Wav2Vec2Config(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, conv_dim=[8] * 7,
        num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2,
        feat_extract_norm="layer", conv_bias=True, do_stable_layer_norm=True,
    )  # fmt: skip
    net = Wav2Vec2Model(config).eval()
    net.save_pretrained(folder)
    return folder, net


def expected_steps(net: torch.nn.Module, sound: np.ndarray) -> np.ndarray:
    x = torch.from_numpy((sound - sound.mean()) / sound.std()).float()[None]
    with torch.no_grad():
        return net(x).extract_features[0].numpy()


def test_speech_is_heard_at_the_frames_times(speech: tuple[Path, torch.nn.Module]) -> None:
    folder, net = speech
    sound = noise(8000)
    steps = expected_steps(net, sound)
    centres = np.round((np.arange(len(steps)) * 320 + 200) / RATE * 1e6).astype(np.int64)
    given_ = speech_features(speech_network(folder), sound, RATE, centres)
    assert given_.shape == (24, 8)
    assert np.allclose(given_, steps, atol=1e-4)
    between = speech_features(speech_network(folder), sound, RATE, centres[:-1] + 10_000)
    assert np.allclose(between, (steps[:-1] + steps[1:]) / 2, atol=1e-4)


def test_pieces_of_speech_are_those_of_the_whole(
    speech: tuple[Path, torch.nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, net = speech
    sound = noise(8000)
    monkeypatch.setattr(features, "_PIECE", 5 * 320)
    centres = np.round((np.arange(24) * 320 + 200) / RATE * 1e6).astype(np.int64)
    assert np.allclose(
        speech_features(speech_network(folder), sound, RATE, centres), expected_steps(net, sound), atol=1e-4
    )


def test_speech_of_another_rate_and_shorter_than_a_step(speech: tuple[Path, torch.nn.Module]) -> None:
    folder, _ = speech
    times = np.array([200_000, 300_000])
    slow, fast = (speech_features(speech_network(folder), tone(300, 0.5, rate), rate, times) for rate in (RATE, 48_000))
    assert np.allclose(slow, fast, atol=0.1)
    assert speech_features(speech_network(folder), noise(10), RATE, times).shape == (2, 8)


def test_a_folder_without_a_network_is_refused(speech: tuple[Path, torch.nn.Module], tmp_path: Path) -> None:
    with pytest.raises(NeuvaError, match=r"has no config\.json"):
        speech_network(tmp_path)
    (tmp_path / "config.json").write_bytes((speech[0] / "config.json").read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(NeuvaError, match="holds no wav2vec"):
        speech_network(tmp_path)


def test_faces_in_batches_are_those_one_by_one() -> None:
    torch.manual_seed(0)
    encoder = FaceEncoder(AutoencoderSpec(16, 8, 8, 1, 2, 8, 1, 2), 8).train()
    images = np.random.default_rng(0).integers(0, 255, (5, 20, 20, 3)).astype(np.uint8)
    rows = face_features(encoder, images, batch=2)
    assert rows.shape == (5, 8)
    with torch.no_grad():
        assert np.allclose(rows[3:4], encoder.features(prepare(images[3:4], 16)).numpy(), atol=1e-5)
    assert face_features(encoder, images[:0]).shape == (0, 8)
