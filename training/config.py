"""What a network or a run is: typed, validated, saved with every run.

Every section refuses unknown keys. How a base configuration, a method and the command line make one RunConfig is
in training/presets/resolve.py.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from training.augment.settings import AugmentConfig
from training.choices import SAMPLERS
from training.runs.settings import GrowthConfig, HardwareConfig, ScheduleConfig
from training.settings import (
    SEED_LIMIT,
    Channels,
    Count,
    Decay,
    Depth,
    Fraction,
    Labels,
    Name,
    NonNegative,
    Positive,
    PowerOfTwo,
    Rate,
    Section,
    Spread,
    Taps,
    Width,
)

ActivationName = Literal["linear", "relu", "lrelu", "tanh", "sigmoid", "elu", "selu", "softplus", "swish"]
Architecture = Literal["skip", "resnet", "orig"]
Condition = Literal["labels", "label-map", "text"]  # of conditional runs (training/data/conditions.py)
Registration = Literal["cells", "corners"]  # what -1 and 1 are on a grid (training/layouts/registration.py)

LEVEL_RESOLUTIONS = (4, 8, 16)  # of the features that levels 0, 1 and 2 of a layout belong to


def _one_or_three(counts: tuple[int, ...]) -> tuple[int, ...]:
    if len(counts) not in (1, len(LEVEL_RESOLUTIONS)):
        raise ValueError("a layout has one level or three")
    return counts


def _with_a_sum(taps: tuple[float, ...]) -> tuple[float, ...]:
    if abs(sum(taps)) < 1e-3 * max(map(abs, taps)) or not any(taps):
        raise ValueError("the taps of a filter are divided by their sum, which must not be 0")
    return taps


class MappingConfig(Section):
    """The mapping network z, c -> w."""

    num_layers: Depth = 8
    embed_features: Width | None = None  # width of the label embedding; None: w_dim
    layer_features: Width | None = None  # width of the hidden layers; None: w_dim
    activation: ActivationName = "lrelu"
    lr_multiplier: Positive = 0.01
    w_avg_beta: Fraction | None = 0.995  # decay of the running mean of w; None: none is kept


class ConvConfig(Section):
    """What the synthesis and the discriminator have in common."""

    architecture: Architecture
    channel_base: Annotated[int, Field(ge=1, le=2**24)] = 32768  # channels(r) = min(channel_base // r, channel_max)
    channel_max: Width = 512
    num_fp16_res: int = Field(0, ge=0, le=16)  # this many highest resolutions run in half precision
    half_type: Literal["float16", "bfloat16"] = "float16"  # which; float16 on a GPU only
    conv_clamp: Positive | None = None  # activations of convolutions are limited to +- this
    activation: ActivationName = "lrelu"
    resample_filter: Annotated[Taps, AfterValidator(_with_a_sum)] = (1, 3, 3, 1)
    spectral_norm: bool = False  # every layer is divided by its largest singular value

    def channels(self, resolution: int) -> int:
        """Feature channels at `resolution`."""
        return min(self.channel_base // resolution, self.channel_max)


class SynthesisConfig(ConvConfig):
    """The synthesis network w -> image."""

    architecture: Architecture = "skip"
    use_noise: bool = True


class EncodingConfig(Section):
    """Where and how the generator is conditioned on heatmaps (docs/method.md, section 3)."""

    layer: Name = "norm"  # concat, indoor, flatten, or a layer of one's own
    mode: Literal["coarse", "fine"] = "coarse"  # heatmap first brought to the layer's size, or first convolved
    max_resolution: PowerOfTwo | None = 16  # None: every layer (released)
    counts: Annotated[tuple[Depth, ...], AfterValidator(_one_or_three)] = (1, 2, 4)  # of each level; one: for all
    kernel_size: Literal[3, 5, 7] = 3  # of the convolutions of heatmaps
    dilation: Depth = 1  # of the same
    hidden_channels: Width = 64  # of the first convolution in a layer: shared by sigma and mu, or concatenated
    concat_channels: Width = 256  # between the two convolutions after concatenation
    residual_scale: Positive = 0.1
    demodulation: Literal["mean", "pixel"] = "mean"  # of SEL_indoor: by the mean style, or at every pixel, too
    registration: Registration = "corners"  # of heatmaps, to features and images; that of runs from before it was there

    @property
    def codes(self) -> int:
        """Latents of an image: one, or one for each object and one for the background."""
        return self.counts[0] + 1 if self.layer == "indoor" else 1

    @property
    def flat_features(self) -> int:
        """Numbers that a flattened layout adds to a latent: the pixels of 4x4, 8x8 and 16x16."""
        return sum(r * r for r in LEVEL_RESOLUTIONS) if self.layer == "flatten" else 0

    @model_validator(mode="after")
    def _check(self):
        if self.layer == "indoor" and len(self.counts) != 1:
            raise ValueError(f"layer indoor takes one number of objects, such as counts [3], not {list(self.counts)}")
        return self


class GeneratorConfig(Section):
    """Mapping, synthesis and, for steerable methods, the spatial encoding."""

    z_dim: int = Field(512, ge=0, le=2**16)
    c_dim: Labels = 0
    c_values: Labels = 0  # what the numbers of c are indices below, those of a label map or of words; 0: just numbers
    w_dim: Width = 512
    img_resolution: PowerOfTwo
    img_channels: Channels = 3
    mapping: MappingConfig = MappingConfig()
    synthesis: SynthesisConfig = SynthesisConfig()
    encoding: EncodingConfig | None = None
    backbone: Name = "stylegan2"
    truncation: Literal["w", "z"] = "w"  # towards the mean style, or of z's own values

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """Of one image's z: (z_dim,), or (objects + 1, z_dim) with the background last."""
        codes = 1 if self.encoding is None else self.encoding.codes
        return (self.z_dim,) if codes == 1 else (codes, self.z_dim)

    @model_validator(mode="after")
    def _check(self):
        _check_resolution(self.img_resolution)
        _check_channels(self.synthesis, self.img_resolution)
        if self.z_dim == 0 and self.c_dim == 0:
            raise ValueError("z_dim is 0, and there are no labels: nothing would tell one image from another")
        return self


class DiscriminatorConfig(ConvConfig):
    """The discriminator image, c -> logit."""

    architecture: Architecture = "resnet"
    c_dim: Labels = 0
    c_values: Labels = 0  # as G's
    img_resolution: PowerOfTwo
    img_channels: Channels = 3
    cmap_dim: int | None = Field(None, ge=0, le=2**16)  # width of the projected label; None: channels(4)
    mapping: MappingConfig = MappingConfig(w_avg_beta=None)
    mbstd_group_size: Count | None = 4  # samples per minibatch-std group; None: the whole batch
    mbstd_num_channels: int = Field(1, ge=0, le=2**16)
    freeze_layers: int = Field(0, ge=0, le=256)  # this many layers from the image on keep their weights (Freeze-D)
    backbone: Name = "stylegan2"

    @model_validator(mode="after")
    def _check(self):
        _check_resolution(self.img_resolution)
        _check_channels(self, self.img_resolution)
        if self.img_resolution < 8:
            raise ValueError(f"img_resolution is {self.img_resolution}, but D needs images of 8x8 or more")
        channels, planes = self.channels(4), self.mbstd_num_channels
        if planes > 0 and channels % planes:
            raise ValueError(f"mbstd_num_channels {planes} must divide the {channels} channels at 4x4")
        return self


class SamplerConfig(Section):
    """How random layouts are drawn (docs/method.md, section 2)."""

    kind: Name = "paper"
    spread: tuple[Spread, Spread] = (0.5, 1.0)  # range of level 0's; about the squared radius of an object
    apart: Annotated[float, Field(ge=0, le=2)] = 0  # multi-object: least distance of centres, if there is room
    margin: Annotated[float, Field(ge=0, lt=1)] = 0  # multi-object, uniform: least distance of centres from the borders
    impulse_share: Fraction = 0.05  # heatmap pixels that the sampler impulse sets to 0 or 1

    @model_validator(mode="after")
    def _check(self):
        if self.spread[0] > self.spread[1]:
            raise ValueError(f"sampler.spread {list(self.spread)} must be [lowest, highest]")
        return self


class AlignConfig(Section):
    """The alignment of D's attention with the layout (docs/method.md, section 4)."""

    weight: NonNegative = 1.0  # 0 switches it off
    tau: NonNegative = 0.25
    level_weights: tuple[NonNegative, NonNegative, NonNegative] = (1.0, 1.0, 1.0)
    gradient: Literal["logits", "loss"] = "logits"  # GradCAM of the logits (papers) or of G's loss (released)
    relu: Literal["sum", "channel"] = "sum"  # relu after the sum over channels (papers) or before it (released)
    resolution: Literal["level", "image"] = "level"  # where attention and heatmap are compared
    match: Literal["all", "best"] = "all"  # with the whole heatmap, or with the nearest of it and its parts (indoor)
    nearest: Literal["truncated", "l1"] = "truncated"  # what is nearest: by the truncated distance, or by the whole L1


class LossConfig(Section):
    """Adversarial loss and its regularisers."""

    adversarial: Name = "logistic"
    r1_gamma: NonNegative = 10.0
    r2_gamma: NonNegative = 0.0  # of the same penalty on generated images; 0 switches it off
    lazy: bool = True  # R1 and R2 every reg_interval steps, in steps of their own; false: in D's loss, at every step
    n_dis: Count = 1  # steps of D to one of G
    g_orthogonal: NonNegative = 0.0  # weight of the orthogonal regularization of G's layers; 0 switches it off
    d_orthogonal: NonNegative = 0.0  # and of D's
    orthogonal_form: Literal["filters", "full"] = "filters"  # W W^T off its diagonal (BigGAN), or W W^T - I
    pl_weight: NonNegative = 2.0  # 0 switches path length regularisation off
    pl_batch_shrink: Count = 2
    pl_decay: Fraction = 0.01
    style_mixing_prob: Fraction = 0.9
    feature_matching: NonNegative = 0.0  # weight of the matching of D's features in G's loss; 0 switches it off
    matched: Literal["images", "batches"] = "images"  # with the real image of the same condition, or means of a pass
    matching_aware: bool = False  # D's loss has the score of real images with wrong conditions, too
    kl_weight: NonNegative = 0.0  # of the conditioning augmentation's distance from a normal distribution, in G's loss
    move_weight: NonNegative = 0.0  # of the regularisation of centre movement (ours); 0 switches it off
    move_step: Annotated[float, Field(ge=1e-6, le=2)] = 0.1  # how far it moves a centre, in half sides of the image
    move_interval: Count = 8  # steps from one time to the next


class OptimizerConfig(Section):
    """Adam before the correction for lazy regularisation, and the interval of the latter."""

    lr: Rate = 0.0025
    betas: tuple[Decay, Decay] = (0.0, 0.99)
    eps: Rate = 1e-8
    reg_interval: Count
    encoding_lr: Positive = 1.0  # of heatmap encoder and spatial encoding layers, as a multiple of lr

    def corrected(self) -> tuple[float, tuple[float, float]]:
        """(lr, betas) for Adam when the regulariser runs as a step of its own every reg_interval steps.

        Applied whatever the regulariser's weight, as users of StyleGAN2-ADA's numbers expect.
        """
        ratio = self.reg_interval / (self.reg_interval + 1)
        return self.lr * ratio, (self.betas[0] ** ratio, self.betas[1] ** ratio)


class EmaConfig(Section):
    """Moving average of the generator's weights."""

    kimg: Annotated[float, Field(ge=0, le=1e9)] = 10.0  # half-life in thousands of images
    rampup: Positive | None = 0.05  # half-life is at most this share of the images shown so far

    def beta(self, images_shown: int, batch_size: int) -> float:
        """Decay for one step after which `images_shown` does not yet count the step's images."""
        half_life = self.kimg * 1000
        if self.rampup is not None:
            half_life = min(half_life, images_shown * self.rampup)
        return 0.5 ** (batch_size / max(half_life, 1e-8))


class DataConfig(Section):
    """The training images."""

    path: str
    conditional: bool = False
    condition: Condition = "labels"  # what on, where it is
    mirror: bool = False
    subset: Count | None = None
    workers: int = Field(2, ge=0, le=1024)
    # Found in the data, and kept so that a snapshot can name its classes:
    class_names: tuple[str, ...] = ()  # by class number, of words by index; () where they are the numbers, or unknown
    label_examples: tuple[tuple[float, ...], ...] = ()  # some labels, where these are lists of numbers and no classes


class RunConfig(Section):
    """Everything that defines a training run."""

    name: str
    method: str
    seed: int = Field(0, ge=0, lt=SEED_LIMIT)
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
    growth: GrowthConfig | None = None
    hardware: HardwareConfig = HardwareConfig()
    resume: str | None = None
    plugins: tuple[str, ...] = ()  # modules that registered what the names above stand for

    @model_validator(mode="after")
    def _check(self):
        for key in ("img_resolution", "img_channels", "c_dim", "c_values", "backbone"):
            ours, theirs = getattr(self.generator, key), getattr(self.discriminator, key)
            if ours != theirs:
                raise ValueError(f"generator.{key} is {ours}, but discriminator.{key} is {theirs}; they must agree")
        if self.discriminator.c_dim > 0 and self.discriminator.cmap_dim == 0:
            raise ValueError("discriminator.cmap_dim 0 leaves no room for labels; leave it out, or give 1 or more")
        _check_transforms(self.augment, self.generator.img_resolution, self.generator.img_channels)
        _check_levels(self.sampler, self.generator.encoding)
        _check_movement(self.loss, self.generator.encoding)
        _check_growth(self.growth, self.generator.img_resolution)
        _check_conditions(self.loss, self.generator.c_dim)
        schedule, group = self.schedule, self.discriminator.mbstd_group_size
        per_pass = schedule.batch_gpu or schedule.batch_size // self.hardware.gpus
        if per_pass == 0:
            raise ValueError(f"schedule.batch_size {schedule.batch_size} is less than one image for each GPU")
        if schedule.batch_size % (per_pass * self.hardware.gpus):
            raise ValueError(
                f"schedule.batch_size {schedule.batch_size} must be a multiple of "
                f"batch_gpu x gpus = {per_pass} x {self.hardware.gpus}"
            )
        _check_graphs(self.hardware, per_pass * self.hardware.gpus < schedule.batch_size)
        if group is not None and per_pass % min(group, per_pass):
            raise ValueError(
                f"discriminator.mbstd_group_size {group} must divide the number of images in a pass, {per_pass}; "
                "change --batch or the group size"
            )
        return self


def _check_growth(growth: GrowthConfig | None, resolution: int) -> None:
    if growth is None or growth.start_resolution is None:
        return
    _check_resolution(growth.start_resolution)
    if growth.start_resolution > resolution:
        raise ValueError(f"growth.start_resolution {growth.start_resolution} is above the images' {resolution}")


def _check_conditions(loss: LossConfig, c_dim: int) -> None:
    if loss.matching_aware and c_dim == 0:
        raise ValueError("loss.matching_aware is about conditions, and there are none; set it to false, or --cond=1")


def _check_graphs(hardware: HardwareConfig, several_passes: bool) -> None:
    """A replayed graph writes gradients where those of the pass before still are."""
    if several_passes and hardware.compile == "reduce-overhead" and hardware.device != "cpu":
        raise ValueError("hardware.compile reduce-overhead needs a pass for all images of a GPU; set "
                         "schedule.batch_gpu to batch_size / gpus, or use --compile=default")  # fmt: skip


def _check_levels(sampler: SamplerConfig, encoding: EncodingConfig | None) -> None:
    """Sampler and generator must speak of the same levels; a sampler that users registered may take any."""
    if encoding is None or sampler.kind not in SAMPLERS:
        return
    counts, flat = list(encoding.counts), sampler.kind == "multi-object"
    if flat != (len(counts) == 1):
        wanted = "one level, such as [3]" if flat else "three levels, such as [1, 2, 4]"
        raise ValueError(f"sampler.kind {sampler.kind} needs generator.encoding.counts of {wanted}, not {counts}")


def _check_movement(loss: LossConfig, encoding: EncodingConfig | None) -> None:
    if loss.move_weight > 0 and encoding is not None and encoding.layer == "flatten":
        raise ValueError(
            "loss.move_weight is about heatmaps that synthesis reads, and encoding layer flatten puts them into the "
            "latent; set it to 0"
        )


def _check_transforms(augment: AugmentConfig, resolution: int, channels: int) -> None:
    """Images must be large enough for the filter, and have colors (or be grey)."""
    if augment.mode == "noaug":
        return
    if augment.transforms.imgfilter > 0 and resolution < 22:
        raise ValueError(
            f"augment.transforms.imgfilter needs images of 22x22 or more, not {resolution}x{resolution}; "
            "set it to 0, or use --augpipe=bgc"
        )
    if channels not in (1, 3):
        raise ValueError(f"augmentation takes grey or RGB images; these have {channels} channels: use --aug=noaug")


def _check_resolution(resolution: int) -> None:
    if resolution & (resolution - 1):
        raise ValueError(f"img_resolution must be a power of two, not {resolution}")


def _check_channels(config: ConvConfig, resolution: int) -> None:
    if config.channels(resolution) < 1:
        raise ValueError(f"channel_base {config.channel_base} leaves no channel at {resolution}x{resolution}")
