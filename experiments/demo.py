"""The main job, start to end, on the embedded faces: each stage is done once and kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from conversion import fidelity
from conversion.nir_export import save_nir
from datasets.making import make_store
from datasets.synthetic import faces
from experiments import pipeline
from experiments.clips import Cut
from experiments.config import TrainConfig, load_config
from experiments.demo_report import pictures, report_results
from experiments.evaluation import evaluate
from experiments.report import write_report
from experiments.sizes import demo_size
from experiments.stages import Stages
from experiments.train import train
from hardware.check import check
from hardware.program import ChipProgram
from neuva import NeuvaError, atomic_path, make_folder
from snn.training import load_spiking

CONFIGS = Path(__file__).parent / "configs"
TARGETS = ("loihi2", "speck2f")
Bar = Callable[..., AbstractContextManager[Callable[..., None]]]


class Demo:
    """Faces, training, evaluation, conversion, verification, energy and report, for both chips.

    Args:
        size: "default" or "smallest". out: folder of the results. store: where the faces are kept.
        say: prints a line. bar: opens a progress bar by its label and unit.
    """

    def __init__(self, size: str, out: Path, say: Callable[[str], None], bar: Bar) -> None:
        self.name, self.size, self.out, self.say, self.bar = size, demo_size(size), out, say, bar
        self.store = out.parent / f"faces-{size}.h5"
        make_folder(out)
        self.stages = Stages(out)

    def run(self) -> dict[str, Any]:
        """Do what is not done yet; gives the results that the report shows."""
        self._stage("faces", asdict(self.size.faces), [], [self.store], self._faces)
        for target in TARGETS:
            self._target(target)
        figures = {target: self._figures(target) for target in TARGETS}
        nets = {target: load_spiking(self.checkpoint(target)) for target in TARGETS}
        programs = {target: ChipProgram.load(self.program(target)) for target in TARGETS}
        results = report_results(self.name, self.size.faces, self.stages.seconds, nets, programs, figures)
        report, certificate = self.out / "report.html", self.out / "certificate.json"
        self._stage(
            "report",
            results,
            ["faces", *(f"convert {target}" for target in TARGETS)],
            [report, certificate],
            lambda: self._report(results, pictures(self.store, nets, programs, figures), figures),
        )
        return results

    def config(self, target: str) -> TrainConfig:
        """The target's configuration at this size."""
        base = load_config(CONFIGS / f"faces-{target}.yaml")
        data = base.data.model_copy(
            update={"store": self.store, "batch": self.size.batch, "window_steps": self.size.window_steps}
        )
        recipe = type(base.recipe)(**{**asdict(base.recipe), "steps": self.size.steps})
        return base.model_copy(update={"data": data, "recipe": recipe})

    def checkpoint(self, target: str) -> Path:
        """The best checkpoint of the target's training."""
        return self.out / target / "best.ckpt"

    def program(self, target: str) -> Path:
        """The target's chip program."""
        return self.out / f"{target}.h5"

    def figures(self, target: str, what: str) -> Path:
        """Where a stage's figures are kept: "evaluation", "check", "certificate", "energy" or "trained"."""
        return self.out / target / f"{what}.json"

    def _target(self, target: str) -> None:
        config, folder = self.config(target), self.out / target
        best, program = self.checkpoint(target), self.program(target)
        settings = config.model_dump(mode="json")
        self._stage(f"train {target}", settings, ["faces"], [best], lambda: self._train(config, folder))
        self._stage(
            f"evaluate {target}",
            None,
            [f"train {target}"],
            [self.figures(target, "evaluation")],
            lambda: self._evaluate(target),
        )
        self._stage(
            f"convert {target}",
            None,
            [f"train {target}"],
            [program, self.figures(target, "check")],
            lambda: self._convert(target),
        )
        clips = [self.size.clips, self.size.vendor_clips]
        self._stage(
            f"verify {target}",
            clips,
            [f"convert {target}"],
            [self.figures(target, "certificate")],
            lambda: self._verify(target),
        )
        self._stage(
            f"energy {target}",
            self.size.clips,
            [f"convert {target}"],
            [self.figures(target, "energy")],
            lambda: self._energy(target),
        )

    def _stage(self, name: str, settings: Any, after: list[str], outputs: list[Path], work: Callable[[], Any]) -> None:
        fresh, seconds = self.stages.run(name, settings, after, outputs, work)
        self.say(f"{name}: {f'{seconds:.0f} s' if fresh else 'done before'}")

    def _faces(self) -> None:
        with self.bar("rendering faces and their events", "clips") as update:
            make_store(self.store, faces(self.size.faces), progress=update)

    def _train(self, config: TrainConfig, folder: Path) -> None:
        if not self.stages.goes_on:
            (folder / "last.ckpt").unlink(missing_ok=True)  # of other faces, settings or code
        with self.bar("reading clips", "steps") as update:
            train(config, folder, resume=True, progress=update)

    def _evaluate(self, target: str) -> None:
        with self.bar("evaluating on unseen identities", "clips") as update:
            found = evaluate(load_spiking(self.checkpoint(target)), self.store, "test", update)
        self._keep(target, "evaluation", found.to_dict())

    def _convert(self, target: str) -> None:
        net = load_spiking(self.checkpoint(target))
        with self.bar("calibrating", "clips") as update:
            checked = pipeline.convert(net, target, self.store, update)
        checked.program.save(self.program(target))
        save_nir(net, self.out / f"{target}.nir")
        self._keep(target, "check", checked.to_dict())
        if not checked.fits:
            raise NeuvaError(f"{target}: " + "; ".join(map(str, checked.findings)))

    def _verify(self, target: str) -> None:
        net, program = load_spiking(self.checkpoint(target)), ChipProgram.load(self.program(target))
        clips = pipeline.spread_clips(Cut.of(net.spec), self.store, "test", self.size.clips)
        with self.bar("verifying", "clips") as update:
            certificate = fidelity.verify(
                program,
                net,
                clips,
                vendor_clips=self.size.vendor_clips,
                findings=check(program).findings,
                tolerances=fidelity.Tolerances() if self.size.judged else fidelity.Tolerances(ccc_drop=None),
                progress=lambda *step: update(*step),
            )
        self._keep(target, "certificate", certificate.figures)

    def _energy(self, target: str) -> None:
        program = ChipProgram.load(self.program(target))
        with self.bar("counting operations", "clips") as update:
            report, sentence = pipeline.measure_energy(program, self.store, "test", self.size.clips, update)
        self._keep(target, "energy", {**report.to_dict(), "break_even": sentence})

    def _keep(self, target: str, what: str, figures: dict[str, Any]) -> None:
        with atomic_path(self.figures(target, what)) as temporary:
            temporary.write_text(json.dumps(figures, indent=2))

    def _figures(self, target: str) -> dict[str, Any]:
        stages = ("trained", "evaluation", "check", "certificate", "energy")
        return {what: json.loads(self.figures(target, what).read_text()) for what in stages}

    def _report(self, results: dict[str, Any], shown: dict[str, bytes], figures: dict[str, Any]) -> None:
        """The page, and beside it both chips' certificates as one file and the pictures."""
        with atomic_path(self.out / "certificate.json") as temporary:
            temporary.write_text(json.dumps({target: figures[target]["certificate"] for target in TARGETS}, indent=2))
        for name, data in shown.items():
            with atomic_path(self.out / "pictures" / f"{name}.png") as temporary:
                temporary.write_bytes(data)
        write_report(self.out / "report.html", results, shown)
