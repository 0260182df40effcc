"""A trained model, and the one function through which all of its pictures are made.

    model = Model.load("runs/00000-demo")
    layout = model.layout([7]).moved(0, 0, 0.3, 0.0)
    images = model.images([7], layout=layout)

Everything random comes from a seed: the same seed gives the same latent, layout and noise on every call, whatever
other seeds share the call.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import torch
from torch import Tensor

from dnnlib.errors import UserError
from dnnlib.words import counted
from torch_utils.devices import choose_device
from torch_utils.randomness import RandomStreams
from training.config import RunConfig
from training.layouts.layout import Layout, check_counts, concatenate
from training.layouts.samplers import sample_layout
from training.networks.backbones import GeneratorNetwork
from training.networks.cuda_graphs import CapturedSynthesis
from training.networks.generator import set_memory_format
from training.networks.precision import Precision, check_precision, set_precision
from training.networks.synthesis import Noise, NoiseMode
from training.networks.truncation import resampled
from training.runs.snapshot import open_snapshot

SEED_LIMIT = 2**32
InTurn = Sequence[int] | Sequence[Sequence[float]]  # labels: class numbers, or rows
Labels = int | InTurn | Tensor
T = TypeVar("T", Tensor, Layout)
Weights = Literal["G_ema", "G"]


class Model:
    """A generator with its configuration on one device. `kimg`: thousands of images it was trained on."""

    def __init__(self, generator: GeneratorNetwork, config: RunConfig, device: str | torch.device, kimg: float = 0.0):
        self.device = choose_device(device)
        self.G = generator.to(self.device).eval()
        self.config, self.kimg = config, kimg
        on_gpu = self.device.type == "cuda"
        self._synthesize = CapturedSynthesis(self.G.synthesis) if on_gpu else self.G.synthesis

    @classmethod
    def load(
        cls,
        path: str | Path,
        device: str | torch.device = "auto",
        weights: Weights = "G_ema",
        precision: Precision = "trained",
    ) -> "Model":
        """Load a snapshot file, or the newest one of a run directory.

        precision: of the synthesis network: "trained" as the configuration has it, or all layers above 4x4 in
        "float32", "bfloat16" or (on a GPU) "float16".

        Raises UserError when there is no readable snapshot at `path`, no such device, or an unknown choice.
        """
        if weights not in get_args(Weights):
            raise UserError(f"no weights '{weights}' in a snapshot; use G_ema or G")
        device = choose_device(device)
        check_precision(precision, device)
        snapshot = open_snapshot(path)
        with torch.random.fork_rng(devices=[]):  # a new network draws weights, although they are replaced at once
            generator = snapshot.generator(weights)
        set_memory_format(generator, channels_last=True)
        set_precision(generator.synthesis, precision)
        return cls(generator, snapshot.config, device, snapshot.kimg)

    @property
    def is_layout_conditioned(self) -> bool:
        """Whether it is conditioned on layouts."""
        return self.config.generator.encoding is not None

    def latents(self, seeds: Sequence[int]) -> Tensor:
        """z [N, z_dim], one row a seed; [N, n + 1, z_dim] for scenes of n objects, the background's code last.

        To restyle an object, replace its code: z[:, i] = model.latents([other])[:, i].
        """
        seeds, z_dim = _checked_seeds(seeds), self.config.generator.z_dim
        shape = self.config.generator.latent_shape
        z = latents(seeds, z_dim) if len(shape) == 1 else object_latents(seeds, shape[0] - 1, z_dim)
        return z.to(self.device)

    def layout(self, seeds: Sequence[int]) -> Layout | None:
        """Random layouts, one a seed, drawn as in training; None when the model takes none."""
        encoding = self.config.generator.encoding
        if encoding is None:
            return None
        sampler = self.config.sampler
        streams = [RandomStreams(seed, "cpu")["layout"] for seed in _checked_seeds(seeds)]
        drawn = concatenate([sample_layout(1, sampler, stream, encoding.counts) for stream in streams])
        return drawn.registered(encoding.registration).to(self.device)

    def fitted(self, layout: Layout, where: str = "layout") -> Layout:
        """A layout that this model takes. Raises UserError naming `where` when its levels are not the model's."""
        encoding = self.config.generator.encoding
        if encoding is None:
            raise UserError(f"{where}: this model (method {self.config.method}) takes no layout; leave it out")
        return check_counts(layout, encoding.counts, where).registered(encoding.registration)

    def labels_in_turn(self, count: int) -> InTurn | None:
        """Labels of `count` pictures: the classes in turn, or examples of captions and the like; None for no labels."""
        config, examples = self.config.generator, self.config.data.label_examples
        if config.c_dim == 0:
            return None
        if not examples and config.c_values == 0:
            return [number % config.c_dim for number in range(count)]
        rows = examples or ((0.0,) * config.c_dim,)
        return [rows[number % len(rows)] for number in range(count)]

    def styles(
        self,
        seeds: Sequence[int] | None = None,
        *,
        z: Tensor | None = None,
        ws: Tensor | None = None,
        layout: Layout | None = None,
        labels: Labels | None = None,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
    ) -> Tensor:
        """ws [N, num_ws, (n + 1,) w_dim] that images() would use when called with the same arguments.

        `layout` matters only where it is a part of the latent (SEL "flatten"). Where z is truncated, what a coordinate
        gets instead depends on the seed of its picture, or on the number of the picture among those without seeds.
        """
        if ws is not None:
            if z is not None or labels is not None or truncation_psi != 1:
                raise UserError("ws are final styles: z, labels and truncation cannot be combined with them")
            ws = _checked_shape("ws", ws, list(self.G.w_shape))
            return _one_each(ws, len(ws) if seeds is None else len(seeds), "latents").to(self.device)
        drawn = _checked_seeds(seeds) if seeds is not None or z is None else range(len(z))
        z = self.latents(drawn) if z is None else _one_each(self.checked_z(z), len(drawn), "latents")
        if truncation_psi != 1 and self.config.generator.truncation == "z":
            if truncation_cutoff is not None:
                raise UserError("this model truncates z, which is of no layer; leave the cutoff out")
            z, truncation_psi = resampled(z.cpu(), truncation_psi, drawn), 1.0
        if truncation_psi != 1 and self.config.generator.mapping.w_avg_beta is None:
            raise UserError("this model was trained without a mean style (w_avg_beta: null), so it cannot truncate")
        rows = self._label_rows(labels, len(z))
        layout = self._layout_of(layout, seeds, len(z)) if self.G.takes_layout_in_latent else None
        with torch.inference_mode():
            ws = self.G.styles(z.to(self.device), rows, truncation_psi, truncation_cutoff, layout=layout)
        return ws.clone()  # unlike a tensor of inference mode, a copy can be optimised or changed in place

    def images(
        self,
        seeds: Sequence[int] | None = None,
        *,
        z: Tensor | None = None,
        ws: Tensor | None = None,
        layout: Layout | None = None,
        labels: Labels | None = None,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        noise_mode: NoiseMode = "const",
        batch_size: int = 32,
        block_outputs: dict[int, Tensor] | None = None,
    ) -> Tensor:
        """Images [N, C, R, R], float32 on the model's device, values about [-1, 1].

        seeds: N numbers; they give the latents, the layouts and random noise, each unless passed in.
        z [N, z_dim] or ws [N, num_ws, w_dim]: latents instead (one for all seeds, or one each); of scenes with n
        objects z [N, n + 1, z_dim] or ws [N, num_ws, n + 1, w_dim].
        layout: where things are, one for all or one each; None: self.layout(seeds).
        labels: for conditional models only, class numbers or rows [N, c_dim]; one for all or one each.
        truncation_psi: 1 is off, 0 the mean picture; truncation_cutoff: only in this many first layers. Where the
        configuration says generator.truncation z: values of z beyond +-truncation_psi are drawn again.
        noise_mode: per-pixel noise "const" (the model's own), "random" (by seed) or "none".
        batch_size: images at a time; changes nothing but rounding in the last bits.
        block_outputs: an empty dictionary to be filled with {r: the synthesis network's features [N, C, r, r]}.

        Raises UserError when something is missing, does not fit the model, or has the wrong length.
        """
        seeds = None if seeds is None else _checked_seeds(seeds)
        truncation: dict[str, Any] = {"truncation_psi": truncation_psi, "truncation_cutoff": truncation_cutoff}
        ws = self.styles(seeds, z=z, ws=ws, layout=layout, labels=labels, **truncation)
        layout = self._layout_of(layout, seeds, len(ws))
        parts: list[Tensor] = []
        outputs: list[dict[int, Tensor]] = []
        with torch.inference_mode():
            for start in range(0, len(ws), batch_size):
                now = slice(start, start + batch_size)
                noise = self._noise(noise_mode, None if seeds is None else seeds[now])
                outputs.append({})
                wanted: dict[str, Any] = {} if block_outputs is None else {"block_outputs": outputs[-1]}
                here = None if layout is None else layout[now]
                synthesize = self.G.synthesis if wanted else self._synthesize
                parts.append(synthesize(ws[now], here, noise, **wanted).float())
            if block_outputs is not None:
                block_outputs |= {r: torch.cat([part[r] for part in outputs]).float() for r in outputs[0]}
        return torch.cat(parts)

    def checked_z(self, z: Tensor) -> Tensor:
        """`z`. Raises UserError unless it is [N, *latent_shape], as this model takes latents."""
        return _checked_shape("z", z, list(self.config.generator.latent_shape))

    def _layout_of(self, layout: Layout | None, seeds: Sequence[int] | None, count: int) -> Layout | None:
        encoding = self.config.generator.encoding
        if encoding is None:
            if layout is not None:
                raise UserError(f"this model (method {self.config.method}) takes no layout; leave it out")
            return None
        if layout is None:
            if seeds is None:
                raise UserError("this model needs a layout; give one, or seeds to draw it from")
            return self.layout(seeds)
        return _one_each(self.fitted(layout), count, "layouts").to(self.device)

    def _label_rows(self, labels: Labels | None, count: int) -> Tensor | None:
        """[count, c_dim], or None for an unconditional model."""
        c_dim = self.config.generator.c_dim
        if c_dim == 0:
            if labels is not None:
                raise UserError("this model was trained without labels; leave the class out")
            return None
        of_classes = self.config.generator.c_values == 0
        if labels is None:
            wanted = f"a class from 0 to {c_dim - 1}" if of_classes else f"rows of {counted(c_dim, 'number')}"
            raise UserError(f"this model was trained with {'labels' if of_classes else 'conditions'}; give {wanted}")
        labels = _as_tensor(labels).to(self.device)
        if not of_classes and labels.ndim != 2:
            raise UserError(
                f"this model was trained with {self.config.data.condition}; give rows of {counted(c_dim, 'number')}"
            )
        rows = labels if labels.ndim == 2 else _one_hot(labels.reshape(-1), c_dim)
        return _one_each(_checked_shape("labels", rows, [c_dim]), count, "labels")

    def _noise(self, mode: NoiseMode, seeds: Sequence[int] | None) -> Noise:
        if mode not in get_args(NoiseMode):
            raise UserError(f"unknown noise mode '{mode}'; use {', '.join(get_args(NoiseMode))}")
        if mode != "random":
            return Noise(mode)
        if seeds is None:
            raise UserError("random noise is drawn by seed; give seeds")
        return Noise(mode, [RandomStreams(seed, self.device)["noise"] for seed in seeds])


def _checked_seeds(seeds: Sequence[int] | None) -> list[int]:
    if seeds is None or len(seeds) == 0:
        raise UserError("nothing to generate: give seeds, such as [0, 1, 2], or latents")
    for seed in seeds:
        if not 0 <= seed < SEED_LIMIT:
            raise UserError(f"seed {seed} is outside 0 to {SEED_LIMIT - 1}")
    return [int(seed) for seed in seeds]


def _checked_shape(name: str, value: Tensor, shape: list[int]) -> Tensor:
    """`value` as float32. Raises UserError unless it is [N, *shape] with N >= 1."""
    if list(value.shape[1:]) != shape or len(value) == 0:
        wanted = ", ".join(map(str, ["N", *shape]))
        raise UserError(f"{name} must have the shape [{wanted}] for this model, not {list(value.shape)}")
    return value.float()


def _as_tensor(labels: Labels) -> Tensor:
    try:
        return torch.as_tensor(labels)
    except (RuntimeError, TypeError, ValueError) as error:  # numbers beyond 64 bits, rows of different lengths
        raise UserError(f"labels are class numbers, or rows of numbers, all of one length ({error})") from error


def _one_hot(classes: Tensor, c_dim: int) -> Tensor:
    for number in classes.tolist():
        if number not in range(c_dim):
            raise UserError(f"class {number} does not exist; this model has the classes 0 to {c_dim - 1}")
    return torch.nn.functional.one_hot(classes.long(), c_dim)


def _one_each(things: T, count: int, what: str) -> T:
    """`things` for `count` pictures: as they are, or the only one for every picture."""
    if len(things) not in (1, count):
        raise UserError(f"{len(things)} {what} for {counted(count, 'picture')}; give one for all, or one for each")
    if len(things) == count:
        return things
    return things.expand(count, *things.shape[1:]) if isinstance(things, Tensor) else things[[0] * count]


def to_uint8(images: Tensor) -> Tensor:
    """Images about [-1, 1], any shape, as files and metrics have them: 127.5 x + 128 in [0, 255], rounded down."""
    return (images * 127.5 + 128).clamp(0, 255).to(torch.uint8)


def latents(seeds: list[int], z_dim: int) -> Tensor:
    """z [len(seeds), z_dim], row i from seeds[i] (below 2**32) alone: the same in every batch."""
    rows = [torch.randn([z_dim], generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return torch.stack(rows)


def object_latents(seeds: list[int], objects: int, z_dim: int) -> Tensor:
    """z [len(seeds), objects + 1, z_dim]: the codes of the objects, then the background's.

    A code depends on its seed and on which object it is for, not on how many objects there are.
    """
    names = [*(f"object {i}" for i in range(objects)), "background"]
    return torch.stack([torch.stack([_code(seed, name, z_dim) for name in names]) for seed in seeds])


def _code(seed: int, name: str, z_dim: int) -> Tensor:
    return torch.randn([z_dim], generator=RandomStreams(seed, "cpu")[name])
