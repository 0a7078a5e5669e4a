"""Every picture is drawn from made-up arrays: right content, white ground, same bytes, no global state."""

from __future__ import annotations

import io

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from datasets.pictures import OFF, ON
from experiments import plots
from neuva import NeuvaError

RNG = np.random.default_rng(0)
TIMES = np.arange(1, 101) * 0.04
TRUTH = np.stack([np.sin(TIMES), np.cos(TIMES)], axis=1)
FRAMES = RNG.integers(0, 255, (4, 24, 32), dtype=np.uint8)
EVENTS = RNG.integers(0, 255, (4, 24, 32, 3), dtype=np.uint8)
COUNTS = {"conv1": np.full(200, 8), "dense1": np.zeros(200, int)}
NEURONS = {"conv1": 512, "dense1": 64}
ENERGY = {
    "Loihi 2": {"synaptic operations": (1e-7, 3e-6, 9e-6), "static": (0.0, 4e-5, 2e-4), "total": (1e-7, 4e-5, 2e-4)},
    "Speck 2f": {"neuron updates": (0.0, 0.0, 0.0), "total": (1.7e-5, 1.9e-5, 2e-5)},
}


def _pictures() -> dict[str, Figure]:
    return {
        "faces_and_events": plots.faces_and_events(FRAMES, EVENTS, list("abcd")),
        "events_alone": plots.faces_and_events(None, EVENTS, list("abcd"), "Events"),
        "events_grid": plots.events_grid(EVENTS, list("abcd"), "Four", columns=3),
        "faces_grid": plots.faces_grid(FRAMES, list("abcd"), "Faces", columns=2),
        "traces": plots.traces(TIMES, TRUTH, {"float reference": TRUTH * 0.9, "Loihi 2": TRUTH[:50]}, "Clip"),
        "circumplex": plots.circumplex(TRUTH, TRUTH * 0.8, "Loihi 2"),
        "estimate_over_time": plots.estimate_over_time(TIMES, TRUTH, "Recording", [(1.0, EVENTS[0]), (2.0, FRAMES[1])]),
        "traces_under_pictures": plots.traces_under_pictures(
            TIMES, TRUTH, {"vit": TRUTH * 0.9}, [FRAMES, EVENTS], np.array([0, 30, 60, 99]), "Clip"
        ),
        "confusion_map": plots.confusion_map(np.array([[3, 1], [0, 0]]), ["fear", "anger"], "Answers", "clips"),
        "layer_rates": plots.layer_rates(COUNTS, NEURONS, 5000, "Spikes"),
        "spike_raster": plots.spike_raster({"conv1": (np.array([0.1, 0.2]), np.array([3, 500]))}, NEURONS, "Spikes"),
        "energy_bars": plots.energy_bars(ENERGY),
    }


def _texts(figure: Figure) -> str:
    found = [text.get_text() for text in figure.findobj(mpl.text.Text)]
    return " ".join(found)


@pytest.mark.parametrize("name", list(_pictures()))
def test_png_on_white_readable_at_900_pixels(name):
    image = Image.open(io.BytesIO(plots.png(_pictures()[name])))
    pixels = np.asarray(image.convert("RGBA"))
    assert image.width >= 900
    assert (pixels[..., 3] == 255).all()
    assert (pixels[[0, -1]][:, [0, -1], :3] == 255).all()
    assert (pixels[..., :3] < 128).any()


def test_same_arrays_same_bytes():
    assert plots.png(plots.traces(TIMES, TRUTH, {"a": TRUTH}, "x")) == plots.png(
        plots.traces(TIMES, TRUTH, {"a": TRUTH}, "x")
    )


def test_nobodys_settings_are_touched():
    before = dict(mpl.rcParams)
    _pictures()
    assert dict(mpl.rcParams) == before


def test_faces_are_called_synthetic():
    assert "synthetic faces" in _texts(plots.faces_and_events(FRAMES, EVENTS, list("abcd"))).lower()


def test_only_events_have_a_legend_of_events():
    assert plots.events_grid(EVENTS, list("abcd")).legends
    assert not plots.faces_grid(FRAMES, list("abcd")).legends


def test_faces_and_events_must_pair_up():
    with pytest.raises(NeuvaError, match=r"\[4, 3, 4\]"):
        plots.faces_and_events(FRAMES, EVENTS[:3], list("abcd"))
    with pytest.raises(NeuvaError, match="at least 1"):
        plots.events_grid(EVENTS[:0], [])


def test_traces_hold_the_data_also_of_a_shorter_run():
    figure = plots.traces(TIMES, TRUTH, {"float reference": TRUTH, "Loihi 2": TRUTH[:50] * 0.5}, "Clip")
    for k, axes in enumerate(figure.axes):
        truth, reference, chip = axes.get_lines()
        np.testing.assert_array_equal(truth.get_ydata(), TRUTH[:, k])
        np.testing.assert_array_equal(reference.get_ydata(), TRUTH[:, k])
        np.testing.assert_array_equal(chip.get_xydata(), np.stack([TIMES[:50], TRUTH[:50, k] * 0.5], axis=1))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["truth", "float reference", "Loihi 2"]


def test_circumplex_ties_each_estimate_to_its_truth_valence_right_arousal_up():
    figure = plots.circumplex(np.array([[0.5, -0.2]]), np.array([[0.1, 0.3]]), "One")
    links, truth, estimate = figure.axes[0].collections
    np.testing.assert_allclose(links.get_segments()[0], [[0.5, -0.2], [0.1, 0.3]])
    np.testing.assert_allclose(truth.get_offsets(), [[0.5, -0.2]])
    np.testing.assert_allclose(estimate.get_offsets(), [[0.1, 0.3]])
    places = {text.get_text(): text.get_position() for text in figure.axes[0].texts}
    assert places["pleased"][0] > 1
    assert places["aroused"][1] > 1
    assert places["depressed"][0] < 0 > places["depressed"][1]


def test_circumplex_says_that_it_shows_a_choice():
    many = np.tile(TRUTH, (10, 1))
    assert "250 of 1,000 estimates" in _texts(plots.circumplex(many, many, "Many"))
    plots.png(plots.circumplex(TRUTH[:0], TRUTH[:0], "None"))


def test_mean_rate_is_spikes_per_neuron_and_second():
    text = _texts(plots.layer_rates(COUNTS, NEURONS, 5000, "Spikes"))
    assert f"{8 / 512 / 0.005:.3g}" in text
    assert "spikes per step of 5 ms" in text


def test_energy_axis_is_logarithmic_only_over_decades():
    assert plots.energy_bars(ENERGY).axes[-1].get_xscale() == "log"
    narrow = plots.energy_bars({"Loihi 2": {"total": (1e-6, 2e-6, 3e-6)}})
    assert narrow.axes[-1].get_xscale() == "linear"
    assert narrow.axes[-1].get_xlim()[0] == 0
    assert "2 µJ (1 µJ to 3 µJ)" in _texts(narrow)
    plots.png(plots.energy_bars({"Nothing": {"total": (0.0, 0.0, 0.0)}}))


def test_estimate_of_a_recording_shows_at_most_eight_pictures():
    snapshots = [(float(t), EVENTS[0]) for t in np.linspace(0.1, 4, 30)]
    figure = plots.estimate_over_time(TIMES, TRUTH, "Recording", snapshots)
    assert len(figure.axes) == 1 + 8
    assert "0.1 s" in _texts(figure)
    assert "4.0 s" in _texts(figure)
    assert "no estimates" in _texts(plots.estimate_over_time(TIMES[:0], TRUTH[:0], "Short"))


@pytest.mark.parametrize("name", ["faces_and_events", "events_alone", "events_grid", "estimate_over_time"])
def test_a_legend_says_which_colour_is_on(name):
    (legend,) = _pictures()[name].legends
    said = {text.get_text(): patch for text, patch in zip(legend.get_texts(), legend.legend_handles, strict=True)}
    for label, colour in (("ON, brighter", ON), ("OFF, darker", OFF)):
        assert np.allclose(said[label].get_facecolor()[:3], np.array(colour) / 255)


def test_snapshots_of_a_short_recording_have_times_of_their_own():
    times = np.arange(6) * 0.0015
    figure = plots.estimate_over_time(times, TRUTH[:6], "Short", [(t, EVENTS[0]) for t in times])
    assert len({axes.get_title() for axes in figure.axes[1:]}) == 6


def test_both_lines_are_seen_where_they_agree_and_stretches_without_a_face_are_shaded():
    figure = plots.estimate_over_time(TIMES, TRUTH, "Recording", face=TIMES < 2)
    valence, arousal = figure.axes[0].get_lines()
    assert (valence.get_linestyle(), arousal.get_linestyle()) == ("-", "--")
    (shade,) = figure.axes[0].collections
    left, right = shade.get_paths()[0].get_extents().intervalx
    assert left == pytest.approx(2, abs=0.03)
    assert right == pytest.approx(4)
    assert "no face found" in _texts(figure)
    for face in (None, TIMES > 0):
        assert "no face found" not in _texts(plots.estimate_over_time(TIMES, TRUTH, "Recording", face=face))


def test_save_png(tmp_path):
    figure = plots.circumplex(TRUTH, TRUTH, "x")
    plots.save_png(figure, tmp_path / "new" / "x.png")
    assert (tmp_path / "new" / "x.png").read_bytes() == plots.png(figure)


def test_a_confusion_map_has_labels_in_rows_and_their_shares():
    figure = plots.confusion_map(np.array([[3, 1], [0, 0]]), ["fear", "anger"], "Answers", "clips")
    (axes,) = figure.axes
    cells = {text.get_position(): text.get_text() for text in axes.texts}  # (column, row)
    assert cells == {(0, 0): "75", (1, 0): "25"}
    assert [label.get_text() for label in axes.get_yticklabels()] == ["fear (4)", "anger (0)"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["fear", "anger"]


def test_pictures_stand_above_their_moments():
    figure = plots.traces_under_pictures(
        TIMES, TRUTH, {"vit": TRUTH * 0.9}, [FRAMES[:2], EVENTS[:2]], np.array([24, 99]), "Clip"
    )
    pictures = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title() for axes in pictures] == ["1.00 s", "4.00 s", "", ""]
    for axes, given in zip(pictures, [*FRAMES[:2], *EVENTS[:2]], strict=True):
        assert np.array_equal(axes.images[0].get_array(), given)
    for k, axes in enumerate(each for each in figure.axes if not each.images):
        label, estimate, *moments = axes.lines
        assert np.array_equal(label.get_ydata(), TRUTH[:, k])
        assert np.array_equal(estimate.get_ydata(), TRUTH[:, k] * 0.9)
        assert [line.get_xdata()[0] for line in moments] == [1.0, 4.0]
