"""Random features: fixed, and of use."""

import pytest
import torch

from metrics.extractors.random_features import random_features
from tests.training.small import global_streams

pytestmark = pytest.mark.numeric

DIGEST = "2380403d27307c7c1dc6b06477b2fed3f23f8823b886673cf94598dd6f4277d1"


def pictures(seed: int, side: int = 32) -> torch.Tensor:
    return torch.randint(0, 256, (4, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def test_the_weights_never_change():
    streams = global_streams()
    assert random_features().digest == DIGEST
    assert global_streams() == streams


def test_the_same_pictures_have_the_same_features():
    first, second = (random_features()(pictures(1))["pooled"] for _ in range(2))
    assert first.shape == (4, 512)
    assert torch.equal(first, second)


def test_batches_do_not_matter():
    extractor = random_features()
    together = extractor(pictures(1))["pooled"]
    each = torch.cat([extractor(pictures(1)[i : i + 1])["pooled"] for i in range(4)])
    assert torch.allclose(together, each, rtol=1e-4, atol=1e-5)


def test_pictures_of_any_size_that_differ_have_other_features():
    extractor = random_features()
    for side in (16, 64, 100):
        a, b = (extractor(pictures(seed, side))["pooled"] for seed in (1, 2))
        assert (a - b).abs().mean() > 0.01 * a.abs().mean()
