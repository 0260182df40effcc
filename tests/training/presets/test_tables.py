"""Every row of the papers' tables: its configuration says what the row's name promises, and it trains."""

import pytest

from tests.training.small import make_batch, make_networks
from torch_utils.randomness import RandomStreams
from training.choices import CONFIGS
from training.config import RunConfig
from training.losses.phases import make_phases
from training.presets.resolve import DataFacts, Options, resolve
from training.presets.tables import PAPERS, rows

ROWS = list(rows())
TINY = ("networks.channel_base=256", "networks.channel_max=8", "generator.z_dim=8", "generator.w_dim=8")
TINY_LAYERS = ("generator.encoding.hidden_channels=8", "generator.encoding.concat_channels=8")


def full(row: str, *settings: str, **options) -> RunConfig:
    """The row's own configuration, at 32x32."""
    facts = DataFacts("data", resolution=32, num_channels=3, size=1000)
    return resolve(Options(data="data", cfg=rows()[row].cfg, method=row, settings=settings, **options), facts)


def tiny(row: str) -> RunConfig:
    settings = TINY if full(row).generator.encoding is None else TINY + TINY_LAYERS
    return full(row, *settings, "generator.mapping.num_layers=1", batch=4)


@pytest.mark.parametrize("row", ROWS)
def test_every_row_trains_both_networks_with_one_pass_through_d_a_step_of_g(row: str):
    config = tiny(row)
    networks, streams = make_networks(config), RandomStreams(0, "cpu")
    batch = make_batch(networks, config)
    phases = {phase.name: phase for phase in make_phases(config)}
    passes = []
    networks.D.register_forward_pre_hook(lambda *_: passes.append(1))
    for name, trained, idle in (("G_main", networks.G, networks.D), ("D_main", networks.D, networks.G)):
        trained.requires_grad_(True)
        idle.requires_grad_(False)
        passes.clear()
        loss, terms = phases[name].loss(networks, batch, config, streams)
        loss.backward()
        assert loss.isfinite()
        assert len(passes) == (1 if name == "G_main" else 2)
        assert all(p.grad is not None and p.grad.isfinite().all() for p in trained.parameters()), name
        assert name == "D_main" or all(p.grad is None for p in idle.parameters())
        assert name == "D_main" or ("loss/align" in terms) == (config.align.weight > 0)


def test_every_file_of_tables_is_read_and_every_row_says_what_it_reached():
    assert {path.stem for path in (CONFIGS / "tables").iterdir()} == set(PAPERS)
    for row in rows().values():
        assert row.label
        assert row.cfg in ("paper256", "sndcgan")
        for numbers in row.paper.values():
            assert numbers.keys() <= {"FID", "DI", "W", "Recall", "Co-move"}
            assert all(0 < number < 30 for number in numbers.values())


def settings_of(row: str) -> dict:
    return full(row).model_dump(exclude={"name", "method"})


@pytest.mark.parametrize(
    "rows",
    [
        ["eqgan-1-align", "eqgan-3-hierarchical", "eqgan-4-norm", "supp-1-level1-2", "supp-1-level2-4",
         "supp-2-weight-1", "supp-2-tau-0.25", "supp-3-ours"],
        ["eqgan-text-1-align", "eqgan-text-3-hierarchical", "eqgan-text-4-norm"],
        ["eqgan-1-baseline", "eqgan-3-baseline", "eqgan-4-baseline", "supp-1-baseline", "supp-3-baseline"],
        ["spatialgan-3-baseline", "spatialgan-4-baseline", "spatialgan-5-baseline", "eqgan-text-1-baseline",
         "eqgan-text-3-baseline", "eqgan-text-4-baseline"],
        ["spatialgan-3-eqgan-sa", "spatialgan-field-kernel3"],
        ["spatialgan-3-spatialgan", "spatialgan-4-hierarchical", "spatialgan-5-norm", "spatialgan-field-coarse"],
        ["spatialgan-1-align-indoor", "spatialgan-3-bedroom"],
    ],
    ids=["EqGAN-SA", "its text", "its baseline", "StyleGAN2", "fine heatmaps", "SpatialGAN", "SpatialGAN, indoor"],
)  # fmt: skip
def test_rows_that_report_one_model_are_one_configuration(rows: list[str]):
    first, *others = map(settings_of, rows)
    assert all(other == first for other in others)


ABLATIONS = {
    "eqgan-1-sel": ("align.weight", 0),
    "eqgan-3-noise": ("sampler.kind", "noise"),
    "eqgan-3-non-hierarchical": ("sampler.kind", "released-non-hierarchical"),
    "eqgan-4-flatten": ("generator.encoding.layer", "flatten"),
    "eqgan-4-concat": ("generator.encoding.layer", "concat"),
    "supp-1-level1-4": ("generator.encoding.counts", (1, 4, 4)),
    "supp-1-level2-8": ("generator.encoding.counts", (1, 2, 8)),
    "supp-2-weight-0.25": ("align.weight", 0.25),
    "supp-2-tau-0": ("align.tau", 0),
    "spatialgan-1-indoor": ("align.match", "all"),
    "spatialgan-5-concat": ("generator.encoding.layer", "concat"),
    "spatialgan-field-kernel3": ("generator.encoding.mode", "fine"),
    "spatialgan-field-kernel7": ("generator.encoding.kernel_size", 7),
    "spatialgan-field-dilated": ("generator.encoding.dilation", 2),
    "spatialgan-impulse-5": ("sampler.kind", "impulse"),
}


@pytest.mark.parametrize("row, key, value", [(row, *change) for row, change in ABLATIONS.items()])
def test_ablations_change_what_they_say(row: str, key: str, value):
    found = full(row)
    for part in key.split("."):
        found = getattr(found, part)
    assert found == value


STEPS = [  # rows one after the other in a paper, and the settings in which they may differ
    ("eqgan-1-baseline eqgan-1-sel", {"generator.encoding", "sampler", "align"}),
    ("eqgan-1-sel eqgan-1-align", {"align.weight"}),
    ("eqgan-text-1-baseline eqgan-text-1-sel", {"generator.encoding", "sampler", "align"}),
    ("eqgan-text-1-sel eqgan-text-1-align", {"align.weight"}),
    ("eqgan-3-non-hierarchical eqgan-3-hierarchical", {"sampler.kind"}),
    ("spatialgan-1-conference spatialgan-1-multi-object", {"generator.encoding.counts", "sampler"}),
    ("spatialgan-1-multi-object spatialgan-1-indoor", {"generator.encoding.layer"}),
    ("spatialgan-1-indoor spatialgan-1-align-indoor", {"align.match"}),
    ("spatialgan-3-eqgan-sa spatialgan-3-spatialgan", {"generator.encoding.mode"}),
    ("spatialgan-field-kernel3 spatialgan-field-kernel7", {"generator.encoding.kernel_size"}),
]


@pytest.mark.parametrize("pair, allowed", STEPS, ids=[pair for pair, _ in STEPS])
def test_a_step_of_a_table_changes_what_the_paper_says_and_nothing_else(pair: str, allowed: set[str]):
    before, after = (_flat(settings_of(row)) for row in pair.split())
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    assert changed
    assert {key for key in changed if not any(f"{key}.".startswith(f"{one}.") for one in allowed)} == set()


def _flat(settings: dict, within: str = "") -> dict[str, object]:
    """{"a": {"b": 1}} as {"a.b": 1}."""
    flat: dict[str, object] = {}
    for key, value in settings.items():
        flat |= _flat(value, f"{within}{key}.") if isinstance(value, dict) else {f"{within}{key}": value}
    return flat


def test_cifar_rows_are_sndcgan_with_and_without_labels():
    for row in ("eqgan-2-baseline", "eqgan-2-ours"):
        facts = DataFacts("cifar", resolution=32, num_channels=3, size=1000, label_dim=10)
        for cond in (False, True):
            config = resolve(Options(data="cifar.zip", cfg="sndcgan", method=row, cond=cond), facts)
            assert config.generator.backbone == config.discriminator.backbone == "sndcgan"
            assert config.generator.c_dim == 10 * cond
            assert (config.generator.encoding is None) == (row == "eqgan-2-baseline")
    assert config.align.weight == 1
