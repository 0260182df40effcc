"""What a network or a run is: typed, validated, saved with every run.

Every section refuses unknown keys. How a base configuration, a method and the command line make one RunConfig is
in training/presets.py.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

ActivationName = Literal["linear", "relu", "lrelu", "tanh", "sigmoid", "elu", "selu", "softplus", "swish"]
Architecture = Literal["skip", "resnet", "orig"]
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
PowerOfTwo = Annotated[int, Field(ge=4)]


class Section(BaseModel):
    """A frozen group of settings; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class MappingConfig(Section):
    """The mapping network z, c -> w."""

    num_layers: Count = 8
    embed_features: Count | None = None  # width of the label embedding; None: w_dim
    layer_features: Count | None = None  # width of the hidden layers; None: w_dim
    activation: ActivationName = "lrelu"
    lr_multiplier: Positive = 0.01
    w_avg_beta: Fraction | None = 0.995  # decay of the running mean of w; None: none is kept


class ConvConfig(Section):
    """What the synthesis and the discriminator have in common."""

    architecture: Architecture
    channel_base: Count = 32768  # channels(r) = min(channel_base // r, channel_max)
    channel_max: Count = 512
    num_fp16_res: int = Field(0, ge=0)  # this many highest resolutions run in half precision on a GPU
    conv_clamp: Positive | None = None  # activations of convolutions are limited to +- this
    activation: ActivationName = "lrelu"
    resample_filter: tuple[float, ...] = (1, 3, 3, 1)

    def channels(self, resolution: int) -> int:
        """Feature channels at `resolution`."""
        return min(self.channel_base // resolution, self.channel_max)


class SynthesisConfig(ConvConfig):
    """The synthesis network w -> image."""

    architecture: Architecture = "skip"
    use_noise: bool = True


class EncodingConfig(Section):
    """Where and how the generator hears the heatmaps (spec: section 3)."""

    layer: Literal["norm"] = "norm"
    mode: Literal["coarse", "fine"] = "coarse"  # heatmap first brought to the layer's size, or first convolved
    max_resolution: Annotated[int, Field(ge=4)] | None = 16  # None: every layer (released)
    counts: tuple[Count, Count, Count] = (1, 2, 4)  # sub-heatmaps of levels 0, 1, 2
    hidden_channels: Count = 64  # of the convolution shared by sigma and mu
    residual_scale: Positive = 0.1


class GeneratorConfig(Section):
    """Mapping, synthesis and, for steerable methods, the spatial encoding."""

    z_dim: int = Field(512, ge=0)
    c_dim: int = Field(0, ge=0)
    w_dim: Count = 512
    img_resolution: PowerOfTwo
    img_channels: Count = 3
    mapping: MappingConfig = MappingConfig()
    synthesis: SynthesisConfig = SynthesisConfig()
    encoding: EncodingConfig | None = None

    @model_validator(mode="after")
    def _check(self):
        _check_resolution(self.img_resolution)
        return self


class DiscriminatorConfig(ConvConfig):
    """The discriminator image, c -> logit."""

    architecture: Architecture = "resnet"
    c_dim: int = Field(0, ge=0)
    img_resolution: PowerOfTwo
    img_channels: Count = 3
    cmap_dim: int | None = Field(None, ge=0)  # width of the projected label; None: channels(4)
    mapping: MappingConfig = MappingConfig(w_avg_beta=None)
    mbstd_group_size: Count | None = 4  # samples per minibatch-std group; None: the whole batch
    mbstd_num_channels: int = Field(1, ge=0)
    freeze_layers: int = Field(0, ge=0)  # this many layers from the image on keep their weights (Freeze-D)

    @model_validator(mode="after")
    def _check(self):
        _check_resolution(self.img_resolution)
        return self


class SamplerConfig(Section):
    """How random layouts are drawn (spec: section 2)."""

    kind: Literal["paper", "released"] = "paper"
    spread: tuple[Positive, Positive] = (0.5, 1.0)  # range of level 0's; about the squared radius of an object

    @model_validator(mode="after")
    def _check(self):
        if self.spread[0] > self.spread[1]:
            raise ValueError(f"sampler.spread {list(self.spread)} must be [lowest, highest]")
        return self


class AlignConfig(Section):
    """The alignment of D's attention with the layout (spec: section 4)."""

    weight: NonNegative = 1.0  # 0 switches it off
    tau: NonNegative = 0.25
    level_weights: tuple[NonNegative, NonNegative, NonNegative] = (1.0, 1.0, 1.0)
    gradient: Literal["logits", "loss"] = "logits"  # GradCAM of the logits (papers) or of G's loss (released)
    relu: Literal["sum", "channel"] = "sum"  # relu after the sum over channels (papers) or before it (released)
    resolution: Literal["level", "image"] = "level"  # where attention and heatmap are compared


class LossConfig(Section):
    """Adversarial loss and its regularisers."""

    r1_gamma: NonNegative = 10.0
    pl_weight: NonNegative = 2.0  # 0 switches path length regularisation off
    pl_batch_shrink: Count = 2
    pl_decay: Fraction = 0.01
    style_mixing_prob: Fraction = 0.9


class OptimizerConfig(Section):
    """Adam before the correction for lazy regularisation, and the interval of the latter."""

    lr: Positive = 0.0025
    betas: tuple[Fraction, Fraction] = (0.0, 0.99)
    eps: Positive = 1e-8
    reg_interval: Count

    def corrected(self) -> tuple[float, tuple[float, float]]:
        """(lr, betas) for Adam when the regulariser runs as a step of its own every reg_interval steps.

        Applied whatever the regulariser's weight, as users of StyleGAN2-ADA's numbers expect.
        """
        ratio = self.reg_interval / (self.reg_interval + 1)
        return self.lr * ratio, (self.betas[0] ** ratio, self.betas[1] ** ratio)


class EmaConfig(Section):
    """Moving average of the generator's weights."""

    kimg: NonNegative = 10.0  # half-life in thousands of images
    rampup: Positive | None = 0.05  # half-life is at most this share of the images shown so far

    def beta(self, images_shown: int, batch_size: int) -> float:
        """Decay for one step after which `images_shown` does not yet count the step's images."""
        half_life = self.kimg * 1000
        if self.rampup is not None:
            half_life = min(half_life, images_shown * self.rampup)
        return 0.5 ** (batch_size / max(half_life, 1e-8))


class AugmentConfig(Section):
    """Adaptive discriminator augmentation (the pipeline itself comes with its own milestone)."""

    mode: Literal["noaug"] = "noaug"


class DataConfig(Section):
    """The training images."""

    path: str
    conditional: bool = False
    mirror: bool = False
    subset: Count | None = None
    workers: int = Field(2, ge=0)


class ScheduleConfig(Section):
    """How long, how many at a time, and what is written when."""

    total_kimg: Positive = 25000
    batch_size: Count = 64
    batch_gpu: Count | None = None  # images per pass; None: all of a rank's share
    kimg_per_tick: Positive = 4
    snapshot_ticks: Count = 50
    metrics: tuple[str, ...] = ("di", "w")


class HardwareConfig(Section):
    """Where and in which arithmetic a run computes; never changes what is learnt (up to rounding)."""

    device: Literal["auto", "cuda", "cpu"] = "auto"
    gpus: Count = 1
    channels_last: bool | None = None  # None: on the CPU
    allow_tf32: bool = False
    benchmark: bool = True  # let cuDNN time its algorithms
    ops: Literal["auto", "native", "pytorch", "reference"] = "auto"  # auto: STEERGAN_OPS, if set

    def keeps_channels_last(self, device_type: str) -> bool:
        """How feature maps lie in memory on a "cpu" or "cuda" device; the reference operators know NCHW only."""
        if self.ops == "reference":
            return False
        return device_type == "cpu" if self.channels_last is None else self.channels_last


class RunConfig(Section):
    """Everything that defines a training run."""

    name: str
    method: str
    seed: int = Field(0, ge=0)
    data: DataConfig
    generator: GeneratorConfig
    discriminator: DiscriminatorConfig
    sampler: SamplerConfig = SamplerConfig()
    align: AlignConfig = AlignConfig()
    loss: LossConfig = LossConfig()
    generator_optimizer: OptimizerConfig = OptimizerConfig(reg_interval=4)
    discriminator_optimizer: OptimizerConfig = OptimizerConfig(reg_interval=16)
    ema: EmaConfig = EmaConfig()
    augment: AugmentConfig = AugmentConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    hardware: HardwareConfig = HardwareConfig()
    resume: str | None = None

    @model_validator(mode="after")
    def _check(self):
        for key in ("img_resolution", "img_channels", "c_dim"):
            ours, theirs = getattr(self.generator, key), getattr(self.discriminator, key)
            if ours != theirs:
                raise ValueError(f"generator.{key} is {ours}, but discriminator.{key} is {theirs}; they must agree")
        schedule, group = self.schedule, self.discriminator.mbstd_group_size
        per_pass = schedule.batch_gpu or schedule.batch_size // self.hardware.gpus
        if per_pass == 0:
            raise ValueError(f"schedule.batch_size {schedule.batch_size} is less than one image for each GPU")
        if schedule.batch_size % (per_pass * self.hardware.gpus):
            raise ValueError(
                f"schedule.batch_size {schedule.batch_size} must be a multiple of "
                f"batch_gpu x gpus = {per_pass} x {self.hardware.gpus}"
            )
        if group is not None and per_pass % min(group, per_pass):
            raise ValueError(
                f"discriminator.mbstd_group_size {group} must divide the {per_pass} images of a pass; "
                "change --batch or the group size"
            )
        return self


def _check_resolution(resolution: int) -> None:
    if resolution & (resolution - 1):
        raise ValueError(f"img_resolution must be a power of two, not {resolution}")
