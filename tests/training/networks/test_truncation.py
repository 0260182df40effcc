"""Truncation of z by drawing again."""

import pytest
import torch

from dnnlib.errors import UserError
from tests.training.networks.lineage import generator, lineage_config
from training.networks.truncation import resampled
from training.sampling import Model

pytestmark = pytest.mark.numeric


def test_values_inside_stay_and_others_are_drawn_from_the_truncated_normal():
    z = torch.randn([4, 20_000], generator=torch.Generator().manual_seed(0))
    found = resampled(z, 0.8, range(4))
    inside = z.abs() <= 0.8
    assert torch.equal(found[inside], z[inside])
    assert found.abs().max() <= 0.8
    by_rejection = torch.randn([400_000], generator=torch.Generator().manual_seed(1))
    by_rejection = by_rejection[by_rejection.abs() <= 0.8]
    points = torch.linspace(0.05, 0.95, 19)
    drawn = found[~inside]
    torch.testing.assert_close(drawn.quantile(points), by_rejection[:200_000].quantile(points), atol=0.02, rtol=0)


def test_a_seed_gives_its_values_whatever_else_is_drawn():
    z = torch.randn([3, 64], generator=torch.Generator().manual_seed(0))
    assert torch.equal(resampled(z, 0.5, [7, 8, 9])[1], resampled(z[1:2], 0.5, [8])[0])
    assert torch.equal(resampled(z, 0, [7, 8, 9]), torch.zeros_like(z))
    with pytest.raises(UserError, match="truncation -1"):
        resampled(z, -1, [7, 8, 9])


@pytest.mark.parametrize("backbone", ["biggan", "sndcgan", "stylegan2"])
def test_any_backbone_can_truncate_its_latents(backbone):
    of = lineage_config(backbone, None, generator={"truncation": "z"})
    model = Model(generator(of), of, "cpu")
    plain, cut = model.images([1, 2]), model.images([1, 2], truncation_psi=0.5)
    expected = model.images(z=resampled(model.latents([1, 2]), 0.5, [1, 2]))
    torch.testing.assert_close(cut, expected)
    assert not torch.equal(plain, cut)
    torch.testing.assert_close(model.images([2], truncation_psi=0.5), cut[1:], atol=1e-4, rtol=0)
    for seeds, pictures in (([1, 2], cut), ([2], cut[1:])):  # as metrics draw them
        given = model.images(seeds, z=model.latents(seeds), truncation_psi=0.5)
        torch.testing.assert_close(given, pictures, atol=1e-4, rtol=0)
    with pytest.raises(UserError, match="leave the cutoff out"):
        model.images([1], truncation_psi=0.5, truncation_cutoff=2)
