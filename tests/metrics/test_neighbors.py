"""Precision, recall, density, coverage: by counting, and whatever the blocks."""

import pytest
import torch

from dnnlib.errors import UserError
from metrics import neighbors
from metrics.neighbors import agreement, blocks

pytestmark = pytest.mark.numeric


def sets(real: int = 60, fake: int = 45, width: int = 6):
    draw = torch.Generator().manual_seed(4)
    return torch.randn(real, width, generator=draw), torch.randn(fake, width, generator=draw) * 0.8 + 0.5


def counted(real, fake, k):
    """Straight from the definitions, in float64."""
    real, fake = real.double(), fake.double()
    radius = {
        name: torch.cdist(x, x).sort(1).values[:, k] for name, x in (("real", real), ("fake", fake))
    }
    distance = torch.cdist(real, fake)
    inside = distance < radius["real"][:, None]
    return (
        (distance <= radius["real"][:, None]).any(0).double().mean().item(),
        (distance <= radius["fake"]).any(1).double().mean().item(),
        inside.sum().item() / (k * len(fake)),
        inside.any(1).double().mean().item(),
    )


@pytest.mark.parametrize("k", [1, 3, 5])
def test_as_defined(k):
    assert agreement(*sets(), k) == pytest.approx(counted(*sets(), k), rel=1e-12)


@pytest.mark.parametrize("size", [1, 1000, 10**6])
def test_blocks_do_not_matter(size, monkeypatch):
    whole = agreement(*sets(), 3)
    monkeypatch.setattr(neighbors, "BLOCK_BYTES", size)
    assert agreement(*sets(), 3) == whole


def test_blocks_keep_to_their_size(monkeypatch):
    monkeypatch.setattr(neighbors, "BLOCK_BYTES", 4000)
    found = [distances for _, distances in blocks(*sets())]
    assert sum(map(len, found)) == 60
    assert max(distances.nbytes for distances in found) <= 4000


def test_far_from_the_origin_nothing_changes():
    real, fake = sets()
    assert agreement(real + 1000, fake + 1000, 3) == agreement(real, fake, 3)


def test_identical_sets():
    real, _ = sets()
    assert agreement(real, real.clone(), 3) == (1, 1, 1, 1)


def test_sets_that_have_nothing_to_do_with_each_other():
    real, fake = sets()
    assert agreement(real, fake + 100, 3) == (0, 0, 0, 0)


def test_too_few_images_are_refused():
    real, fake = sets()
    with pytest.raises(UserError, match="among 3 images none has 3 neighbours; at least 4 are needed"):
        agreement(real, fake[:3], 3)


@pytest.mark.slow
def test_memory_of_many_images(monkeypatch):
    """Beside the features, no more than three blocks and what is kept of each image: here 3 x 1 MiB."""
    monkeypatch.setattr(neighbors, "BLOCK_BYTES", 1 << 20)
    real, fake = torch.randn(4000, 64), torch.randn(4000, 64)
    with torch.profiler.profile(profile_memory=True, activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        agreement(real, fake, 3)
    held = peak = 0
    for event in sorted(profile.profiler.kineto_results.events(), key=lambda e: e.start_ns()):
        if event.name() == "[memory]":
            held += event.nbytes()
            peak = max(peak, held)
    copies = 2 * real.nbytes  # moved to the real ones' centre
    assert copies < peak <= copies + 3 * (1 << 20) + (1 << 20)
