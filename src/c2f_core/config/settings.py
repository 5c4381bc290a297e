"""The one validated tree of settings, for command line, widgets and checkpoints."""

import math
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Method = Literal["plain", "model1", "stage1", "stage2", "model2"]
Preset = Literal["quick", "balanced", "thorough", "report"]
Width = Annotated[int, Field(ge=1, le=65_536)]
"""Number of channels."""


class Settings(BaseModel):
    """Base of all settings: frozen, unknown keys refused, described by their docstrings."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class NetworkConfig(Settings):
    """Shape of the U-Net."""

    widths: tuple[Width, ...] = Field(default=(64, 96, 160, 192), min_length=1, max_length=10)
    """Channels of each level, from the finest to the coarsest."""
    stem: Literal[1, 2, 4] = 4
    """Side of the space-to-depth blocks; 1 works at full resolution."""


class GeneratorConfig(NetworkConfig):
    """The U-Net with its input: conditional, or plain."""

    conditional: bool = True
    """Give the one-hot coarse map to the network; False is the plain U-Net on RGB only."""


class DiscriminatorConfig(Settings):
    """Shape of the discriminator of Model 2."""

    kind: Literal["image", "pixel"] = "pixel"
    """What is classified as real or fake: the whole image, or every pixel."""
    widths: tuple[Width, ...] = Field(default=(32, 64, 96, 128), min_length=1, max_length=10)
    """Channels of each convolution of the encoder, from the finest to the coarsest."""
    spectral_norm: bool = True
    """Divide every weight by its spectral norm, which steadies the training."""


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
    recolour_share: float = Field(default=0.5, ge=0, le=1)
    """Share of pairs in which half of the classes change their colours, each by itself.

    Few fine maps do not show all colours of a class. Without this, one trained on dark hair
    takes fair hair for skin, whatever the coarse map says. The plain U-Net sees no coarse map and
    has only the colours to go by: take 0 for it.
    """
    blur_and_noise: float = Field(default=0.15, ge=0, le=1)
    """Share of pairs that are blurred or made noisy."""
    background_class: str | None = None
    """Class whose pixels may be painted with textures, random or cut from images; None paints none.

    Pairs magnified within `wide_scale` are always painted: the texture goes on around them.
    """
    background_share: float = Field(default=0.3, ge=0, le=1)
    """Share of pairs whose background is replaced."""
    coarse_shift: float = Field(default=4.0, ge=0)
    """Largest shift of the whole coarse map against the image, in pixels."""
    coarse_distortion: float = Field(default=16.0, ge=0)
    """Largest shift of parts of the coarse map against the rest of it, in pixels.

    Few coarse maps are wrong in few ways. Without this, the network learns to follow the
    boundaries of coarse maps that happen to be better than others.
    """
    coarse_erase_share: float = Field(default=0.15, ge=0, le=1)
    """Share of pairs in which a random part of the coarse map becomes unlabelled."""


class DataConfig(Settings):
    """Where the pairs come from and which train and validate."""

    root: Path
    """Folder of the data: images/ coarse/ fine/, or the layout of FASSEG or Cityscapes."""
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
    fine_maps: int | None = Field(default=None, ge=1)
    """Use so many fine maps only, of the first training pair of each person; None uses all."""


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


class Stage1Config(Settings):
    """Stage 1 of Model 2: generator and discriminator in competition."""

    loss: Literal["least_squares", "minimax"] = "least_squares"
    """Adversarial loss."""
    adversarial_weight: float = Field(default=0.01, ge=0)
    """Weight of the adversarial loss beside the pixel-wise loss."""
    discriminator_learning_rate: float = Field(default=1e-3, gt=0)
    """Constant learning rate of the discriminator; Adam with betas 0.5 and 0.999."""
    wrong_pixels_only: bool = True
    """Pixels where a fake map is right do not count as fake; for the pixel discriminator."""
    coarse_as_fake: bool = True
    """Show the discriminator coarse maps as fake maps too."""
    harden: bool = True
    """Show the discriminator one-hot maps of both kinds; False shows it soft fake maps."""


class Stage2Config(Settings):
    """Stage 2 of Model 2: what is learned from images with coarse maps only."""

    start: Path | None = None
    """Run folder of stage 1, whose last generator and discriminator go on."""
    steps: int = Field(default=600, ge=1)
    """Steps of stage 2."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """Peak learning rate of the generator in stage 2."""
    schedule: Literal["cosine", "constant"] = "constant"
    """Few fine maps are soon learned by heart where the rate decays: the average alone settles."""
    recipe: Literal["default", "report"] = "default"
    """The report's recipe descends on the discriminator's verdict alone, and collapses."""
    replay: bool = True
    """Go on with stage 1 on the fine pairs in every step."""
    coarse_only_batch_size: int = Field(default=8, ge=1)
    """Crops of coarse-only pairs in a step."""
    adversarial_weight: float = Field(default=0.001, ge=0)
    """Weight of the adversarial loss on coarse-only pairs."""
    pseudo_label_weight: float = Field(default=1.0, ge=0)
    """Weight of the cross-entropy against the averaged generator's class probabilities."""
    discriminator_threshold: float = Field(default=0.2, ge=0, le=1)
    """Pseudo-labels where the discriminator's score is lower do not count; 0 asks nobody."""
    colour_weight: float = Field(default=1.0, ge=0)
    """Weight of the classes' colours in a crop in its pseudo-labels; 0 asks the teacher alone."""
    cut_mix: bool = True
    """Paste a box of one coarse-only crop into the next, with all that belongs to it."""
    few_fine_maps: int = Field(default=5, ge=1)
    """Up to so many, losses on coarse-only pairs count in full; with n, which is more, this / n."""
    strong_colour: float = Field(default=0.5, ge=0, le=1)
    """Strength of the colour changes of the images that the generator learns pseudo-labels on."""
    guard: float | None = Field(default=0.002, ge=0)
    """Stop and roll back below the start's validation accuracy less this; None never stops."""


class ModelConfig(Settings):
    """The part of a run's config that using its model depends on."""

    method: Method = "model1"
    """Plain U-Net (image only), Model 1, stage 1 or 2 of Model 2, or model2: both in a row."""
    network: NetworkConfig = NetworkConfig()
    """Network."""
    colour_weight: float = Field(default=0.25, ge=0)
    """Weight of the classes' colours in an image when it is refined; 0 uses the network alone."""

    @property
    def architecture(self) -> GeneratorConfig:
        """The network with the input that the method gives it."""
        return GeneratorConfig(**self.network.model_dump(), conditional=self.method != "plain")


class TrainConfig(ModelConfig):
    """Everything that decides a training run."""

    data: DataConfig
    """Data."""
    run_folder: Path
    """Folder of checkpoints, logs and the resolved config."""
    initial_weights: str | None = None
    """Checkpoint, run folder or bundled model whose weights training starts from; None: random."""
    preprocessing: Literal["default", "report"] = "default"
    """Random augmented crops, or the report's four corner crops of 256 x 256."""
    augmentation: AugmentationConfig = AugmentationConfig()
    """Augmentation of the default preprocessing."""
    optimiser: OptimiserConfig = OptimiserConfig()
    """Optimiser."""
    discriminator: DiscriminatorConfig = DiscriminatorConfig()
    """Discriminator of Model 2."""
    stage1: Stage1Config = Stage1Config()
    """Stage 1 of Model 2."""
    stage2: Stage2Config = Stage2Config()
    """Stage 2 of Model 2."""
    crop: int = Field(default=256, ge=16)
    """Side of the training crops in pixels."""
    batch_size: int = Field(default=8, ge=1)
    """Crops in a step."""
    steps: int = Field(default=800, ge=1)
    """Steps of the whole run; stage 2 has its own."""
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
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of the convolutions; auto takes bfloat16 where the device computes in it."""
    threads: int | None = Field(default=None, ge=1)
    """CPU threads; None leaves the choice to torch and OpenCV."""

    @model_validator(mode="after")
    def _batch_normalisation_has_values(self) -> Self:
        stride = self.network.stem * 2 ** (len(self.network.widths) - 1)
        deepest = self.batch_size * math.ceil(self.crop / stride) ** 2
        if deepest < 2:
            raise ValueError(
                f"a crop of {self.crop} px leaves one value per channel to normalise over; "
                f"use a batch_size of 2 or a crop above {stride} px"
            )
        return self

    @model_validator(mode="after")
    def _stage_2_has_a_start(self) -> Self:
        if self.method == "stage2" and self.stage2.start is None:
            raise ValueError(
                "stage 2 goes on from stage 1; give stage2.start, or the method model2 for both"
            )
        return self

    @model_validator(mode="after")
    def _stage_2_has_one_start(self) -> Self:
        if self.method == "stage2" and self.initial_weights is not None:
            raise ValueError(
                "stage 2 starts from stage2.start; leave initial_weights empty, or choose another "
                "method"
            )
        return self

    @property
    def total_steps(self) -> int:
        """Steps of the run: those of stage 2 where that is trained."""
        return self.stage2.steps if self.method == "stage2" else self.steps

    @property
    def peak_learning_rate(self) -> float:
        """Learning rate of the generator after the warm-up."""
        in_stage_2 = self.method == "stage2"
        return self.stage2.learning_rate if in_stage_2 else self.optimiser.learning_rate

    @property
    def schedule(self) -> Literal["cosine", "constant"]:
        """What becomes of the learning rate after the warm-up."""
        return self.stage2.schedule if self.method == "stage2" else self.optimiser.schedule
