"""The examples of docs/extending.md: each is written to a file as it stands there, loaded as a plugin, and used."""

import re
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from dnnlib.errors import UserError
from dnnlib.registry import PLUGINS, Registry, load_plugins
from metrics import registry as metric_registry
from metrics.context import network_context
from metrics.registry import evaluate
from tests.tiny_models import NoData, tiny_model
from tests.training.small import ENCODING, discriminator_config, generator_config, make_batch, make_networks, run_config
from torch_utils.randomness import RandomStreams
from training.config import RunConfig
from training.layouts.samplers import SAMPLERS
from training.losses.adversarial import ADVERSARIAL_LOSSES
from training.losses.phases import make_phases
from training.networks.backbones import BACKBONES
from training.networks.spatial_encoding import ENCODINGS
from training.presets.choices import check_choices
from training.presets.options import Options
from training.presets.resolve import DataFacts, resolve

PAGE = Path(__file__).parents[1] / "docs" / "extending.md"
EXAMPLES = dict(re.findall(r"```python\n# (\w+)\.py: [^\n]*\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL))


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Load an example from a file in the current directory; what it registers is gone after the test."""
    monkeypatch.chdir(tmp_path)
    for registry in (ENCODINGS, SAMPLERS, ADVERSARIAL_LOSSES, BACKBONES):
        monkeypatch.setattr(registry, "_things", {name: registry[name] for name in registry.names()})
    monkeypatch.setattr(metric_registry, "_METRICS", dict(metric_registry._METRICS))
    monkeypatch.setenv(PLUGINS, "")

    def load(name: str) -> None:
        (tmp_path / f"{name}.py").write_text(EXAMPLES[name])
        sys.modules.pop(name, None)
        load_plugins([name])

    return load


def train_a_step(config: RunConfig) -> dict[str, torch.Tensor]:
    """Every phase once; returns the statistics after checking that each loss has finite gradients."""
    config = check_choices(config)
    networks, seen = make_networks(config), {}
    for phase in make_phases(config):
        loss, statistics = phase.loss(networks, make_batch(networks, config), config, RandomStreams(0, "cpu"))
        loss.backward()
        trained = getattr(networks, phase.trained)
        assert all(p.grad.isfinite().all() for p in trained.parameters() if p.grad is not None)
        seen |= statistics
    return seen


def test_the_page_has_an_example_of_each_kind():
    assert EXAMPLES.keys() == {"film", "on_a_line", "least_squares", "small_critic", "brightness"}
    assert all(len(text.splitlines()) <= 40 for text in EXAMPLES.values())


def test_encoding_layer(plugin):
    plugin("film")
    config = run_config(generator=generator_config(encoding={**ENCODING, "layer": "film"}))
    assert "loss/align" in train_a_step(config)
    assert type(make_networks(config).G.synthesis.blocks["8"].conv0.sel).__name__ == "FiLM"


def test_sampler(plugin):
    plugin("on_a_line")
    config = run_config(sampler={"kind": "on-a-line"})
    train_a_step(config)
    layout = make_batch(make_networks(config), config).inputs.layout
    assert layout.counts == (1, 2, 4)
    assert layout.centers[0][..., 1].abs().max() == 0
    for method, counts in (("spatialgan", (1, 2, 4)), ("spatialgan-single", (1,))):  # as the design has them
        options = Options(data="x", method=method, sampler="on-a-line")
        assert resolve(options, DataFacts("x", 32, 3, 9)).generator.encoding.counts == counts


def test_adversarial_loss(plugin):
    plugin("least_squares")
    seen = train_a_step(run_config(loss={"adversarial": "least-squares", "style_mixing_prob": 0}))
    torch.testing.assert_close(seen["loss/G"], (seen["scores/fake_G"] - 1).square())


def test_backbone(plugin):
    plugin("small_critic")
    parts = {"backbone": "small-critic"}
    config = run_config(generator=generator_config(**parts), discriminator=discriminator_config(**parts))
    assert "loss/align" in train_a_step(config)
    assert isinstance(make_networks(config).D.layers[0], nn.Conv2d)


def test_metric(plugin):
    plugin("brightness")
    model = tiny_model()
    result = evaluate("brightness", network_context(model, None, NoData()).with_num(4))
    assert result["results"]["brightness"] == pytest.approx(model.images(range(4)).mean().item())
    assert metric_registry.find("brightness").direction == "nearer 0 is better"


# ---- refusals


@pytest.mark.parametrize(
    "changes, line",
    [
        ({"sampler": {"kind": "papr"}}, "sampler.kind: no sampler 'papr'; did you mean 'paper'?"),
        ({"loss": {"adversarial": "hing"}}, "loss.adversarial: no adversarial loss 'hing'; did you mean 'hinge'?"),
        ({"generator": generator_config(backbone="x1"), "discriminator": discriminator_config(backbone="x1")},
         "generator.backbone: no backbone 'x1'; known: "),
        ({"generator": generator_config(encoding={**ENCODING, "layer": "nor"})}, "did you mean 'norm'?"),
    ],
)  # fmt: skip
def test_an_unknown_name_is_one_line_with_the_nearest(changes: dict, line: str):
    with pytest.raises(UserError) as caught:
        check_choices(run_config(**changes))
    assert line in str(caught.value)
    assert "--plugin" in str(caught.value)


@pytest.mark.parametrize(
    "text, line",
    [
        (None, "--plugin=mine: no such module"),
        ("import not_installed_anywhere", "--plugin=mine: it imports not_installed_anywhere, which is not installed"),
        ("1 / 0", "--plugin=mine fails when imported: ZeroDivisionError"),
    ],
)
def test_plugins_that_do_not_load(text: str | None, line: str, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sys.modules.pop("mine", None)
    if text is not None:
        (tmp_path / "mine.py").write_text(text)
    before = [str(tmp_path), *sys.path]  # as where commands are started in the project's own folder
    monkeypatch.setattr(sys, "path", list(before))
    with pytest.raises(UserError, match=re.escape(line)):
        load_plugins(["mine"])
    assert sys.path == before


def test_a_name_can_be_taken_once():
    registry = Registry("thing", home="dnnlib.errors")

    @registry.register("a")
    class First: ...

    registry.register("a")(First)  # a module that is imported again
    with pytest.raises(ValueError, match="there is a thing 'a' already"):

        @registry.register("a")
        class Second: ...

    assert registry.names() == ["a"]
