"""The one validated tree of settings, for command line, widgets and checkpoints."""

import math
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Settings(BaseModel):
    """Base of all settings: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class NetworkConfig(Settings):
    """Shape of the U-Net."""

    widths: tuple[int, ...] = Field(default=(32, 48, 96, 160, 192), min_length=1)
    """Channels of each level, from the finest to the coarsest."""
    stem: Literal[1, 2, 4] = 2
    """Side of the space-to-depth blocks; 1 works at full resolution."""
    normalisation: Literal["batch", "group", "none"] = "batch"
    """Normalisation after each convolution."""
    upsampling: Literal["transposed", "nearest", "bilinear"] = "transposed"
    """How the decoder doubles the resolution."""

    @model_validator(mode="after")
    def _widths_are_positive(self) -> Self:
        if min(self.widths) < 1:
            raise ValueError("every width must be at least 1 channel")
        return self


class GeneratorConfig(NetworkConfig):
    """The U-Net with its input: conditional, or plain."""

    conditional: bool = True
    """Give the one-hot coarse map to the network; False is the plain U-Net on RGB only."""


class AugmentationConfig(Settings):
    """Random changes of the training pairs; image and maps change alike."""

    flip: bool = True
    """Mirror half of the pairs from left to right."""
    scale: tuple[float, float] = (0.75, 1.3)
    """Range of the usual magnification."""
    wide_scale: tuple[float, float] = (0.35, 1.3)
    """Range of the magnification of `wide_scale_share` of the pairs."""
    wide_scale_share: float = Field(default=0.25, ge=0, le=1)
    """Share of pairs magnified within `wide_scale`."""
    rotation: float = Field(default=10.0, ge=0, le=180)
    """Largest rotation in degrees."""
    colour: float = Field(default=0.25, ge=0, le=1)
    """Strength of the changes of brightness, contrast and saturation."""
    blur_and_noise: float = Field(default=0.15, ge=0, le=1)
    """Share of pairs that are blurred or made noisy."""
    background_class: str | None = None
    """Class whose pixels may be painted with random textures; None paints none.

    Pairs magnified within `wide_scale` are always painted: the texture goes on around them.
    """
    background_share: float = Field(default=0.3, ge=0, le=1)
    """Share of pairs whose background is replaced."""
    coarse_shift: float = Field(default=4.0, ge=0)
    """Largest shift of the coarse map against the image, in pixels."""
    coarse_erase_share: float = Field(default=0.15, ge=0, le=1)
    """Share of pairs in which a random part of the coarse map becomes unlabelled."""


class DataConfig(Settings):
    """Where the pairs come from and which train and validate."""

    root: Path
    """Folder of the data: images/ coarse/ fine/, or FASSEG's own layout."""
    class_table: str = "fasseg"
    """Preset (fasseg, cityscapes, camvid) or a TOML or JSON file."""
    splits: Path | None = None
    """JSON file of named lists of pairs; without it a share is drawn by the seed."""
    train: str = "train"
    """Names of the lists that train, joined by "+", such as report:train_fine."""
    validation: str = ""
    """Names of the lists that validate; empty draws `validation_share` of the training pairs."""
    validation_share: float = Field(default=0.15, gt=0, lt=1)
    """Share of the training pairs drawn for validation where no list names them."""


class OptimiserConfig(Settings):
    """Optimiser and its schedule."""

    name: Literal["adam", "adamw"] = "adamw"
    """Optimiser."""
    learning_rate: float = Field(default=2e-3, gt=0)
    """Peak learning rate."""
    weight_decay: float = Field(default=1e-2, ge=0)
    """Weight decay; Adam ignores none of it."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """Cosine decay to zero after the warm-up, or constant."""
    warmup_steps: int = Field(default=20, ge=0)
    """Steps of linear warm-up."""
    clip_norm: float | None = Field(default=1.0, gt=0)
    """Largest norm of the gradient; None clips nothing."""
    average_decay: float = Field(default=0.99, ge=0, lt=1)
    """Decay of the moving average of the weights that is validated and saved; 0 is none."""


class TrainConfig(Settings):
    """Everything that decides a training run."""

    data: DataConfig
    """Data."""
    run_folder: Path
    """Folder of checkpoints, logs and the resolved config."""
    method: Literal["model1", "plain"] = "model1"
    """Model 1 (image and coarse map) or the plain U-Net (image only)."""
    network: NetworkConfig = NetworkConfig()
    """Network."""
    preprocessing: Literal["default", "report"] = "default"
    """Random augmented crops, or the report's four corner crops of 256 x 256."""
    augmentation: AugmentationConfig = AugmentationConfig()
    """Augmentation of the default preprocessing."""
    optimiser: OptimiserConfig = OptimiserConfig()
    """Optimiser."""
    crop: int = Field(default=256, ge=16)
    """Side of the training crops in pixels."""
    batch_size: int = Field(default=8, ge=1)
    """Crops in a step."""
    steps: int = Field(default=800, ge=1)
    """Steps of the whole run."""
    validate_every: int = Field(default=50, ge=1)
    """Steps between validations; each one also saves a checkpoint."""
    loss: Literal["unbiased", "report"] = "unbiased"
    """Pixel-wise loss: class weights without their bias in the result, or the report's as it is."""
    class_weight_cap: float = Field(default=3.0, ge=1)
    """Largest class weight, relative to the smallest."""
    seed: int = Field(default=0, ge=0)
    """Seed of weights, crops and augmentation."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to train; auto takes the GPU where there is one."""
    devices: int = Field(default=1, ge=1)
    """Number of devices."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of the convolutions; auto takes bfloat16 where the device computes in it."""
    threads: int | None = Field(default=None, ge=1)
    """CPU threads; None leaves the choice to torch."""

    @model_validator(mode="after")
    def _batch_normalisation_has_values(self) -> Self:
        stride = self.network.stem * 2 ** (len(self.network.widths) - 1)
        deepest = self.batch_size * math.ceil(self.crop / stride) ** 2
        if self.network.normalisation == "batch" and deepest < 2:
            raise ValueError(
                f"a crop of {self.crop} px leaves one value per channel to normalise over; "
                f"use a batch_size of 2 or a crop above {stride} px"
            )
        return self

    @property
    def architecture(self) -> GeneratorConfig:
        """The network with the input that the method gives it."""
        return GeneratorConfig(**self.network.model_dump(), conditional=self.method != "plain")


def report_settings() -> dict[str, object]:
    """Return the settings of the report's Model 1 as fields of `TrainConfig`.

    Full-resolution U-Net, four corner crops of 256 x 256, Adam 2e-4, no
    schedule, no clipping and inverse class proportions without a tight cap.
    """
    return {
        "preprocessing": "report",
        "loss": "report",
        "network": {"widths": (16, 32, 64, 128, 256), "stem": 1, "upsampling": "transposed"},
        "optimiser": {
            "name": "adam",
            "learning_rate": 2e-4,
            "weight_decay": 0.0,
            "schedule": "constant",
            "warmup_steps": 0,
            "clip_norm": None,
            "average_decay": 0.0,
        },
        "class_weight_cap": 100.0,
    }
