"""The mapping network against golden vectors."""

import torch

from tests.golden.cases import Case, assert_close_gradients, assert_close_to_case, every_case, load, words
from training.config import MappingConfig
from training.networks.mapping import MappingNetwork, truncate

REL = 1e-5
SIZES = ("z_dim", "c_dim", "w_dim")


def name(params: dict) -> str:
    return words(f"{key}={params[key]}" for key in (*SIZES, "num_layers", "num_ws"))


def network(case: Case) -> MappingNetwork:
    settings = {key: value for key, value in case.params.items() if key in MappingConfig.model_fields}
    return load(MappingNetwork(*(case.params[key] for key in SIZES), MappingConfig(**settings)), case.group("sd"))


def repeat(case: Case, w: torch.Tensor) -> torch.Tensor:
    count = case.params["num_ws"]
    return w if count is None else w[:, None].repeat(1, count, 1)


@every_case("mapping.npz", name)
def test_styles_and_gradients(case: Case):
    net, z = network(case), case.get("z")
    z = None if z is None else z.requires_grad_()
    ws = repeat(case, net(z, case.get("c")))
    assert_close_to_case(case, "ws", ws, REL)
    ws.backward(case["g"])
    assert_close_gradients(net, case, REL)
    if z is not None:
        assert_close_to_case(case, "dz", z.grad, REL)


@every_case("mapping.npz", name)
def test_truncation(case: Case):
    net = network(case)
    ws = repeat(case, net(case.get("z"), case.get("c")))
    for i, (psi, cutoff) in enumerate(case.params["psis"]):
        assert_close_to_case(case, f"ws_trunc{i}", truncate(ws, net.w_avg, psi, cutoff), REL)


@every_case("mapping.npz", name)
def test_moving_mean_of_styles(case: Case):
    if "w_avg_after_train_forward" in case:
        net = network(case)
        net(case.get("z"), case.get("c"), update_w_avg=True)
        assert_close_to_case(case, "w_avg_after_train_forward", net.w_avg, REL)
