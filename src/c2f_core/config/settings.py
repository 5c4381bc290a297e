"""The validated tree of settings for command line, widgets and checkpoints."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

Method = Literal["plain", "model1", "stage1", "stage2", "model2", "any"]
Preset = Literal["quick", "balanced", "thorough", "report"]
SimulationKind = Literal[
    "polygons",
    "displacement",
    "freehand",
    "morphology",
    "small_parts",
    "low_resolution",
    "inside_polygons",
    "scribbles",
]
Width = Annotated[int, Field(ge=1, le=65_536)]
"""Number of channels of one level."""
ANY_VALUE: Any = ...
"""Marks removed settings whose value does not matter."""


class Settings(BaseModel):
    """Base class of settings: frozen, without unknown keys, described by their docstrings."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )

    removed: ClassVar[Mapping[str, Any]] = {}
    """Former settings with the value that is still in force, or with `ANY_VALUE`.

    With this value they are ignored, so that old files can be read.
    """

    @model_validator(mode="before")
    @classmethod
    def _ignore_removed(cls, content: Any) -> Any:
        if not isinstance(content, dict):
            return content
        in_force = {
            name
            for name, value in cls.removed.items()
            if name in content and value in (ANY_VALUE, content[name])
        }
        return {name: value for name, value in content.items() if name not in in_force}


class NetworkConfig(Settings):
    """Shape of the U-Net."""

    widths: tuple[Width, ...] = Field(default=(64, 96, 160, 192), min_length=1, max_length=10)
    """Number of channels of each level, from the finest to the coarsest."""
    stem: Literal[1, 2, 4] = 4
    """Side length of the space-to-depth blocks in pixels; 1 works at full resolution."""
    removed = {"normalisation": "batch", "upsampling": "transposed"}


class GeneratorConfig(NetworkConfig):
    """The U-Net with its input: conditional, or plain."""

    conditional: bool = True
    """Give the one-hot coarse map to the network; False is the plain U-Net, which sees RGB only."""


class ClassAgnosticConfig(Settings):
    """Shape of the network of the method any, which refines maps of any classes."""

    class_widths: tuple[Width, Width, Width, Width] = (20, 28, 44, 64)
    """Number of channels of each level for one class, at strides of 2, 4, 8 and 16 pixels."""
    detail_width: Width = 20
    """Number of channels of the trained features of the image at a stride of 2 pixels."""
    key_width: Width = 24
    """Number of channels by which pixels and classes are compared."""
    removed = {"image_widths": ANY_VALUE, "stem": ANY_VALUE}


class DiscriminatorConfig(Settings):
    """Shape of the discriminator of Model 2."""

    kind: Literal["image", "pixel"] = "pixel"
    """What the discriminator classifies as real or fake: the whole image, or every pixel."""
    widths: tuple[Width, ...] = Field(default=(32, 64, 96, 128), min_length=1, max_length=10)
    """Number of channels of each encoder convolution, from the finest to the coarsest."""
    spectral_norm: bool = True
    """Divide every weight by its spectral norm, which stabilises training."""


class AugmentationConfig(Settings):
    """Random changes of the training pairs; image and maps are changed together."""

    flip: bool = True
    """Mirror half of the pairs horizontally."""
    scale: tuple[float, float] = (0.75, 1.3)
    """Range of the magnification of most pairs."""
    wide_scale: tuple[float, float] = (0.35, 1.3)
    """Range of the magnification of `wide_scale_share` of the pairs."""
    wide_scale_share: float = Field(default=0.25, ge=0, le=1)
    """Share of pairs whose magnification is from `wide_scale`."""
    rotation: float = Field(default=10.0, ge=0, le=180)
    """Largest rotation in degrees, in both directions."""
    colour: float = Field(default=0.25, ge=0, le=1)
    """Strength of the changes of brightness, contrast and saturation."""
    recolour_share: float = Field(default=0.5, ge=0, le=1)
    """Share of pairs in which half of the classes change colour, each independently.

    Few fine maps do not show all colours of a class: without this, a network trained on dark hair
    labels fair hair as skin, whatever the coarse map says. Use 0 for the plain U-Net, which has
    only the colours to rely on.
    """
    blur_and_noise: float = Field(default=0.15, ge=0, le=1)
    """Share of pairs that are blurred, and share that get noise."""
    background_class: str | None = None
    """Class whose pixels are replaced by textures, random or cut from images; None replaces none.

    Pairs magnified by `wide_scale` always get a texture, which also fills the area around them.
    """
    background_share: float = Field(default=0.3, ge=0, le=1)
    """Share of pairs whose background is replaced."""
    coarse_shift: float = Field(default=4.0, ge=0)
    """Largest shift of the whole coarse map relative to the image, in pixels."""
    coarse_distortion: float = Field(default=16.0, ge=0)
    """Largest local distortion of the coarse map, in pixels.

    A few coarse maps show only a few kinds of errors: without this, the network learns to follow
    the boundaries of coarse maps that happen to be better than others.
    """
    coarse_erase_share: float = Field(default=0.15, ge=0, le=1)
    """Share of pairs in which a random part of the coarse map is made unlabelled."""


class SimulationConfig(Settings):
    """Coarse maps that are simulated from fine ones, for training."""

    share: float = Field(default=0.0, ge=0, le=1)
    """Share of the crops with a fine map whose coarse map is simulated; 0 simulates none.

    Above 0, images with a fine map alone are used, too; all their coarse maps are simulated.
    """
    kinds: tuple[SimulationKind, ...] = Field(default=get_args(SimulationKind), min_length=1)
    """Kinds of simulated maps, one of which is drawn for each crop."""
    iou: tuple[float, float] | None = None
    """Range of the mean IoU with the fine map, for kinds without gaps; None for the default."""

    @model_validator(mode="after")
    def _iou_is_a_range(self) -> Self:
        if self.iou is not None and not 0 <= self.iou[0] <= self.iou[1] <= 1:
            raise ValueError("iou needs two values between 0 and 1, the smaller one first")
        return self


class DataConfig(Settings):
    """Where the pairs are, and which of them train and validate."""

    root: Path
    """Data folder: images/, coarse/ and fine/, or the layout of FASSEG or Cityscapes."""
    class_table: str = "fasseg"
    """Class table: a preset (fasseg, cityscapes, camvid), or a TOML or JSON file."""
    splits: Path | None = None
    """JSON file of named lists of pairs; without it, pairs are drawn at random by the seed."""
    train: str = "train"
    """Names of the lists used for training, joined by "+", such as report:train_fine."""
    validation: str = ""
    """Names of the lists used for validation; if empty, `validation_share` is drawn."""
    validation_share: float = Field(default=0.15, gt=0, lt=1)
    """Share of the training pairs drawn for validation if no list is named."""
    fine_maps: int | None = Field(default=None, ge=1)
    """Number of fine maps to use, of the first training pair of each person; None uses all."""


class OptimiserConfig(Settings):
    """Optimiser and learning-rate schedule."""

    name: Literal["adam", "adamw"] = "adamw"
    """Adam, or AdamW with decoupled weight decay."""
    learning_rate: float = Field(default=2e-3, gt=0)
    """Peak learning rate."""
    weight_decay: float = Field(default=1e-2, ge=0)
    """Weight decay (L2 penalty with Adam, decoupled with AdamW)."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """Learning rate after the warm-up: cosine decay to zero, or constant."""
    warmup_steps: int = Field(default=20, ge=0)
    """Number of steps of linear warm-up."""
    clip_norm: float | None = Field(default=1.0, gt=0)
    """Largest norm of the gradient; None does not clip."""
    average_decay: float = Field(default=0.99, ge=0, lt=1)
    """Decay of the moving average of the weights that is validated and saved; 0 turns it off."""


class Stage1Config(Settings):
    """Stage 1 of Model 2: generator and discriminator compete."""

    loss: Literal["least_squares", "minimax"] = "least_squares"
    """Adversarial loss: least squares, or minimax."""
    adversarial_weight: float = Field(default=0.01, ge=0)
    """Weight of the adversarial loss relative to the pixel-wise loss."""
    discriminator_learning_rate: float = Field(default=1e-3, gt=0)
    """Constant learning rate of the discriminator (Adam with betas 0.5 and 0.999)."""
    wrong_pixels_only: bool = True
    """Count only the wrong pixels of fake maps as fake; for the pixel discriminator."""
    coarse_as_fake: bool = True
    """Show coarse maps to the discriminator as fake maps, too."""
    harden: bool = True
    """Show one-hot fake maps to the discriminator; False shows soft ones."""
    removed = {"feature_matching_weight": 0, "ramp_steps": 0}


class Stage2Config(Settings):
    """Stage 2 of Model 2: training on images with coarse maps only."""

    start: Path | None = None
    """Run folder of stage 1, whose last generator and discriminator stage 2 starts from."""
    steps: int = Field(default=600, ge=1)
    """Number of steps of stage 2."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """Peak learning rate of the generator in stage 2."""
    schedule: Literal["cosine", "constant"] = "constant"
    """Learning rate after the warm-up.

    With few fine maps a decaying rate overfits; the weight average is enough.
    """
    recipe: Literal["default", "report"] = "default"
    """Training recipe; the report's uses the discriminator's score alone, and collapses."""
    replay: bool = True
    """Continue stage 1 on the pairs with fine maps in every step."""
    coarse_only_batch_size: int = Field(default=8, ge=1)
    """Number of crops of coarse-only pairs per step."""
    adversarial_weight: float = Field(default=0.001, ge=0)
    """Weight of the adversarial loss on coarse-only pairs."""
    pseudo_label_weight: float = Field(default=1.0, ge=0)
    """Weight of the cross-entropy against the averaged generator's class probabilities."""
    discriminator_threshold: float = Field(default=0.2, ge=0, le=1)
    """Score of the discriminator from which on pseudo-labels count; 0 counts all of them."""
    colour_weight: float = Field(default=1.0, ge=0)
    """Weight of the classes' colours within a crop in its pseudo-labels; 0 ignores the colours."""
    cut_mix: bool = True
    """Paste a box of each coarse-only crop into the next, with its maps and pseudo-labels."""
    few_fine_maps: int = Field(default=5, ge=1)
    """Number of fine maps up to which losses on coarse-only pairs keep their full weight.

    With more, n fine maps, these losses are scaled by `few_fine_maps` / n.
    """
    strong_colour: float = Field(default=0.5, ge=0, le=1)
    """Strength of the colour changes of the images on which pseudo-labels are learned."""
    guard: float | None = Field(default=0.002, ge=0)
    """Fall of the validation accuracy below the start at which to roll back; None never does."""
    removed = {"evidence_weight": 0, "hidden_share": ANY_VALUE, "ramp_steps": 0}


class ModelConfig(Settings):
    """The part of a config that using the trained model depends on."""

    method: Method = "model1"
    """Plain U-Net (image only), Model 1, stage 1 or 2 of Model 2, model2: both in a row, or any:
    a network for maps of any classes."""
    network: NetworkConfig = NetworkConfig()
    """Shape of the generator."""
    class_agnostic: ClassAgnosticConfig = ClassAgnosticConfig()
    """Shape of the network of the method any, which has no other use for `network`."""
    colour_weight: float = Field(default=0.25, ge=0)
    """Weight of the classes' colours within an image in refining; 0 uses the network alone."""

    @property
    def architecture(self) -> GeneratorConfig:
        """Shape of the generator with the input that the method gives it."""
        return GeneratorConfig(**self.network.model_dump(), conditional=self.method != "plain")

    @property
    def stride(self) -> int:
        """Side length of a pixel of the network's coarsest level, in pixels of the image."""
        if self.method == "any":
            return int(2 ** len(self.class_agnostic.class_widths))
        return int(self.network.stem * 2 ** (len(self.network.widths) - 1))


class TrainConfig(ModelConfig):
    """All settings of a training run."""

    data: DataConfig
    """Training and validation data."""
    run_folder: Path
    """Folder for checkpoints, logs and the resolved config."""
    initial_weights: str | None = None
    """Checkpoint, run folder or bundled model to start from; None starts from random weights."""
    preprocessing: Literal["default", "report"] = "default"
    """Preprocessing: random augmented crops, or the report's four corner crops of 256 x 256 px."""
    augmentation: AugmentationConfig = AugmentationConfig()
    """Augmentation of the default preprocessing."""
    simulation: SimulationConfig = SimulationConfig()
    """Simulated coarse maps, in addition to the real ones."""
    optimiser: OptimiserConfig = OptimiserConfig()
    """Optimiser of the generator."""
    discriminator: DiscriminatorConfig = DiscriminatorConfig()
    """Discriminator of Model 2."""
    stage1: Stage1Config = Stage1Config()
    """Stage 1 of Model 2."""
    stage2: Stage2Config = Stage2Config()
    """Stage 2 of Model 2."""
    crop: int = Field(default=256, ge=16)
    """Side length of the training crops in pixels."""
    batch_size: int = Field(default=8, ge=1)
    """Number of crops per step, in each process."""
    steps: int = Field(default=800, ge=1)
    """Number of training steps; stage 2 has its own number."""
    validate_every: int = Field(default=50, ge=1)
    """Number of steps between validations; each of them also saves a checkpoint."""
    loss: Literal["unbiased", "report"] = "unbiased"
    """Pixel-wise loss: class weights without their bias in the result, or the report's own."""
    class_weight_cap: float = Field(default=3.0, ge=1)
    """Largest class weight relative to the smallest."""
    seed: int = Field(default=0, ge=0)
    """Seed of the weights, the crops and the augmentation."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Device to train on; auto uses the GPU if there is one."""
    devices: int | None = Field(default=1, ge=1)
    """Number of processes on each node, each with its own GPU; None uses all GPUs of the machine.

    Each process takes `batch_size` crops per step.
    """
    nodes: int = Field(default=1, ge=1)
    """Number of nodes; with more than one, torchrun or SLURM starts the processes."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of the convolutions; auto uses bfloat16 if the device supports it."""
    threads: int | None = Field(default=None, ge=1)
    """Number of CPU threads of each process; None leaves the choice to torch and OpenCV."""

    @model_validator(mode="after")
    def _batch_normalisation_has_values(self) -> Self:
        stride = self.stride
        deepest = self.batch_size * math.ceil(self.crop / stride) ** 2
        if deepest < 2:
            raise ValueError(
                f"a crop of {self.crop} px leaves one value per channel to normalise over; "
                f"use a batch_size of 2 or a crop above {stride} px"
            )
        return self

    @model_validator(mode="after")
    def _report_has_no_simulation(self) -> Self:
        if self.preprocessing == "report" and self.simulation.share:
            raise ValueError(
                "the report's preprocessing has real coarse maps only; set simulation.share to 0, "
                "or preprocessing to default"
            )
        return self

    @model_validator(mode="after")
    def _stage_2_has_a_start(self) -> Self:
        if self.method == "stage2" and self.stage2.start is None:
            raise ValueError(
                "stage 2 continues stage 1; give stage2.start, or the method model2 for both"
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
        """Number of steps of the run; of stage 2 if that is trained."""
        return self.stage2.steps if self.method == "stage2" else self.steps

    @property
    def peak_learning_rate(self) -> float:
        """Learning rate of the generator after the warm-up."""
        in_stage_2 = self.method == "stage2"
        return self.stage2.learning_rate if in_stage_2 else self.optimiser.learning_rate

    @property
    def schedule(self) -> Literal["cosine", "constant"]:
        """Learning-rate schedule after the warm-up."""
        return self.stage2.schedule if self.method == "stage2" else self.optimiser.schedule
