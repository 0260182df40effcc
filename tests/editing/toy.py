"""A generator whose picture is one patch of smooth texture that moves with the center of level 0 and with its style."""

from types import SimpleNamespace

import torch
from torch import Tensor

from training.layouts.layout import Layout
from training.networks.synthesis import CONSTANT_NOISE

SIZE = 33
REACH = 0.5  # that a style of 1 moves it by


class ToySynthesis:
    """obedience: by how much of its center's way the texture moves."""

    resolutions = (SIZE,)

    def __init__(self, obedience: float = 1.0):
        self.obedience = obedience

    def __call__(self, ws: Tensor, layout: Layout | None, noise=CONSTANT_NOISE, block_outputs=None) -> Tensor:
        middle = ws[:, 0, :2] * REACH + (0 if layout is None else self.obedience * layout.centers[0][:, 0])
        axis = torch.linspace(-1, 1, SIZE)
        x, y = axis[None, None] - middle[:, 0, None, None], axis[None, :, None] - middle[:, 1, None, None]
        weight = torch.exp(-(x.square() + y.square()) / 0.5)
        features = torch.stack([weight, weight * x, weight * y, weight * x * y], 1)
        if block_outputs is not None:
            block_outputs[SIZE] = features
        return features[:, :3]


def toy_model(is_layout_conditioned: bool = True, obedience: float = 1.0) -> SimpleNamespace:
    """What dragging uses of a Model."""
    encoding = SimpleNamespace(counts=(1,), registration="corners") if is_layout_conditioned else None
    generator = SimpleNamespace(img_resolution=SIZE, img_channels=3, encoding=encoding)
    network = SimpleNamespace(synthesis=ToySynthesis(obedience), w_shape=(1, 2), takes_layout_in_latent=False)
    config = SimpleNamespace(generator=generator)
    about = {"device": torch.device("cpu"), "config": config, "is_layout_conditioned": is_layout_conditioned}
    return SimpleNamespace(G=network, **about)


def toy_layout() -> Layout:
    return Layout((torch.tensor([[[-0.2, 0.0]]]),), (torch.full([1, 1], 0.3),))
