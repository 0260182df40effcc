"""SeFa's and GANSpace's directions are those of dense reference computations."""

import numpy as np
import pytest
import torch

from dnnlib.errors import UserError
from editing.latent.ganspace import ganspace
from editing.latent.sefa import sefa, style_matrix
from editing.latent.styles import draw_styles
from tests.optional import is_installed
from tests.tiny_models import tiny_model
from tests.training.small import discriminator_config, generator_config, run_config, seeded
from training.networks.backbones import make_generator
from training.sampling import Model


def assert_same_up_to_sign(found: torch.Tensor, expected: np.ndarray, tolerance: float = 1e-4) -> None:
    """Rows of both have length 1."""
    cosines = (found.double().numpy() * expected).sum(1)
    np.testing.assert_allclose(np.abs(cosines), 1, atol=tolerance)


def affine_rows(model: Model, first: int, last: int, of_objects: bool = False) -> np.ndarray:
    """Rows of all affine maps of the layers first..last, by what the maps do to unit vectors."""
    synthesis, rows, start = model.G.synthesis, [], 0
    for r in synthesis.resolutions:
        block = synthesis.blocks[str(r)]
        for offset, layer in enumerate(block.styled_layers()):
            affine = layer.affine
            if of_objects:
                affine = None if layer.objects is None else layer.objects.affine
            if affine is not None and first <= start + offset <= last:
                w_dim = affine.weight.shape[1]
                with torch.no_grad():
                    rows.append((affine(torch.eye(w_dim)) - affine(torch.zeros(1, w_dim))).T.double().numpy())
        start += block.num_convs
    return np.concatenate(rows)


@pytest.mark.parametrize("layers", [None, (0, 1), (2, 4)])
def test_sefa_is_numpys_eigh_of_what_the_layers_do(layers: tuple[int, int] | None):
    model = tiny_model("stylegan2")
    rows = affine_rows(model, *(layers or (0, 99)))
    sizes, vectors = np.linalg.eigh(rows.T @ rows)
    assert np.diff(sizes).min() > 1e-3 * sizes.max()  # else directions would not be determined
    found = sefa(model, layers=layers)
    assert_same_up_to_sign(found.vectors, vectors.T[::-1])
    assert found.layers == layers
    changes = np.linalg.norm(rows @ found.vectors.double().numpy().T, axis=0)
    np.testing.assert_allclose(changes**2, sizes[::-1], rtol=1e-4)


@pytest.mark.parametrize("part", ["objects", "background"])
def test_sefa_of_scenes_factorises_the_maps_of_the_part(part: str):
    model = tiny_model("spatialgan-indoor")
    for module in model.G.synthesis.modules():  # objects begin alike
        if type(module).__name__ == "ObjectAffine":
            torch.nn.init.normal_(module.affine.weight, generator=torch.Generator().manual_seed(1))
    rows = affine_rows(model, 0, 99, of_objects=part == "objects")
    np.testing.assert_allclose(style_matrix(model, None, part).numpy(), rows, atol=1e-6)
    assert_same_up_to_sign(sefa(model, 3, part=part).vectors, np.linalg.eigh(rows.T @ rows)[1].T[::-1][:3])


def test_sefa_of_stylegan_has_two_maps_a_resolution():
    model = other_model("stylegan")
    synthesis = model.G.synthesis
    ends = [after[str(r)].style for r in synthesis.resolutions for after in (synthesis.after0, synthesis.after1)]
    rows = torch.cat([end.weight * end.weight_gain for end in ends]).detach().double().numpy()
    np.testing.assert_allclose(style_matrix(model, None, "all").numpy(), rows)


def test_deviations_are_those_of_random_styles():
    model = tiny_model("stylegan2")
    found = sefa(model, 2)
    along = draw_styles(model).double() @ found.vectors.double().T
    np.testing.assert_allclose(found.deviations.numpy(), along.std(0).numpy(), rtol=1e-5)


@pytest.mark.skipif(not is_installed("sklearn"), reason="scikit-learn is missing")
@pytest.mark.parametrize("method, part", [
    ("stylegan2", None), ("spatialgan-indoor", None), ("spatialgan-indoor", "background"),
])  # fmt: skip
def test_ganspace_is_the_pca_of_scikit_learn(method: str, part: str | None):
    from sklearn.decomposition import PCA

    model = tiny_model(method)
    ws = draw_styles(model, None, part or ("objects" if method.endswith("indoor") else "all"), 500, seed=3)
    expected = PCA(n_components=5, svd_solver="full").fit(ws.double().numpy())
    found = ganspace(model, 5, part=part, samples=500, seed=3)
    assert_same_up_to_sign(found.vectors, expected.components_)
    np.testing.assert_allclose(found.deviations.numpy() ** 2, expected.explained_variance_, rtol=1e-4)


def test_ganspace_is_a_dense_eigendecomposition_of_the_covariance():
    model = tiny_model("stylegan2")
    ws = draw_styles(model, count=300).double().numpy()
    sizes, vectors = np.linalg.eigh(np.cov(ws.T))
    found = ganspace(model, samples=300, layers=(1, 2))
    assert found.layers == (1, 2)
    assert_same_up_to_sign(found.vectors, vectors.T[::-1])
    np.testing.assert_allclose(found.deviations.numpy() ** 2, sizes[::-1], rtol=1e-4)


def test_the_same_seed_finds_the_same():
    model = tiny_model("spatialgan")
    first, again, other = (ganspace(model, 2, samples=50, seed=seed).vectors for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("find", [sefa, ganspace])
def test_layers_that_are_not_there_are_refused(find):
    with pytest.raises(UserError, match="--layers 0-9: this model has layers 0-5"):
        find(tiny_model("stylegan2"), 3, (0, 9))


@pytest.mark.parametrize("find", [sefa, ganspace])
def test_a_network_without_styles_is_refused(find):
    with pytest.raises(UserError, match=r"SeFa needs a network whose layers take styles|has no mapping network"):
        find(other_model("sndcgan"), 3)


def other_model(backbone: str) -> Model:
    shape = {"backbone": backbone}
    config = run_config(
        method=backbone,
        generator=generator_config(**shape, encoding=None),
        discriminator=discriminator_config(**shape),
    )
    return Model(seeded(lambda: make_generator(config.generator)), config, "cpu")
