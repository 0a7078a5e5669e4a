"""The ladder: every size of network for every target beside the yardstick, as one table; it trains nothing."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from datasets.store import EventStore
from experiments import pipeline
from experiments.clips import Cut
from experiments.evaluation import evaluate
from hardware import devices
from hardware.program import ChipProgram
from neuva import NeuvaError, atomic_path, make_folder
from snn.building import require_spiking
from snn.networks import ValenceArousalNet
from snn.training import load_network

YARDSTICK = "faces-yardstick"
RUNGS = {
    **{f"faces-{target}-{size}": target for target in ("loihi2", "speck2f") for size in ("tiny", "small", "base")},
    YARDSTICK: None,
}
"""Name of each configuration in experiments/configs, and the chip it is for."""

SYNOPS_CLIPS = 12
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Row:
    """One trained network on the split; None where a figure does not exist.

    parameters: learnt numbers of the float network. ccc: mean CCC of valence and arousal; chip_ccc: of the integer
    network on the emulator; share: ccc by the yardstick's. synops: synaptic operations
    an estimate, on the emulator.
    coverage, chip_coverage: share of the labels that the 90 % region holds; area, chip_area: its area,
    of the plane's 4.
    """

    name: str
    target: str | None
    parameters: int
    ccc: float | None
    chip_ccc: float | None
    share: float | None
    synops: float | None
    coverage: float | None
    area: float | None
    chip_coverage: float | None
    chip_area: float | None


@dataclass(frozen=True)
class Ladder:
    """The rows of what is trained, and how to train what is not."""

    rows: tuple[Row, ...]
    missing: tuple[str, ...]

    def save(self, folder: Path) -> tuple[Path, Path]:
        """Write ladder.csv and ladder.md."""
        csv_path, markdown_path = folder / "ladder.csv", folder / "ladder.md"
        with atomic_path(csv_path) as temporary:
            temporary.write_text(_csv(self.rows))
        with atomic_path(markdown_path) as temporary:
            temporary.write_text(_markdown(self))
        return csv_path, markdown_path


def climb(store: Path, runs: Path, out: Path, split: str = "test", progress: Progress = lambda *_: None) -> Ladder:
    """Measure what `neuva train` left in the folders of `runs`; each chip's program goes into `out`.

    Raises:
        NeuvaError: if the store or the split is missing, or the yardstick spikes or another network does not.
    """
    EventStore(store, split)
    make_folder(out)
    trained = {name: target for name, target in RUNGS.items() if _finished(runs / name)}
    rows = [_row(name, target, store, runs, out, split, progress) for name, target in trained.items()]
    yardstick = next((row.ccc for row in rows if row.name == YARDSTICK), None)
    return Ladder(
        tuple(replace(row, share=share_of(row.ccc, yardstick)) for row in rows),
        tuple(
            f"neuva train experiments/configs/{name}.yaml --out {runs / name}" for name in RUNGS if name not in trained
        ),
    )


def share_of(ccc: float | None, yardstick: float | None) -> float | None:
    """A CCC by the yardstick's; None where one is missing or the yardstick's is 0."""
    return None if ccc is None or not yardstick else ccc / yardstick


def _finished(folder: Path) -> bool:
    return all((folder / name).exists() for name in ("best.ckpt", "trained.json"))


def _row(name: str, target: str | None, store: Path, runs: Path, out: Path, split: str, progress: Progress) -> Row:
    net = load_network(runs / name / "best.ckpt")
    if target is None and isinstance(net, ValenceArousalNet):
        raise NeuvaError(f"{runs / name}: holds a spiking network, the yardstick is none: train that again")
    found = evaluate(net, store, split, lambda done, all_: progress(f"{name}: float", done, all_))
    row = Row(
        name=name,
        target=target,
        parameters=sum(parameter.numel() for parameter in net.parameters()),
        ccc=found.metrics.ccc,
        chip_ccc=None,
        share=None,
        synops=None,
        coverage=found.coverage,
        area=None if found.region is None else found.region.area,
        chip_coverage=None,
        chip_area=None,
    )
    if target is None:
        return row
    checked = pipeline.convert(
        require_spiking(net), target, store, lambda done, all_: progress(f"{name}: region", done, all_)
    )
    if not checked.fits:
        raise NeuvaError(f"{name}: does not fit {target}: {'; '.join(map(str, checked.findings))}")
    program = checked.program
    program.save(out / f"{name}.h5")
    on_chip = evaluate(program, store, split, lambda done, all_: progress(f"{name}: {target}", done, all_))
    return replace(
        row,
        chip_ccc=on_chip.metrics.ccc,
        synops=_synops(program, store, split),
        chip_coverage=on_chip.coverage,
        chip_area=None if on_chip.region is None else on_chip.region.area,
    )


def _synops(program: ChipProgram, store: Path, split: str) -> float:
    """Synaptic operations an estimate, over clips spread over the split."""
    clips = pipeline.spread_clips(Cut.of(program), store, split, SYNOPS_CLIPS)
    traces = devices.run_many(program, [clip.x for clip in clips], "emulator")
    operations = sum(core.synops for trace in traces for core in trace.counts)
    return operations / sum(len(trace.times) for trace in traces)


def _csv(rows: tuple[Row, ...]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Row)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return text.getvalue()


NOTE = (
    "The yardstick sees at most one event a pixel and step, and has as many parameters as faces-loihi2-base. Networks "
    "for Speck see counts of events; the largest, faces-speck2f-base, has a quarter of the yardstick's parameters. "
    "Steps of training: 2,400 (Loihi's base, yardstick), 3,400 (Speck's base), 1,600 (small, tiny). "
    "On chip: on the emulator, in steps."
)
"""What the rows do not have in common."""

HEADINGS = (
    "network",
    "parameters",
    "CCC",
    "on chip",
    "of yardstick",
    "synops",
    "90 % holds",
    "area",
    "on chip",
    "area",
)


def cells(row: Row) -> tuple[str, ...]:
    """A row's figures as text, in the order of `HEADINGS`; synops: synaptic operations an estimate."""
    return (
        row.name,
        f"{row.parameters:,}",
        _text(row.ccc, ".3f"),
        _text(row.chip_ccc, ".3f"),
        _text(row.share, ".1%"),
        _text(row.synops, ",.0f"),
        _text(row.coverage, ".1%"),
        _text(row.area, ".2f"),
        _text(row.chip_coverage, ".1%"),
        _text(row.chip_area, ".2f"),
    )


def _markdown(ladder: Ladder) -> str:
    lines = [HEADINGS, ("---",) + ("---:",) * (len(HEADINGS) - 1), *map(cells, ladder.rows)]
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    missing = "".join(f"- `{command}`\n" for command in ladder.missing)
    return f"{table}\n{NOTE}\n" + (f"\nNot trained yet:\n\n{missing}" if missing else "")


def _text(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
