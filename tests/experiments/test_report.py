"""The report renders what it is given and says what is missing. All figures here are made up, for tests only."""

from __future__ import annotations

import copy
import io
from html.parser import HTMLParser

import pytest
from rich.console import Console

from experiments.report import caption, overall, summary_table, write_report
from experiments.units import interval, plain, si
from neuva import NeuvaError

PNG = b"\x89PNG\r\n\x1a\n made-up picture"
VOID = {"meta", "img", "br", "link", "hr", "input"}


def _target(name: str, vendor: str) -> dict:
    def metrics(ccc: float, clips: int) -> dict:
        return {
            "ccc": ccc, "ccc_valence": ccc + 0.04, "ccc_arousal": ccc - 0.04, "pcc_valence": 0.74, "pcc_arousal": 0.66,
            "rmse_valence": 0.231, "rmse_arousal": 0.258, "estimates": 150 * clips, "clips": clips,
        }  # fmt: skip

    def pair(a: str, b: str, mismatches: int, must: bool, clips: int) -> dict:
        layers = [
            {"layer": layer, "spikes_from": spikes, "spikes_to": spikes + mismatches // 3, "mismatches": mismatches,
             "first_difference": 17 if mismatches else None, "rate_correlation": 0.9987 if mismatches else 1.0}
            for layer, spikes in (("conv1", 812_345), ("conv2", 201_234), ("dense1", 15_210))
        ]  # fmt: skip
        output = {"largest_difference": 0.0412 if mismatches else 0.0, "mean_difference": 0.0031 if mismatches else 0.0}
        return {
            "from": a,
            "to": b,
            "clips": clips,
            "layers": layers,
            "output": output,
            "must_be_equal": must,
            "ok": True,
        }

    return {
        "network": {"parameters": 41_234, "layers": [
            {"name": "conv1", "kind": "conv 5x5, stride 2", "neurons": 8192, "weights": 800},
            {"name": "conv2", "kind": "conv 3x3, stride 2", "neurons": 2048, "weights": 4608},
            {"name": "dense1", "kind": "dense", "neurons": 64, "weights": 35_826},
        ]},
        "training": {"seconds": 201.4, "steps": 800},
        "metrics": {"float reference": metrics(0.612, 16), "fake-quantised": metrics(0.601, 16),
                    "integer emulator": metrics(0.601, 16), vendor: metrics(0.587, 4)},
        "fidelity": [pair("float reference", "fake-quantised", 3210, False, 16),
                     pair("fake-quantised", "integer emulator", 0, True, 16),
                     pair("integer emulator", vendor, 0, True, 4)],
        "check": {"cores_used": 7, "cores": 120, "most_loaded": 0.62, "findings": [
            {"rule": "weights_fit", "severity": "warning", "where": "conv2 on core 3", "measured": "118 KiB",
             "limit": "128 KiB", "cure": "split the layer over two cores"}]},
        "energy": {
            "per_inference": {"synaptic operations": [1e-6, 3.2e-6, 9.1e-6], "neuron updates": [3e-7, 9e-7, 3e-6],
                              "static": [1e-5, 4e-5, 2e-4], "total": [1.13e-5, 4.41e-5, 2.121e-4]},
            "per_second": {"synaptic operations": [2.5e-5, 8e-5, 2.28e-4], "total": [2.8e-4, 1.1e-3, 5.3e-3]},
            "baseline": {"same layers, 8-bit, 45 nm": [1e-5, 2e-5, 4e-5]},
            "sources": ["Made-up source 1 (test data)", "Made-up source 2 (test data) <b>not bold</b>"],
        },
        "latency_steps": 4,
        "verdict": {"pass": True, "reasons": []},
    }  # fmt: skip


RESULTS: dict = {
    "title": "Made-up test data: not a result",
    "subtitle": "Every figure on this page was invented for a test of the page",
    "made": {"command": "neuva demo --size smallest", "seconds": 512.3, "seed": 0, "size": "smallest",
             "versions": {"neuva": "0.1.0", "torch": "2.13.0"}},
    "data": {"name": "faces, made up", "synthetic": True, "clips": {"train": 60, "validation": 12, "test": 16},
             "identities": {"train": 30, "validation": 6, "test": 8}},
    "summary": [
        {"label": "CCC, float network for Loihi 2", "value": 0.612, "target": "at least 0.5", "ok": True},
        {"label": "CCC, Loihi 2", "value": 0.601, "target": "at most 0.05 lower", "ok": True},
        {"label": "Spikes that differ from Lava, 4 clips", "value": 0, "target": 0, "ok": True},
        {"label": "Energy of one estimate on Loihi 2", "value": "44.1 µJ (11.3 µJ to 212 µJ)"},
    ],
    "targets": {"loihi2": _target("loihi2", "lava"), "speck2f": _target("speck2f", "sinabs")},
}  # fmt: skip
PICTURES = dict.fromkeys(("faces", "energy", "traces_loihi2", "circumplex_loihi2", "rates_loihi2"), PNG)


class Page(HTMLParser):
    """Checks that tags nest and collects what a reader and a browser would see."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def _page(tmp_path, results, pictures=PICTURES) -> tuple[Page, str]:
    path = tmp_path / "report.html"
    write_report(path, results, pictures)
    html = path.read_text(encoding="utf-8")
    return Page(html), html


def test_page_is_well_formed_and_self_contained(tmp_path):
    page, html = _page(tmp_path, RESULTS)
    tags = [tag for tag, _ in page.tags]
    assert "script" not in tags
    assert "link" not in tags
    assert "http://" not in html
    assert "https://" not in html
    assert "url(" not in html
    for tag, attributes in page.tags:
        if "src" in attributes:
            assert attributes["src"].startswith("data:image/png;base64,"), tag
        if "href" in attributes:
            assert attributes["href"].startswith("#")
    anchors = {a["id"] for _, a in page.tags if "id" in a}
    assert {a["href"][1:] for t, a in page.tags if t == "a"} <= anchors


def test_every_picture_is_there_with_words_for_those_who_cannot_see_it(tmp_path):
    page, _ = _page(tmp_path, RESULTS)
    alts = [attributes["alt"] for tag, attributes in page.tags if tag == "img"]
    assert len(alts) == len(PICTURES)
    assert all(len(alt) > 20 for alt in alts)
    assert caption("traces_loihi2").startswith("Loihi 2.")
    assert caption("something_else") == "something else"


@pytest.mark.parametrize(
    "words",
    ["Made-up test data", "0.612", "at most 0.05 lower", "812,345", "3,210", "0.9987", "17", "62 %", "weights_fit",
     "split the layer over two cores", "3.2 µJ (1 µJ to 9.1 µJ)", "1.1 mW (280 µW to 5.3 mW)", "41,234",
     "neuva demo --size smallest", "torch 2.13.0", "synthetic", "not a result on any published data set",
     "Made-up source 2 (test data) <b>not bold</b>", "Speck 2f", "Loihi 2", "2,400"],
)  # fmt: skip
def test_every_kind_of_figure_is_on_the_page(tmp_path, words):
    page, _ = _page(tmp_path, RESULTS)
    assert words in page.text
    assert "not run" not in page.text


def test_nothing_at_all_says_so_and_how_to_run_it(tmp_path):
    page, _ = _page(tmp_path, {}, {})
    for part in ("Summary", "Data", "Conversion to a chip", "Energy", "Versions and seed"):
        assert f"{part}: not run" in page.text
    assert "No chip has been judged yet" in page.text
    assert "✓" not in page.text


@pytest.mark.parametrize(
    ("part", "says"),
    [("metrics", "Metrics: not run"), ("fidelity", "Fidelity: not run"), ("check", "Design rules: not run"),
     ("energy", "Speck 2f energy: not run"), ("network", "Training: not run"),
     ("verdict", "Speck 2f verdict: not run")],
)  # fmt: skip
def test_a_missing_part_of_a_chip_is_named(tmp_path, part, says):
    results = copy.deepcopy(RESULTS)
    del results["targets"]["speck2f"][part]
    page, _ = _page(tmp_path, results)
    assert page.text.count("not run") == 1
    assert says in page.text
    assert "neuva " in page.text.split(says)[1][:60]


def test_a_missing_figure_is_a_dash(tmp_path):
    results = copy.deepcopy(RESULTS)
    results["targets"]["loihi2"]["metrics"]["float reference"]["ccc"] = None
    del results["targets"]["loihi2"]["metrics"]["float reference"]["pcc_valence"]
    page, _ = _page(tmp_path, results)
    assert "float reference — 0.652 0.572 — 0.660" in page.text


def test_check_as_the_design_rules_give_it(tmp_path):
    results = copy.deepcopy(RESULTS)
    core = {"core": 3, "layers": ["conv2"], "use": {"neurons": [2048, 8192]}, "load": 0.25}
    results["targets"]["loihi2"]["check"].update(cores=[core], findings=[])
    page, _ = _page(tmp_path, results)
    assert "neurons 2,048 of 8,192" in page.text
    assert "No design rule is broken." in page.text


def test_failures_outweigh_gaps_and_gaps_outweigh_passes():
    assert overall(RESULTS).state == "pass"
    results = copy.deepcopy(RESULTS)
    del results["targets"]["speck2f"]["verdict"]
    assert overall(results).state == "open"
    assert "Speck 2f" in overall(results).sentence
    results["summary"][0]["ok"] = False
    assert overall(results).state == "fail"
    assert "CCC, float network" in overall(results).sentence
    results["summary"][0]["ok"] = True
    results["targets"]["loihi2"]["verdict"] = {"pass": False, "reasons": ["made up"]}
    assert overall(results).state == "fail"
    assert overall({}).state == "open"


def test_a_failed_chip_shows_its_reasons(tmp_path):
    results = copy.deepcopy(RESULTS)
    results["targets"]["loihi2"]["verdict"] = {"pass": False, "reasons": ["mean CCC falls by 0.2 (made up)"]}
    results["targets"]["loihi2"]["fidelity"][1]["ok"] = False
    page, _ = _page(tmp_path, results)
    assert "✕ Not passed" in page.text
    assert "mean CCC falls by 0.2 (made up)" in page.text
    assert "✕ no" in page.text


def test_an_unwritable_place_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NeuvaError, match="choose another place"):
        write_report(tmp_path / "file" / "report.html", RESULTS, {})


def test_same_results_same_bytes(tmp_path):
    assert _page(tmp_path, RESULTS)[1] == _page(tmp_path, RESULTS)[1]


def _terminal(results) -> str:
    console = Console(file=io.StringIO(), width=120)
    console.print(summary_table(results))
    return console.file.getvalue()


def test_summary_in_the_terminal():
    text = _terminal(RESULTS)
    assert "0.612" in text
    assert "44.1 µJ (11.3 µJ to 212 µJ)" in text
    assert text.count("yes") == 3
    assert "neuva demo" in _terminal({})


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 J"), (3.2e-6, "3.2 µJ"), (9.999e-4, "1 mJ"), (1, "1 J"), (1e-18, "0.001 fJ"),
     (-2.5e-9, "-2.5 nJ"), (4.6e-12, "4.6 pJ")],
)  # fmt: skip
def test_si(value, text):
    assert si(value, "J") == text


def test_plain_and_interval():
    assert [plain(v) for v in (None, "", float("nan"), True, 1234, "x")] == ["—", "—", "—", "yes", "1,234", "x"]
    assert [plain(v) for v in (0.5, 0.0, 1e-9)] == ["0.500", "0", "0.000"]  # an exact zero is told from a small number
    assert interval((1e-6, 1e-6, 1e-6), "J") == "1 µJ"
