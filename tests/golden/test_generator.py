"""The generator without spatial encoding against golden vectors."""

import pytest

from tests.golden.cases import Case, assert_close_gradients, assert_close_to_case, every_case, words
from tests.golden.networks import make_generator
from training.networks.synthesis import Noise

STYLES_REL, IMAGE_REL, GRADIENT_REL = 1e-5, 1e-5, 3e-5


def name(params: dict) -> str:
    options = params["synthesis_kwargs"]
    clamp = f"clamp={options.get('conv_clamp')}"
    return words([options["architecture"], params["img_resolution"], f"c_dim={params['c_dim']}", clamp])


@pytest.fixture(params=[False, True], ids=["contiguous", "channels_last"])
def net(request: pytest.FixtureRequest, case: Case):
    return make_generator(case.params, case.group("sd"), channels_last=request.param)


@every_case("generator.npz", name)
def test_styles_and_layer_count(case: Case, net):
    assert net.num_ws == case.params["num_ws"]
    assert sum(p.numel() for p in net.parameters()) == case.params["param_count"]
    assert_close_to_case(case, "ws", net.styles(case["z"], case.get("c")), STYLES_REL)


@every_case("generator.npz", name)
def test_image_with_constant_noise_and_its_gradients(case: Case, net):
    ws = net.styles(case["z"], case.get("c")).detach().requires_grad_()
    image = net.synthesis(ws)
    assert_close_to_case(case, "img_const", image, IMAGE_REL)
    image.backward(case["g"])
    assert_close_to_case(case, "dws", ws.grad, GRADIENT_REL)
    assert_close_gradients(net, case, GRADIENT_REL)


@every_case("generator.npz", name)
def test_image_without_noise(case: Case, net):
    assert_close_to_case(case, "img_none", net(case["z"], case.get("c"), noise=Noise("none")), IMAGE_REL)


@every_case("generator.npz", name)
def test_truncated_image(case: Case, net):
    if "img_trunc" in case:
        psi, cutoff = case.params["trunc_psi"], case.params["trunc_cutoff"]
        image = net(case["z"], case.get("c"), truncation_psi=psi, truncation_cutoff=cutoff)
        assert_close_to_case(case, "img_trunc", image, IMAGE_REL)
