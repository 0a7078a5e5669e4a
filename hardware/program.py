"""What a chip runs, in integers: the program of a network, saved as HDF5.

Pure numpy and h5py: a program can be read on a lab machine that has no torch.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np

from hardware.camera import Camera
from hardware.region import Region
from hardware.structure import check_structure
from neuva import NeuvaError, atomic_path

SCHEMA = 1
CHIPS = {
    "loihi1": "Loihi 1",
    "loihi2": "Loihi 2",
    "speck2e": "Speck 2e",
    "speck2f": "Speck 2f",
    "dynapcnn": "DynapCNN",
}
"""Targets, and how people write them."""
AFFECT = ("valence", "arousal")
"""Outputs of the networks trained here."""
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Connection:
    """Synapses from the layer before (or the input) onto a layer.

    kind "conv": weight [C_out, C_in / groups, K_y, K_x] in torch's orientation (cross-correlation);
    stride, padding and dilation are (y, x).
    kind "dense": weight [N_out, N_in], inputs flattened in (C, H, W) order; geometry unused.
    weight: integers. On Loihi the mantissa, the synapse adds `weight << weight_exp`;
    on Speck the 8-bit word.
    """

    kind: Literal["conv", "dense"]
    weight: np.ndarray
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    weight_exp: int = 0


@dataclass(frozen=True)
class LoihiNeuron:
    """CUBA-LIF of one layer in Loihi's integers (facts: Lava's `fixed_pt` LIF).

    u[t] = trunc(u[t-1] (4096 - (du + 1)) / 4096) + (a_in << 6), wrapped to 24 bits
    v[t] = trunc(v[t-1] (4096 - dv) / 4096) + u[t] + bias, clipped to +-(2^23 - 1)
    spike if v[t] > vth << 6, then v = 0.

    du, dv: 0..4095; vth: mantissa 0..131071; bias: int32 [C_out], already shifted
    (bias_mantissa << bias_exp), mantissa within 13 signed bits.
    """

    du: int
    dv: int
    vth: int
    bias: np.ndarray
    bias_exp: int = 0


@dataclass(frozen=True)
class SpeckNeuron:
    """Integrate-and-fire of one layer in Speck's integers: 16-bit state, reset by subtraction or to zero.

    v += weight; spike if v >= threshold; then v -= threshold ("subtract") or v = 0 ("zero");
    v is never below `low`. bias: int [C_out], added once per tick of the leak clock.
    """

    threshold: int
    low: int
    reset: Literal["subtract", "zero"]
    bias: np.ndarray


@dataclass(frozen=True)
class Layer:
    """One population with the synapses onto it.

    in_shape, out_shape: (C, H, W) of what it receives and of its neurons.
    pool: sum-pooling of its spikes before they are sent on (Speck: 1, 2 or 4): the next layer
    sees shape (C, H // pool, W // pool).
    sources: layers whose spikes it receives, added up ("input": the program's input); empty: the layer before alone.
    """

    name: str
    in_shape: Shape
    out_shape: Shape
    connection: Connection
    neuron: LoihiNeuron | SpeckNeuron
    pool: int = 1
    sources: tuple[str, ...] = ()

    @property
    def sent_shape(self) -> Shape:
        """(C, H, W) of the spikes the next layer receives."""
        c, h, w = self.out_shape
        return c, h // self.pool, w // self.pool

    @property
    def neurons(self) -> int:
        """Number of neurons."""
        return int(np.prod(self.out_shape))


@dataclass(frozen=True)
class InputEncoding:
    """How events become the input spikes of one step of `dt`.

    shape: (C, H, W), C = (OFF, ON). "binary": at most one spike a pixel, polarity and step;
    "counts": as many as there were events (on Speck each event is sent on its own).
    """

    shape: Shape
    kind: Literal["binary", "counts"]


@dataclass(frozen=True)
class Readout:
    """Host-side map from the last layer's spikes to K outputs: valence and arousal, or what the network was made for.

    r[t] = decay r[t-1] + s[t];  y[t] = weight r[t] + offset, clipped to [-1, 1] where it is valence and arousal

    weight: float32 [K, N]; offset: float32 [K]; decay: in [0, 1), per step of dt;
    every: an estimate is given every `every` steps (25 Hz: every * dt = 40 ms).
    names: of the K outputs.
    """

    weight: np.ndarray
    offset: np.ndarray
    decay: float
    every: int = 1
    names: tuple[str, ...] = AFFECT

    @property
    def limit(self) -> float:
        """What an output is clipped to, either way."""
        return 1.0 if self.names == AFFECT else float("inf")


@dataclass(frozen=True)
class CoreSlice:
    """A part of a layer on one core: output channels c0 <= c < c1 and rows y0 <= y < y1."""

    core: int
    layer: str
    c0: int
    c1: int
    y0: int
    y1: int


@dataclass(frozen=True)
class ChipProgram:
    """Everything a chip needs: layers, placement, input encoding, read-out, dt, provenance.

    target: chip name, a key of `CHIPS`.
    dt_us: step of the clocked network in microseconds.
    readout: None where the last layer's spikes are the result.
    reset_every: steps after which the state of all neurons is set to zero, counted in each layer from the step that
        answers the input's first; 0: never.
    camera: what becomes of a sensor's events before they are the input; None: events come as the input takes them.
    placement: which slice of which layer is on which core (empty before placing).
    region: where the label lies around an estimate, None before it is calibrated on the emulator's estimates.
    provenance: hashes, versions, how it was made (JSON-serialisable).

    Raises:
        NeuvaError: if a part is none of those a program has, or the parts do not fit together.
    """

    target: str
    dt_us: int
    input: InputEncoding
    layers: tuple[Layer, ...]
    readout: Readout | None
    placement: tuple[CoreSlice, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)
    region: Region | None = None
    reset_every: int = 0
    camera: Camera | None = None

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("target", self.target, tuple(CHIPS)),
            ("input encoding", self.input.kind, ("binary", "counts")),
            *((f"layer {layer.name}", layer.connection.kind, ("conv", "dense")) for layer in self.layers),
        ):
            if value not in allowed:
                raise NeuvaError(f'{name} "{value}" is unknown: known are {", ".join(allowed)}')
        if self.dt_us < 1 or self.reset_every < 0 or not self.layers:
            raise NeuvaError(
                f"a program needs layers and a step; it has {len(self.layers)} layers, dt {self.dt_us} us, "
                f"a reset every {self.reset_every} steps"
            )
        if self.camera is not None and self.camera.shape != self.input.shape:
            raise NeuvaError(f"the camera sends {self.camera.shape} but the program takes {self.input.shape}")
        if not isinstance(self.provenance, dict):
            raise NeuvaError(f"provenance is a {type(self.provenance).__name__}, allowed names and values")
        check_structure(self)

    @property
    def sources(self) -> list[tuple[str, ...]]:
        """Names of what each layer hears: layers before it, or "input"."""
        before = ["input", *(layer.name for layer in self.layers)]
        return [layer.sources or (name,) for layer, name in zip(self.layers, before, strict=False)]

    @property
    def every(self) -> int:
        """Steps between results: an estimate each; without a read-out every step has one."""
        return 1 if self.readout is None else self.readout.every

    @property
    def family(self) -> Literal["loihi", "speck"]:
        """Which family of chip semantics the program has."""
        return "loihi" if self.target.startswith("loihi") else "speck"

    def sha256(self) -> str:
        """Hash of all that is computed: camera, input, layers, constants, read-out, dt; not of placement, say."""
        digest = hashlib.sha256(repr((self.target, self.dt_us, self.input, self.reset_every)).encode())
        if self.camera is not None:
            digest.update(repr(self.camera).encode())
        for layer in self.layers:
            for part in (layer, layer.connection, layer.neuron):
                _update(digest, vars(part))
        if self.readout is not None:
            _update(digest, vars(self.readout))
        return digest.hexdigest()

    def save(self, path: str | Path) -> None:
        """Write as HDF5 under a temporary name, then rename."""
        with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
            file.attrs["format"] = "neuva-program"
            file.attrs["schema"] = SCHEMA
            file.attrs["target"] = self.target
            file.attrs["dt_us"] = self.dt_us
            file.attrs["input"] = json.dumps({"shape": self.input.shape, "kind": self.input.kind})
            file.attrs["provenance"] = json.dumps(self.provenance)
            file.attrs["placement"] = json.dumps([vars(part) for part in self.placement])
            file.attrs["region"] = json.dumps(self.region.to_dict() if self.region else None)
            for index, layer in enumerate(self.layers):
                _save_layer(file.create_group(f"layers/{index:02d}"), layer)
            file.attrs["reset_every"] = self.reset_every
            file.attrs["camera"] = json.dumps(vars(self.camera) if self.camera else None)
            if self.readout is not None:
                _save_readout(file.create_group("readout"), self.readout)

    @classmethod
    def load(cls, path: str | Path) -> ChipProgram:
        """Read a program.

        Raises:
            NeuvaError: if the file is no program, is damaged, or has another schema version.
        """
        path = Path(path)
        if not path.exists():
            raise NeuvaError(f"{path}: no such file: make a program with `neuva convert`")
        try:
            with h5py.File(path, "r") as file:
                if file.attrs.get("format") != "neuva-program":
                    raise NeuvaError(f"{path}: not a chip program: make one with `neuva convert`")
                if file.attrs["schema"] != SCHEMA:
                    raise NeuvaError(
                        f"{path}: program schema {file.attrs['schema']}, this neuva reads {SCHEMA}: convert it again"
                    )
                return cls._read(file)
        except NeuvaError as error:
            raise (error if str(error).startswith(str(path)) else NeuvaError(f"{path}: {error}")) from error
        except Exception as error:  # a damaged file makes h5py raise almost anything
            raise NeuvaError(f"{path}: not a readable chip program ({error}): make one with `neuva convert`") from error

    @classmethod
    def _read(cls, file: h5py.File) -> ChipProgram:
        encoding = json.loads(file.attrs["input"])
        region = json.loads(file.attrs.get("region", "null"))
        camera = json.loads(file.attrs.get("camera", "null"))
        return cls(
            target=str(file.attrs["target"]),
            dt_us=int(file.attrs["dt_us"]),
            input=InputEncoding(tuple(encoding["shape"]), encoding["kind"]),
            layers=tuple(_load_layer(file["layers"][key]) for key in sorted(file["layers"])),
            readout=_load_readout(file["readout"]) if "readout" in file else None,
            placement=tuple(CoreSlice(**part) for part in json.loads(file.attrs["placement"])),
            provenance=json.loads(file.attrs["provenance"]),
            region=Region.from_dict(region) if region else None,
            reset_every=int(file.attrs.get("reset_every", 0)),
            camera=Camera.from_dict(camera) if camera else None,
        )


def _update(digest: Any, values: dict[str, Any]) -> None:
    for key, value in sorted(values.items()):
        if isinstance(value, np.ndarray):
            digest.update(f"{key}{value.shape}{value.dtype}".encode() + np.ascontiguousarray(value).tobytes())
        elif not isinstance(value, Connection | LoihiNeuron | SpeckNeuron):
            digest.update(f"{key}={value};".encode())


def _save_layer(group: h5py.Group, layer: Layer) -> None:
    group.attrs["name"] = layer.name
    group.attrs["in_shape"], group.attrs["out_shape"] = layer.in_shape, layer.out_shape
    group.attrs["pool"], group.attrs["sources"] = layer.pool, json.dumps(layer.sources)
    link = group.create_group("connection")
    link.create_dataset("weight", data=layer.connection.weight, compression="gzip")
    for key in ("kind", "stride", "padding", "dilation", "groups", "weight_exp"):
        link.attrs[key] = getattr(layer.connection, key)
    neuron = group.create_group("neuron")
    neuron.attrs["kind"] = "loihi" if isinstance(layer.neuron, LoihiNeuron) else "speck"
    for key, value in vars(layer.neuron).items():
        if key == "bias":
            neuron["bias"] = value
        else:
            neuron.attrs[key] = value


def _load_layer(group: h5py.Group) -> Layer:
    link, neuron = group["connection"].attrs, group["neuron"]
    constants: dict[str, Any] = {
        key: value if isinstance(value, str) else int(value) for key, value in neuron.attrs.items() if key != "kind"
    }
    constants["bias"] = neuron["bias"][()]
    return Layer(
        name=str(group.attrs["name"]),
        in_shape=_ints(group.attrs["in_shape"]),
        out_shape=_ints(group.attrs["out_shape"]),
        connection=Connection(
            kind=link["kind"],
            weight=group["connection"]["weight"][()],
            stride=_ints(link["stride"]),
            padding=_ints(link["padding"]),
            dilation=_ints(link["dilation"]),
            groups=int(link["groups"]),
            weight_exp=int(link["weight_exp"]),
        ),
        neuron=LoihiNeuron(**constants) if neuron.attrs["kind"] == "loihi" else SpeckNeuron(**constants),
        pool=int(group.attrs["pool"]),
        sources=tuple(json.loads(group.attrs.get("sources", "[]"))),
    )


def _save_readout(group: h5py.Group, readout: Readout) -> None:
    group["weight"], group["offset"] = readout.weight, readout.offset
    group.attrs["decay"], group.attrs["every"] = readout.decay, readout.every
    group.attrs["names"] = json.dumps(readout.names)


def _load_readout(group: h5py.Group) -> Readout:
    return Readout(
        group["weight"][()],
        group["offset"][()],
        float(group.attrs["decay"]),
        int(group.attrs["every"]),
        tuple(json.loads(group.attrs.get("names", json.dumps(AFFECT)))),
    )


def _ints(values: Any) -> Any:
    return tuple(int(value) for value in values)
