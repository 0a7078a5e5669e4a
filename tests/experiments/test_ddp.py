"""Two processes that train together do what one does with the same batch; a killed run goes on to the same weights."""

from __future__ import annotations

import csv
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from experiments.config import load_config
from experiments.train import train
from snn.training import load_network

ROOT = Path(__file__).parents[2]
LAYER = {"neuron": {"alpha": 0.3, "beta": 0.8}}


def write_config(store: Path, path: Path, steps: int, workers: int = 0) -> Path:
    values = {
        "data": {"store": str(store), "window_steps": 40, "batch": 4, "workers": workers, "augment": {"shift": 0.05}},
        "network": {
            "target": "loihi",
            "input_shape": [2, 16, 16],
            "readout_tau_us": 100_000,
            "layers": [
                {"kind": "conv", "channels": 6, "kernel": [3, 3], "stride": [2, 2], "padding": [1, 1], **LAYER},
                {"kind": "dense", "channels": 16, **LAYER},
            ],
        },
        "recipe": {"steps": steps, "learning_rate": 0.01, "warm_up": 4, "rate_limit": 0.02},
    }
    path.write_text(yaml.safe_dump(values))
    return path


NEUVA = str(Path(sys.executable).with_name("neuva"))


def command(*arguments: str) -> list[str]:
    return [sys.executable, *arguments]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **more}


def curve(folder: Path) -> np.ndarray:
    """Logged losses and validation CCCs, in order."""
    with (folder / "metrics.csv").open(newline="") as file:
        return np.array([float(row[k]) for row in csv.DictReader(file) for k in ("loss", "val_ccc") if row.get(k)])


def test_two_processes_learn_as_one(spot_store: Path, tmp_path: Path) -> None:
    config = write_config(spot_store, tmp_path / "spots.yaml", steps=12)
    run = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", NEUVA)
    two = subprocess.run(
        command(*run, "train", str(config), "--out", str(tmp_path / "two")),
        env=environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert two.returncode == 0, two.stderr[-3000:]
    assert two.stdout.count("validation CCC") == 1  # one process speaks
    train(load_config(config), tmp_path / "one")
    one = curve(tmp_path / "one")
    assert len(one) > 6
    assert np.allclose(curve(tmp_path / "two"), one, atol=1e-4)
    weights = load_network(tmp_path / "one" / "last.ckpt").state_dict()
    for name, value in load_network(tmp_path / "two" / "last.ckpt").state_dict().items():
        assert torch.allclose(value, weights[name], atol=1e-4), name


def test_machines_that_would_begin_at_different_steps_say_so(spot_store: Path, tmp_path: Path) -> None:
    config = write_config(spot_store, tmp_path / "spots.yaml", steps=8)
    train(load_config(config), tmp_path / "0")  # the second machine has nothing of it
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    names = {"LOCAL_RANK": "0", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "1", "TORCHELASTIC_RUN_ID": "t"}
    machines = [
        subprocess.Popen(
            command(NEUVA, "train", "spots.yaml", "--resume", "--out", rank),
            env=environment(**names, RANK=rank, GROUP_RANK=rank, MASTER_ADDR="127.0.0.1", MASTER_PORT=port),
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in ("0", "1")
    ]
    for machine in machines:
        assert (
            "go on after step 8, others after 0: put the first machine's last.ckpt"
            in machine.communicate(timeout=120)[1]
        )
        assert machine.returncode == 2


def test_a_batch_that_cannot_be_shared_is_one_line(spot_store: Path, tmp_path: Path) -> None:
    values = yaml.safe_load(write_config(spot_store, tmp_path / "spots.yaml", steps=12).read_text())
    values["data"]["batch"] = 3
    (tmp_path / "spots.yaml").write_text(yaml.safe_dump(values))
    names = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "t"}
    done = subprocess.run(
        command(NEUVA, "train", "spots.yaml"),
        env=environment(**names),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    assert "data.batch = 3 on 2 processes" in done.stderr


@pytest.mark.parametrize("workers", [0, 2])
def test_a_killed_run_goes_on_to_the_same_weights(workers: int, spot_store: Path, tmp_path: Path) -> None:
    config = write_config(spot_store, tmp_path / "spots.yaml", 32, workers)
    out = tmp_path / "killed"
    running = subprocess.Popen(
        command(NEUVA, "train", str(config), "--out", str(out)),
        env=environment(),
        cwd=tmp_path,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    last = out / "last.ckpt"
    while running.poll() is None and not last.exists():
        time.sleep(0.002)
    os.killpg(running.pid, signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    done = int(torch.load(last, weights_only=True)["global_step"])
    assert 0 < done < 32
    whole = train(load_config(config), tmp_path / "whole")
    steps: list[int] = []
    resumed = train(load_config(config), out, resume=True, progress=lambda _, step, __: steps.append(step))
    assert min(step for step in steps[8:]) > done
    for name, value in load_network(whole.last).state_dict().items():
        assert torch.equal(load_network(resumed.last).state_dict()[name], value), name
    assert np.array_equal(curve(out), curve(tmp_path / "whole"))
    assert list(out.glob("events.out.tfevents.*"))
