"""Random styles of a model, and how much they vary: what directions without pictures are found from."""

from torch import Tensor

from dnnlib.errors import UserError
from training.latent.directions import Part
from training.networks.generator import Generator
from training.sampling import Model

FIRST_SEED = 2_000_000_000  # far from those that people choose
SEEDS_EACH = 1_000_000  # between those of one seed and those of the next
SAMPLES = 10_000


def drawn_seeds(count: int, seed: int) -> list[int]:
    """The seeds of `count` random latents, the same for the same seed."""
    first = FIRST_SEED + seed % 1000 * SEEDS_EACH
    return list(range(first, first + count))


def draw_styles(
    model: Model, layers: tuple[int, int] | None = None, part: Part = "all", count: int = SAMPLES, seed: int = 0
) -> Tensor:
    """w [M, w_dim] of random latents (and classes, where the model has any): those of all or some of an image's codes.

    layers: a range of num_ws, for its first; a mapping network gives all layers the same w.
    Raises UserError for a model without a space W.
    """
    check_mapped(model)
    seeds = drawn_seeds(count, seed)
    classes = model.config.generator.c_dim
    labels = [number % classes for number in range(count)] if classes else None
    layout = model.layout(seeds) if model.G.takes_layout_in_latent else None
    ws = model.styles(seeds, labels=labels, layout=layout)[:, check_range(layers, model.G.num_ws)[0]]
    if ws.ndim == 3:
        ws = {"objects": ws[:, :-1], "background": ws[:, -1:]}.get(part, ws).flatten(0, 1)
    return ws.cpu()


def deviations_along(ws: Tensor, vectors: Tensor) -> Tensor:
    """Standard deviations [k], positive, of w [M, w_dim] along vectors [k, w_dim]."""
    return (ws.double() @ vectors.double().T).std(0).clamp_min(1e-8).float()


def check_mapped(model: Model) -> None:
    """Raises UserError for a model without a mapping network: its W is its Z, which varies alike in all directions."""
    if not isinstance(model.G, Generator):
        backbone = model.config.generator.backbone
        raise UserError(f"the backbone {backbone} has no mapping network, so there is no space W to find directions in")


def check_range(layers: tuple[int, int] | None, num_ws: int) -> tuple[int, int]:
    """The range, or all. Raises UserError unless it is one of layers 0 to num_ws - 1."""
    first, last = layers or (0, num_ws - 1)
    if not 0 <= first <= last < num_ws:
        raise UserError(f"--layers {first}-{last}: this model has layers 0-{num_ws - 1}")
    return first, last
