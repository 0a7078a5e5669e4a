"""What the study of neuromorphic valence and arousal is told: models, pictures, folds, training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from experiments.config import Model
from snn.baselines.r3d import R3dSpec
from snn.baselines.resnet import ResNetSpec
from snn.baselines.vit import VitSpec
from snn.networks import NetworkSpec


class Estimating(Model):
    """What all models have."""

    learning_rate: float = Field(default=3e-4, gt=0, description="the largest, of AdamW")


class VitModel(Estimating):
    """A vision transformer, each frame by itself."""

    kind: Literal["vit"]
    backbone: VitSpec = VitSpec()
    weights: Path | None = Field(
        default=None, description="file of weights of the backbone, .safetensors or of torch.save"
    )


class ResNetFrames(Estimating):
    """A ResNet, each frame by itself."""

    kind: Literal["resnet"]
    backbone: ResNetSpec = ResNetSpec()
    weights: Path | None = Field(default=None, description="file of weights of the backbone")


class ResNetFusion(Estimating):
    """A ResNet's features of several neighbouring frames, fused."""

    kind: Literal["resnet-fusion"]
    backbone: ResNetSpec = ResNetSpec()
    weights: Path | None = Field(default=None, description="file of weights of the backbone")
    frames: int = Field(
        default=3, ge=2, description="frames whose features are fused, the last of them the labelled one"
    )
    hidden: int = Field(default=256, ge=1, description="width of the layer that fuses")


class ResNetLstm(Estimating):
    """A ResNet's features over time through an LSTM."""

    kind: Literal["resnet-lstm"]
    backbone: ResNetSpec = ResNetSpec()
    weights: Path | None = Field(default=None, description="file of weights of the backbone")
    hidden: int = Field(default=256, ge=1, description="width of the memory")


class Inflated(Estimating):
    """A ResNet inflated to clips."""

    kind: Literal["ic3d"]
    backbone: ResNetSpec = ResNetSpec()
    weights: Path | None = Field(
        default=None, description="file of weights of the ResNet on pictures, before it is inflated"
    )


class R3dClips(Estimating):
    """A 3D-ResNet."""

    kind: Literal["r3d"]
    backbone: R3dSpec = R3dSpec()
    weights: Path | None = Field(default=None, description="file of weights of the backbone")


class Spiking(Estimating):
    """A spiking network on steps of events; what it is given follows from its specification."""

    kind: Literal["spiking"]
    network: NetworkSpec
    start_rate: float = Field(default=0.08, gt=0, description="spikes a neuron and step of the untrained network")


Conventional = VitModel | ResNetFrames | ResNetFusion | ResNetLstm | Inflated | R3dClips
AnyModel = Annotated[Conventional | Spiking, Field(discriminator="kind")]


class Pictures(Model):
    """What frames are made of events."""

    side: int = Field(
        default=128, ge=8, description="pixels along a side of the face's square, as it is cut from the sensor"
    )
    shown: int = Field(
        default=224, ge=8, description="pixels to which the pictures are scaled before a network sees them"
    )
    frame_us: int = Field(default=40_000, ge=1, description="time between frames, each labelled at its end")
    bits: int = Field(default=8, ge=1, le=16, description="N of the temporal binary representation: N steps a frame")


class Training(Model):
    """How every model is trained: AdamW, the learning rate down to 0 by half a cosine; the last epoch is tested."""

    epochs: int = Field(default=30, ge=1)
    batch: int = Field(default=8, ge=1, description="windows in an optimiser step")
    window: int = Field(default=16, ge=2, description="frames of a window")
    weight_decay: float = Field(default=1e-2, ge=0)
    mse_share: float = Field(
        default=0.5, ge=0, le=1, description="share of the squared error in the loss, else 1 - CCC"
    )
    clip_norm: float = Field(default=1.0, ge=0, description="largest norm of the gradient; 0: any")
    flip: bool = Field(default=True, description="mirror half of the windows left to right")


class BitDepth(Model):
    """The ablation of the temporal binary representation."""

    model: str
    bits: tuple[Annotated[int, Field(ge=1, le=16)], ...] = (1, 2, 4, 8, 16)


class NeuromorphicVa(Model):
    """The whole study."""

    seed: int = Field(default=0, ge=0)
    folds: int = Field(default=5, ge=2, description="each tested once; a store's own folds are taken where it has them")
    clips_at_most: int = Field(
        default=0, ge=0, description="an even choice of so many clips of the store, not of NEFER's; 0: all"
    )
    pictures: Pictures = Pictures()
    training: Training = Training()
    models: dict[str, AnyModel] = Field(min_length=1, description="by the name they have in tables")
    bit_depth: BitDepth | None = None
    grey: tuple[str, ...] = Field(default=(), description="models also trained on the camera's grey frames")
    zero_shot: tuple[str, ...] = Field(default=(), description="models whose estimates are also read as emotions")

    @model_validator(mode="after")
    def _fits(self) -> NeuromorphicVa:
        depth = () if self.bit_depth is None else (self.bit_depth.model,)
        for key, names in (("bit_depth.model", depth), ("grey", self.grey), ("zero_shot", self.zero_shot)):
            for name in names:
                if name not in self.models:
                    raise ValueError(f"{key}: {name} is none of the models {', '.join(self.models)}")
        for key, names in (("bit_depth.model", depth), ("grey", self.grey)):
            for name in names:
                if self.models[name].kind == "spiking":
                    raise ValueError(f"{key}: {name} spikes and takes steps of events alone: name another model")
        for bits in {self.pictures.bits, *(self.bit_depth.bits if self.bit_depth else ())}:
            if self.pictures.frame_us % bits:
                raise ValueError(f"a frame of {self.pictures.frame_us} us has no {bits} whole steps: change either")
        for name, model in self.models.items():
            self._model_fits(name, model)
        return self

    def _model_fits(self, name: str, model: Conventional | Spiking) -> None:
        if isinstance(model, Spiking):
            net = model.network
            channels, height, width = net.input_shape
            if (channels, net.encoding, len(net.outputs or ())) != (2, "binary", 2) or height != width:
                raise ValueError(
                    f"models.{name}: input_shape {net.input_shape}, encoding {net.encoding}, outputs {net.outputs}: "
                    "needed are two polarities of square pictures, binary, and two outputs"
                )
            if model.network.dt_us * model.network.every != self.pictures.frame_us:
                raise ValueError(
                    f"models.{name}: an estimate each {model.network.dt_us * model.network.every} us, a frame each "
                    f"{self.pictures.frame_us} us: they must be the same"
                )
        elif isinstance(model, VitModel) and model.backbone.picture != self.pictures.shown:
            raise ValueError(
                f"models.{name}: takes pictures of {model.backbone.picture}, shown are {self.pictures.shown}: "
                "they must be the same"
            )
