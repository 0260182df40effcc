"""The experiment on minibatch standard deviation: what D is shown."""

import torch

from experiments.studies import collapse


def images(count: int) -> torch.Tensor:
    """Each of one color."""
    colors = torch.rand([count, 3, 1, 1], generator=torch.Generator().manual_seed(0)) * 2 - 1
    return colors.repeat(1, 1, 8, 8)


def test_a_batch_is_one_image_or_different_ones():
    repeated, different = collapse.batches(images(20), torch.Generator().manual_seed(0))
    assert repeated.shape == different.shape == (collapse.BATCH, 3, 8, 8)
    assert torch.equal(repeated, repeated[:1].expand_as(repeated))
    assert len(different.flatten(1).unique(dim=0)) == collapse.BATCH
