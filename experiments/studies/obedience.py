"""How `experiments.obedience` does it."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import click
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dnnlib.errors import UserError
from training.data.conditions import words_of
from training.data.dataset import ImageDataset
from training.data.of_run import open_data
from training.sampling import Model, to_uint8
from training.scenes.colors import NAMED, distance

HELD_OUT = 0.2  # share of the real pictures that a classifier does not see
STEPS, BATCH = 400, 64  # of its training
NEAR = 1.0  # colors.distance from which on a pixel no longer has a named colour
BETWEEN = 0.3  # how far from the middle a thing in the middle may be, of half a side
LEAST = 6  # pixels of a colour that is there

Judge = Callable[[np.ndarray, Sequence[int]], float]  # pictures uint8 [N, R, R, 3], items of the data set -> obedience


# --- classes ----------------------------------------------------------------------------------------------------


def classifier(images: Tensor, classes: Tensor, count: int) -> nn.Module:
    """Trained to tell `count` classes [N] of images [N, C, R, R] in [-1, 1] apart; the same on every call."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        widths = [images.shape[1], 16, 32, 32]
        layers: list[nn.Module] = []
        for ci, co in pairwise(widths):
            layers += [nn.Conv2d(ci, co, 3, stride=2, padding=1), nn.ReLU()]
        network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * widths[-1], count))
    optimizer, stream = torch.optim.Adam(network.parameters(), lr=0.003), torch.Generator().manual_seed(0)
    for _ in range(STEPS):
        chosen = torch.randint(len(images), [BATCH], generator=stream)
        loss = F.cross_entropy(network(images[chosen]), classes[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.eval()


def held_out(dataset: ImageDataset) -> list[int]:
    """Items that the classifier is not trained on."""
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(0))
    return order[round(len(dataset) * (1 - HELD_OUT)) :].tolist()


def class_judge(dataset: ImageDataset) -> Judge:
    pixels, classes = pictures_of(dataset, range(len(dataset))), labels_of(dataset, range(len(dataset))).argmax(1)
    unseen = set(held_out(dataset))
    seen = [item for item in range(len(dataset)) if item not in unseen]
    network = classifier(_as_input(pixels)[seen], classes[seen], dataset.label_dim)

    def judge(pictures: np.ndarray, items: Sequence[int]) -> float:
        with torch.no_grad():
            found = network(_as_input(pictures)).argmax(1)
        return (found == classes[list(items)]).float().mean().item()

    return judge


def _as_input(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1


# --- label maps -------------------------------------------------------------------------------------------------


def segmented(picture: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Classes [R, R] of a picture [R, R, 3] by colour: each pixel has that of the nearest of the map's own colours.

    A class's colour is its mean in the picture, where the map has it; the background has one for each row, as walls
    and floors have.
    """
    present = np.unique(classes)
    costs = [distance(picture, _own_color(picture, classes == number, number == 0)) for number in present]
    return present[np.argmin(costs, axis=0)]


def _own_color(picture: np.ndarray, mask: np.ndarray, by_row: bool) -> np.ndarray:
    """The mean colour [3], or [R, 1, 3], of the pixels of a mask."""
    mean = picture[mask].mean(axis=0)
    if not by_row:
        return mean
    rows = [line[here].mean(axis=0) if here.any() else mean for line, here in zip(picture, mask, strict=True)]
    return np.array(rows)[:, None]


def mean_iou(found: np.ndarray, wanted: np.ndarray, count: int) -> float:
    """Mean over classes of |found and wanted| / |found or wanted|, over all pixels [N, R, R]; classes that are in
    neither are left out."""
    pairs = [(found == number, wanted == number) for number in range(count)]
    return float(np.mean([(a & b).sum() / (a | b).sum() for a, b in pairs if (a | b).any()]))


def label_map_judge(dataset: ImageDataset) -> Judge:
    side = dataset.resolution

    def judge(pictures: np.ndarray, items: Sequence[int]) -> float:
        wanted = labels_of(dataset, items).reshape(-1, side, side).long().numpy()
        found = np.stack([segmented(*pair) for pair in zip(pictures, wanted, strict=True)])
        return mean_iou(found, wanted, len(dataset.class_names or []))

    return judge


# --- captions ---------------------------------------------------------------------------------------------------


def places(picture: np.ndarray) -> dict[str, np.ndarray]:
    """{colour: middle (x, y) of its pixels} of the named colours of a picture [R, R, 3], the most plentiful first."""
    gaps = np.stack([distance(picture, np.array(color)) for color in NAMED.values()])
    nearest, near = gaps.argmin(axis=0), gaps.min(axis=0) < NEAR
    spots = {name: np.argwhere((nearest == number) & near)[:, ::-1] for number, name in enumerate(NAMED)}
    there = {name: spot for name, spot in spots.items() if len(spot) >= LEAST}
    return {name: there[name].mean(axis=0) for name in sorted(there, key=lambda name: -len(there[name]))}


def is_as_said(picture: np.ndarray, caption: str) -> bool:
    """Whether the colours of a caption of one or two things are those of the picture, and where it says they are.

    Raises UserError for a caption of another form.
    """
    words = words_of(caption)
    wanted = [word for word in words if word in NAMED]
    side = next((word for word in words if word in _SIDES), None)
    if len(wanted) not in (1, 2) or side is None or (len(wanted) == 2 and side not in _BEFORE):
        raise UserError(f"'{caption}' does not say where one or two coloured things are; see toy --kind=playrooms")
    found = places(picture)
    if set(list(found)[: len(wanted)]) != set(wanted):
        return False
    if len(wanted) == 1:
        x = 2 * (found[wanted[0]][0] + 0.5) / len(picture) - 1
        return abs(x) < BETWEEN if side == "middle" else bool(x < 0) == (side == "left")
    axis, sign = _BEFORE[side]
    first, second = (found[name][axis] for name in wanted)
    return bool(sign * (second - first) > 0)


_BEFORE = {"left": (0, 1), "above": (1, 1), "below": (1, -1)}  # axis, and which way the second thing lies
_SIDES = (*_BEFORE, "right", "middle")


def caption_judge(dataset: ImageDataset) -> Judge:
    def judge(pictures: np.ndarray, items: Sequence[int]) -> float:
        texts = [dataset.caption(item) or "" for item in items]
        return float(np.mean([is_as_said(*pair) for pair in zip(pictures, texts, strict=True)]))

    return judge


# --- all three --------------------------------------------------------------------------------------------------


JUDGES = {
    "labels": ("accuracy of the classes", class_judge),
    "label-map": ("mean intersection over union", label_map_judge),
    "text": ("colours and side as said", caption_judge),
}


def pictures_of(dataset: ImageDataset, items: Sequence[int]) -> np.ndarray:
    """uint8 [N, R, R, C]."""
    return np.stack([dataset[item][0] for item in items]).transpose(0, 2, 3, 1)


def labels_of(dataset: ImageDataset, items: Sequence[int]) -> Tensor:
    """[N, label_dim]."""
    return torch.from_numpy(np.stack([dataset.get_label(item) for item in items]))


def obedience(model: Model, dataset: ImageDataset, count: int) -> dict[str, float]:
    """{whose pictures: how many of them are as they should be}. Raises UserError for a model without conditions."""
    if model.config.generator.c_dim == 0:
        raise UserError("this model has no condition to obey; give one of --cond=1, spade or stackgan")
    condition = model.config.data.condition
    judge = JUDGES[condition][1](dataset)
    pool = held_out(dataset) if condition == "labels" else list(range(len(dataset)))
    items = np.random.default_rng(0).choice(pool, min(count, len(pool)), replace=False).tolist()
    images = model.images(range(len(items)), labels=labels_of(dataset, items))
    real, others = pictures_of(dataset, items), items[1:] + items[:1]
    generated = to_uint8(images).permute(0, 2, 3, 1).cpu().numpy()
    return {"generated": judge(generated, items), "real": judge(real, items), "real, others'": judge(real, others)}


def study(network: Path, data: str | None, count: int) -> None:
    """What the command of this name does."""
    model = Model.load(network, "cpu")
    found = obedience(model, open_data(model.config, data), count)
    what = JUDGES[model.config.data.condition][0]
    click.echo(f"{what}: " + ", ".join(f"{name} {value:.3f}" for name, value in found.items()))
