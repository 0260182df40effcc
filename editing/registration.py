"""Where -1 and 1 are in a model's pictures (training/layouts/registration.py), for points and masks in them."""

import numpy as np
import torch

from training.config import Registration
from training.layouts.registration import positions
from training.sampling import Model


def registration_of_model(model: Model) -> Registration:
    """That of its layouts; "corners" where it takes none."""
    encoding = model.config.generator.encoding
    return "corners" if encoding is None else encoding.registration


def pixel_size(resolution: int, registration: Registration) -> float:
    """The distance of two pixels of a picture, in coordinates from -1 to 1."""
    return 2 / (resolution - 1 if registration == "corners" else resolution)


def disc_of_pixels(x: float, y: float, radius: float, resolution: int, registration: Registration) -> np.ndarray:
    """float32 [resolution, resolution], 1 at the pixels whose middles are within a circle."""
    axis = positions(resolution, registration, torch.empty(0)).numpy()
    return ((axis[None, :] - x) ** 2 + (axis[:, None] - y) ** 2 <= radius * radius).astype(np.float32)
