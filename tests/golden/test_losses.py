"""The six loss phases of the reference against golden vectors, two ways.

By hand from training/losses/adversarial.py and regularizers.py, and through the functions that the training loop calls
(training/losses/phases.py), where the reference's Gboth and Dboth are two phases whose gradients add up.
"""

import json
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tests.golden.cases import Case, assert_close, assert_close_gradients, assert_close_to_case, every_case
from tests.golden.networks import discriminator_config, generator_config, make_discriminator, make_generator
from torch_utils.randomness import RandomStreams
from training.config import RunConfig
from training.inputs import Batch, Inputs
from training.losses import adversarial, regularizers
from training.losses.phases import Networks, d_main, d_r1, g_main, g_path
from training.networks.synthesis import Noise

pytestmark = pytest.mark.numeric

TERM_REL, GRADIENT_REL, ABSOLUTE = 2e-5, 1e-4, 1e-6
SETTINGS = ("r1_gamma", "pl_weight", "pl_batch_shrink", "pl_decay", "style_mixing_prob")

# phase of the reference: (the network it trains, our phases)
PHASES: dict[str, tuple[str, list[Callable]]] = {
    "Gmain": ("G", [g_main]),
    "Greg": ("G", [g_path]),
    "Gboth": ("G", [g_main, g_path]),
    "Dmain": ("D", [d_main]),
    "Dreg": ("D", [d_r1]),
    "Dboth": ("D", [d_main, d_r1]),
}


def name(params: dict) -> str:
    return params["phase"]


@pytest.fixture
def networks(case: Case) -> Networks:
    """Both networks, of which only the phase's own learns."""
    params = json.loads(case.common_text("networks_note"))
    trained = PHASES[case.params["phase"]][0]
    G = make_generator(params["G"], case.common_group("G_sd")).requires_grad_(trained == "G")
    D = make_discriminator(params["D"], case.common_group("D_sd")).requires_grad_(trained == "D")
    return Networks(G, D, torch.tensor(case.params["pl_mean_before"]))


# ---- by hand


class ByHand:
    """Computes the loss of a phase, and notes each term under the reference's name."""

    def __init__(self, case: Case, networks: Networks):
        self.case, self.params, self.networks = case, case.params, networks
        self.terms: dict[str, Tensor] = {}

    def loss(self) -> Tensor:
        parts = {"Gmain": [self.g_main], "Greg": [self.g_reg], "Dmain": [self.d_main], "Dreg": [self.d_reg]}
        parts |= {"Gboth": parts["Gmain"] + parts["Greg"], "Dboth": parts["Dmain"] + parts["Dreg"]}
        return sum(part() for part in parts[self.params["phase"]])

    def generate(self, count: int | None = None) -> tuple[Tensor, Tensor]:
        z, c = self.case.common("z")[:count], self.case.common("c")[:count]
        ws = self.networks.G.styles(z, c, update_w_avg=True)
        return self.networks.G.synthesis(ws, noise=Noise("none")), ws

    def judge(self, kind: str, images: Tensor) -> Tensor:
        labels = self.case.common("real_c" if kind == "real" else "c")
        logits = self.networks.D(images, labels).logits
        self.terms |= {f"Loss/scores/{kind}": logits, f"Loss/signs/{kind}": logits.sign()}
        return logits

    def g_main(self) -> Tensor:
        loss = adversarial.generator_loss(self.judge("fake", self.generate()[0]))
        self.terms["Loss/G/loss"] = loss
        return loss.mean()

    def g_reg(self) -> Tensor:
        images, ws = self.generate(self.params["N"] // self.params["pl_batch_shrink"])
        lengths = regularizers.path_lengths(images, ws, self.case["pl_noise"])
        before = self.networks.pl_mean
        penalty, self.networks.pl_mean = regularizers.path_length_penalty(lengths, before, self.params["pl_decay"])
        self.terms |= {"Loss/pl_penalty": penalty, "Loss/G/reg": penalty * self.params["pl_weight"]}
        return self.terms["Loss/G/reg"].mean()

    def d_main(self) -> Tensor:
        fake = self.judge("fake", self.generate()[0])
        loss = adversarial.discriminator_loss(fake, self.judge("real", self.case.common("real_img")))
        self.terms["Loss/D/loss"] = loss
        return loss.mean()

    def d_reg(self) -> Tensor:
        images = self.case.common("real_img").requires_grad_()
        penalty = regularizers.r1_penalty(self.judge("real", images), images)
        self.terms |= {"Loss/r1_penalty": penalty, "Loss/D/reg": penalty * (self.params["r1_gamma"] / 2)}
        return self.terms["Loss/D/reg"].mean()


@every_case("losses.npz", name)
def test_loss_functions(case: Case, networks: Networks):
    by_hand = ByHand(case, networks)
    (by_hand.loss() * case.params["gain"]).backward()
    assert set(case.group("term")) == set(by_hand.terms)
    for name, term in by_hand.terms.items():
        assert_close_to_case(case, f"term/{name}", term, TERM_REL)
    assert_close_to_case(case, "w_avg_after", networks.G.mapping.w_avg, TERM_REL)
    check_training(case, networks)


# ---- through the phases of the training loop


def run_config(case: Case) -> RunConfig:
    params = json.loads(case.common_text("networks_note"))
    return RunConfig(
        name="golden",
        method="stylegan2",
        data={"path": "none"},
        generator=generator_config(params["G"]),
        discriminator=discriminator_config(params["D"]),
        loss={key: case.params[key] for key in SETTINGS},
        schedule={"batch_size": case.params["N"]},
    )


def terms_of(statistics: dict[str, Tensor], case: Case) -> dict[str, Tensor]:
    """What our phases report, under the reference's names."""
    names = {
        "loss/G": "Loss/G/loss",
        "loss/D": "Loss/D/loss",
        "loss/path_penalty": "Loss/pl_penalty",
        "loss/r1_penalty": "Loss/r1_penalty",
        "scores/fake_G": "Loss/scores/fake",
        "scores/fake": "Loss/scores/fake",
        "scores/real": "Loss/scores/real",
        "signs/real": "Loss/signs/real",
    }
    return {names[key]: value for key, value in statistics.items() if key in names}


@pytest.fixture
def stored_path_noise(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Path lengths are measured along the case's direction, not along a random one."""
    measure = regularizers.path_lengths
    monkeypatch.setattr(regularizers, "path_lengths", lambda images, ws, noise: measure(images, ws, case["pl_noise"]))


@every_case("losses.npz", name)
@pytest.mark.usefixtures("stored_path_noise")
def test_training_phases(case: Case, networks: Networks):
    z, c, real_images, real_c = (case.common(key) for key in ("z", "c", "real_img", "real_c"))
    trained, phases = PHASES[case.params["phase"]]
    for phase in phases:
        count = len(z) // case.params["pl_batch_shrink"] if phase is g_path else len(z)
        batch = Batch(Inputs(z, c)[:count], real_images, real_c)
        loss, statistics = phase(networks, batch, run_config(case), RandomStreams(0, "cpu"))
        (loss * case.params["gain"]).backward()
        for name, term in terms_of(statistics, case).items():
            assert_close_to_case(case, f"term/{name}", term, TERM_REL)
    if trained == "G":
        assert_close_to_case(case, "w_avg_after", networks.G.mapping.w_avg, TERM_REL)
    check_training(case, networks)


# ---- what both ways have to leave behind


def check_training(case: Case, networks: Networks) -> None:
    """The moving mean of path lengths, each stored gradient, and the norm of all gradients."""
    assert_close_to_case(case, "pl_mean_after", networks.pl_mean, TERM_REL)
    net = networks.G if PHASES[case.params["phase"]][0] == "G" else networks.D
    assert_close_gradients(net, case, GRADIENT_REL, ABSOLUTE)
    counted = [p.grad for key, p in net.named_parameters() if "noise_strength" not in key and p.grad is not None]
    norm = torch.stack([g.double().square().sum() for g in counted]).sum().sqrt()
    expected = torch.tensor(case.params["grad_l2_all_except_noise_strength_f64"], dtype=torch.float64)
    assert_close(norm, expected, GRADIENT_REL, "norm of all gradients")


@every_case("losses.npz", name)
def test_other_network_gets_no_gradient(case: Case, networks: Networks):
    ByHand(case, networks).loss().backward()
    other = networks.D if PHASES[case.params["phase"]][0] == "G" else networks.G
    assert all(p.grad is None for p in other.parameters())
