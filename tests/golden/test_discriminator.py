"""The discriminator against golden vectors."""

import pytest

from tests.golden.cases import Case, assert_close, assert_close_gradients, assert_close_to_case, every_case, words
from tests.golden.networks import make_discriminator

pytestmark = pytest.mark.numeric

LOGIT_REL, GRADIENT_REL = 2e-5, 3e-5


def name(params: dict) -> str:
    options = (f"{key}={value}" for key, value in params["epilogue_kwargs"].items())
    return words([params["architecture"], params["img_resolution"], f"c_dim={params['c_dim']}", *options])


@every_case("discriminator.npz", name)
@pytest.mark.parametrize("channels_last", [False, True], ids=["contiguous", "channels_last"])
def test_logits_and_gradients(case: Case, channels_last: bool):
    net = make_discriminator(case.params, case.group("sd"), channels_last)
    assert sum(p.numel() for p in net.parameters()) == case.params["param_count"]
    images = case["img"].requires_grad_()
    logits = net(images, case.get("c")).logits
    assert_close_to_case(case, "logits", logits, LOGIT_REL)
    logits.sum().backward()
    assert_close(images.grad[:2], case["dimg_first2"], GRADIENT_REL, "dimg_first2")
    assert_close_gradients(net, case, GRADIENT_REL)
