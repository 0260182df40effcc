"""Base + method + command line: which layer wins, what each method means, and every refusal in one line."""

import os
from dataclasses import fields, replace

import pytest
import torch
import yaml

from dnnlib.errors import UserError
from training.choices import SAMPLERS as SAMPLER_NAMES
from training.config import RunConfig
from training.networks.discriminator import Discriminator
from training.networks.generator import Generator
from training.presets.resolve import (
    CONFIGS,
    OPTION_KEYS,
    DataFacts,
    Options,
    assumed_condition,
    auto_settings,
    base_layer,
    condition_of,
    known_names,
    method_chain,
    resolve,
)

FACTS = DataFacts("animals", resolution=32, num_channels=3, size=5000, label_dim=10)


def run(*settings: str, facts: DataFacts = FACTS, **options) -> RunConfig:
    options = Options(data="data/animals.zip", settings=settings, **{"cfg": "demo", **options})
    return resolve(options, facts)


def facts_for(method: str) -> DataFacts:
    """With the label maps or captions that it needs."""
    return assumed_condition(FACTS, condition_of(Options(method=method)))


def refusal(*settings: str, **options) -> str:
    with pytest.raises(UserError) as caught:
        run(*settings, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ---- the files


LINEAGE = ["biggan", "progan", "r3gan", "spade", "stackgan", "stylegan"]  # other backbones, each a method of its own
NOT_TOGETHER = {("sndcgan", "spatialgan-indoor")}  # styles of objects need StyleGAN2's layers
EVERY_PAIR = [(cfg, method) for cfg in known_names() for method in known_names("methods")]


@pytest.mark.parametrize("cfg, method", [pair for pair in EVERY_PAIR if pair not in NOT_TOGETHER])
def test_every_base_resolves_with_every_method(cfg: str, method: str):
    config = run(cfg=cfg, method=method, facts=facts_for(method))
    assert config.name == f"animals-{cfg}-{method}"
    assert config.method == method
    assert config.data.path == os.path.abspath("data/animals.zip")
    assert RunConfig.model_validate_json(config.model_dump_json()) == config


def test_the_known_names():
    assert known_names() == ["auto", "cifar", "demo", "paper1024", "paper256", "paper512", "sndcgan", "stylegan2"]
    steering = ["eqgan-sa", "eqgan-sa-paper", "spatialgan", "spatialgan-indoor", "spatialgan-single", "stylegan2"]
    assert known_names("methods") == sorted(steering + LINEAGE)


@pytest.mark.parametrize("path", sorted(CONFIGS.rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_file_says_what_it_is_for(path):
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# ")
    content = yaml.safe_load(text)
    assert content.get("methods", {}).keys() <= set(known_names("methods"))


# ---- methods


@pytest.mark.parametrize("method", LINEAGE)
def test_other_backbones_are_alone_or_steered(method):
    facts = facts_for(method)
    alone = run(method=method, facts=facts)
    assert alone.generator.backbone == alone.discriminator.backbone == method
    assert (alone.generator.encoding, alone.align.weight) == (None, 0)
    steered = run(method=method, sel="norm", align=1.0, facts=facts)
    assert (steered.generator.encoding.layer, steered.generator.encoding.max_resolution) == ("norm", 16)
    assert steered.align.weight == 1


def test_what_images_are_conditioned_on_is_the_methods_or_the_users():
    assert [condition_of(Options(method=name)) for name in ("spade", "stackgan", "biggan", None)] == [
        "label-map", "text", None, None,
    ]  # fmt: skip
    assert condition_of(Options(method="biggan", cond=True)) == "labels"
    assert condition_of(Options(method="spade", cond=False)) is None
    assert condition_of(Options(method="stackgan", settings=("data.condition=labels",))) == "labels"
    config = run(method="stackgan", facts=facts_for("stackgan"))
    assert (config.generator.c_dim, config.generator.c_values, config.discriminator.c_values) == (16, 2, 2)
    assert config.data.class_names == ("", "thing")
    assert "spade makes images of a condition" in refusal(method="spade", cond=False)
    assert "generator.c_values follows from --data" in refusal("generator.c_values=3")


def test_stylegan2_hears_no_heatmaps():
    config = run(cfg="paper256", method="stylegan2")
    assert config.generator.encoding is None
    assert config.align.weight == 0
    assert (config.loss.pl_weight, config.loss.style_mixing_prob) == (2, 0.9)


def test_eqgan_sa_is_the_released_design():
    config = run(cfg="paper256", method="eqgan-sa")
    encoding, align = config.generator.encoding, config.align
    assert (encoding.layer, encoding.mode, encoding.max_resolution) == ("norm", "fine", None)
    assert (align.weight, align.tau, align.resolution) == (1, 0.25, "image")
    assert (align.gradient, align.relu) == ("loss", "channel")
    assert config.sampler.kind == "released"
    assert (config.loss.pl_weight, config.loss.style_mixing_prob) == (0, 0)


def test_spatialgan_is_the_papers_design_and_the_default():
    config = resolve(Options(data="animals.zip", cfg="paper256"), FACTS)
    encoding, align = config.generator.encoding, config.align
    assert config.method == "spatialgan"
    assert (encoding.layer, encoding.mode, encoding.max_resolution) == ("norm", "coarse", 16)
    assert (align.weight, align.tau, align.resolution) == (1, 0.25, "level")
    assert (align.gradient, align.relu, encoding.registration) == ("logits", "channel", "cells")
    assert config.sampler.kind == "paper"
    assert config.augment.mode == "noaug"


def test_paper256_with_eqgan_sa_has_the_released_generators_size():
    config = run(cfg="paper256", method="eqgan-sa", facts=replace(FACTS, resolution=256))
    with torch.device("meta"):
        generator, discriminator = Generator(config.generator), Discriminator(config.discriminator)
    assert sum(p.numel() for p in generator.parameters()) == 56_222_346
    assert sum(p.numel() for p in discriminator.parameters()) == 24_001_089


def test_demo_is_small_and_trains_on_a_cpu():
    config = run()
    assert [config.generator.synthesis.channels(r) for r in (4, 8, 16, 32, 64)] == [32, 32, 32, 32, 16]
    assert [config.discriminator.channels(r) for r in (4, 8, 16, 32, 64)] == [32, 32, 32, 32, 16]
    assert (config.generator.z_dim, config.generator.w_dim, config.generator.mapping.num_layers) == (64, 64, 2)
    assert config.generator.synthesis.num_fp16_res == config.discriminator.num_fp16_res == 0
    assert config.generator.synthesis.conv_clamp is config.discriminator.conv_clamp is None
    with torch.device("meta"):
        networks = Generator(config.generator), Discriminator(config.discriminator)
    assert sum(p.numel() for network in networks for p in network.parameters()) < 1.5e6


# ---- layers


def test_a_base_overrules_a_method_where_it_says_so():
    assert run(method="spatialgan").sampler.kind == "released"
    assert run(method="spatialgan", cfg="auto").sampler.kind == "paper"


def test_a_named_option_overrules_base_and_method_and_set_overrules_it():
    assert run(sampler="paper").sampler.kind == "paper"
    assert run("sampler.kind=released", sampler="paper").sampler.kind == "released"
    assert run("loss.r1_gamma=3", "loss.r1_gamma=4", gamma=2).loss.r1_gamma == 4


def test_set_takes_yaml_values_sections_and_shared_sections():
    config = run("generator.encoding.counts=[1, 4, 8]", "ema={kimg: 3, rampup: null}", "networks.channel_max=16")
    assert config.generator.encoding.counts == (1, 4, 8)
    assert (config.ema.kimg, config.ema.rampup) == (3, None)
    assert config.generator.synthesis.channel_max == config.discriminator.channel_max == 16
    assert run("optimizers.lr=1e-3").generator_optimizer.lr == 0.001


ONE_KEY = [
    ("gamma", 0.5, "loss.r1_gamma"),
    ("kimg", 0.5, "schedule.total_kimg"),
    ("batch", 16, "schedule.batch_size"),
    ("mirror", True, "data.mirror"),
    ("cond", True, "data.conditional"),
    ("subset", 100, "data.subset"),
    ("seed", 7, "seed"),
    ("snap", 3, "schedule.snapshot_ticks"),
    ("freezed", 2, "discriminator.freeze_layers"),
    ("keep", 3, "schedule.keep_snapshots"),
    ("nhwc", False, "hardware.channels_last"),
    ("ops", "reference", "hardware.ops"),
    ("compile", "default", "hardware.compile"),
    ("allow_tf32", True, "hardware.allow_tf32"),
    ("workers", 0, "data.workers"),
    ("aug", "ada", "augment.mode"),
    ("p", 0.2, "augment.p"),
    ("target", 0.5, "augment.target"),
    ("device", "cpu", "hardware.device"),
    ("heatmap_mode", "fine", "generator.encoding.mode"),
    ("sampler", "paper", "sampler.kind"),
    ("align", 0.25, "align.weight"),
    ("tau", 0.0, "align.tau"),
]
COMPANIONS = {"p": {"aug": "fixed"}, "target": {"aug": "ada"}}


@pytest.mark.parametrize("name, value, key", ONE_KEY)
def test_options_that_set_one_key(name: str, value, key: str):
    found = run(**{name: value}, **COMPANIONS.get(name, {}))
    for part in key.split("."):
        found = getattr(found, part)
    assert found == value


def test_all_options_that_set_one_key_are_tested():
    assert {name: key for name, _, key in ONE_KEY} == OPTION_KEYS
    assert OPTION_KEYS.keys() <= {field.name for field in fields(Options)}


def test_batch_is_divided_among_gpus():
    config = run(batch=24, gpus=2, cfg="auto")
    assert (config.schedule.batch_size, config.schedule.batch_gpu, config.hardware.gpus) == (24, 12, 2)
    assert run(gpus=2).schedule.batch_gpu == 4  # demo: one pass of 8 on one GPU


def test_fewer_gpus_make_more_passes():
    config = run(cfg="paper256", gpus=1)
    assert (config.schedule.batch_size, config.schedule.batch_gpu) == (64, 8)


def test_fp32_nobench_and_resume():
    config = run(cfg="paper256", fp32=True, nobench=True, resume="old/network.safetensors")
    assert config.generator.synthesis.num_fp16_res == config.discriminator.num_fp16_res == 0
    assert config.generator.synthesis.conv_clamp is config.discriminator.conv_clamp is None
    assert config.hardware.benchmark is False
    assert config.resume == os.path.abspath("old/network.safetensors")
    assert run(cfg="demo", resume="old").ema.rampup is None
    assert run(cfg="paper256", fp32=False).discriminator.num_fp16_res == 4


@pytest.mark.parametrize(
    ("text", "names"), [("none", ()), ("", ()), ("di", ("di",)), ("di, w", ("di", "w")), (None, ("di", "w"))]
)
def test_metrics(text: str | None, names: tuple[str, ...]):
    assert run(metrics=text).schedule.metrics == names


def test_labels_are_used_when_asked_for():
    assert run(cond=True).generator.c_dim == run(cond=True).discriminator.c_dim == 10
    assert run(cond=False).generator.c_dim == run().discriminator.c_dim == 0


def test_spatial_encoding_on_and_off():
    off = run(sel="none")
    assert off.generator.encoding is None
    assert off.align.weight == 0
    on = run(method="stylegan2", sel="norm", align=1.0)
    assert on.generator.encoding.mode == "coarse"
    assert on.align.weight == 1
    assert run(sel_max_res="8").generator.encoding.max_resolution == 8
    assert run(sel_max_res="all").generator.encoding.max_resolution is None
    assert run(method="stylegan2", align=0.0).generator.encoding is None


def test_spatialgan_indoor_is_spatialgan_with_objects():
    config, single = run(cfg="paper256", method="spatialgan-indoor"), run(cfg="paper256")
    encoding = config.generator.encoding
    assert (encoding.layer, encoding.counts, encoding.max_resolution) == ("indoor", (3,), None)
    assert (config.sampler.kind, config.sampler.spread) == ("multi-object", (0.1, 0.5))
    assert config.align == single.align.model_copy(update={"match": "best", "nearest": "l1"})
    assert config.generator.latent_shape == (4, 512)


def test_spatialgan_single_is_spatialgan_with_one_center():
    config, levels = run(cfg="demo", method="spatialgan-single"), run(cfg="demo")
    one_center = {"counts": (1,)}
    assert config.generator.encoding == levels.generator.encoding.model_copy(update=one_center)
    assert (config.sampler.kind, config.sampler.spread, config.sampler.margin) == ("multi-object", (0.12, 0.2), 0.5)
    assert config.align == levels.align


@pytest.mark.parametrize("options", [{"sel": "indoor"}, {"sampler": "multi-object"}])
def test_options_for_several_objects_bring_their_kind_of_scene(options: dict):
    config = run(cfg="paper256", **options)
    encoding = config.generator.encoding
    assert encoding.layer == options.get("sel", "norm")
    assert (encoding.counts, encoding.max_resolution) == ((3,), None)
    assert (config.sampler.kind, config.sampler.spread, config.align.match) == ("multi-object", (0.1, 0.5), "best")


@pytest.mark.parametrize("sampler", sorted({*SAMPLER_NAMES} - {"multi-object"}))
def test_samplers_for_one_object_bring_theirs(sampler: str):
    config = run(cfg="paper256", method="spatialgan-indoor", sel="norm", sampler=sampler)
    encoding = config.generator.encoding
    assert (encoding.counts, encoding.max_resolution) == ((1, 2, 4), 16)
    assert (config.sampler.kind, config.sampler.spread, config.align.match) == (sampler, (0.5, 1.0), "all")


def test_what_fits_already_is_left_as_it_is():
    settings = ("sampler.spread=[0.2, 0.3]", "generator.encoding.counts=[5]")
    config = run(*settings, method="spatialgan-indoor", sel="norm", sampler="multi-object")
    assert (config.sampler.spread, config.generator.encoding.counts) == ((0.2, 0.3), (5,))
    assert run(sampler="noise", cfg="demo").sampler.spread == (0.2, 0.5)  # the base's


def test_set_alone_cannot_mix_scenes():
    assert refusal("sampler.kind=multi-object") == (
        "sampler.kind multi-object needs generator.encoding.counts of one level, such as [3], not [1, 2, 4]"
    )
    assert refusal("generator.encoding.layer=indoor") == (
        "generator.encoding: layer indoor takes one number of objects, such as counts [3], not [1, 2, 4]"
    )
    assert refusal(cfg="sndcgan", method="spatialgan-indoor") == (
        "backbone sndcgan has no encoding layer indoor; use norm or concat"
    )


# ---- inheritance


def test_a_method_inherits_and_a_base_speaks_of_the_ancestor_before_the_heir():
    config = run(cfg="demo", method="spatialgan-indoor")
    assert config.generator.encoding.residual_scale == 1  # demo's word on spatialgan
    assert config.sampler.kind == "multi-object"  # the heir's own, although demo gives spatialgan another
    assert config.method == "spatialgan-indoor"


def test_chain_of_a_row_of_a_table():
    chain = method_chain("spatialgan-1-multi-object")
    assert [name for name, _ in chain] == ["spatialgan", "spatialgan-indoor", "spatialgan-1-multi-object"]
    assert chain[2][1] == {"generator": {"encoding": {"layer": "norm"}}, "align": {"match": "all"}}


def test_run_names_tell_runs_apart_and_fit_a_file_system():
    config = run(cond=True, mirror=True, subset=100, gamma=0.5, kimg=20.0, resume="x", facts=replace(FACTS, name="a b"))
    assert config.name == "a_b-cond-mirror-subset100-demo-spatialgan-gamma0.5-kimg20-resume"


# ---- auto


def test_auto_at_a_resolution_between_the_golden_ones():
    assert auto_settings(16, 1) == {
        "networks": {"channel_base": 16384},
        "optimizers": {"lr": 0.0025},
        "discriminator": {"mbstd_group_size": 4},
        "loss": {"r1_gamma": pytest.approx(0.0016)},
        "ema": {"kimg": 10},
        "schedule": {"batch_size": 32, "batch_gpu": 32},
    }


def test_auto_gives_every_gpu_an_image():
    assert auto_settings(4096, 16)["schedule"] == {"batch_size": 16, "batch_gpu": 1}
    assert auto_settings(4096, 16)["discriminator"] == {"mbstd_group_size": 1}


@pytest.mark.parametrize("resolution", [64, 256, 1024])
@pytest.mark.parametrize("gpus", range(1, 9))
def test_auto_fits_any_number_of_gpus(resolution: int, gpus: int):
    config = resolve(Options(data="x", gpus=gpus), DataFacts("x", resolution, 3, 1000))
    per_gpu = config.schedule.batch_gpu
    assert config.schedule.batch_size == per_gpu * gpus
    assert 48 <= config.schedule.batch_size <= 64 or per_gpu == min(4096 // resolution, 32)


def test_alignment_where_d_has_no_features_is_refused():
    words, sizes = DataFacts("x", 128, 3, 1000, 128 * 128, ("", "thing")), {"spade": "4x4", "spatialgan": None}
    for method, missing in sizes.items():
        options = Options(data="x", method=method, sel="norm", sampler="paper", align=1.0)
        if missing is None:
            assert resolve(options, words).align.weight == 1
            continue
        with pytest.raises(UserError, match=rf"spade has none of {missing}: set align\.level_weights to 0 there"):
            resolve(options, words)
        assert resolve(replace(options, settings=("align.level_weights=[0,1,1]",)), words).align.weight == 1


def test_movement_is_not_asked_of_layouts_in_the_latent():
    options = Options(data="x", sel="flatten", settings=("loss.move_weight=1",))
    with pytest.raises(UserError, match=r"loss\.move_weight is about heatmaps that synthesis reads"):
        resolve(options, DataFacts("x", 64, 3, 1000))


def test_labels_that_d_projects_have_a_width():
    options, facts = Options(data="x", settings=("discriminator.cmap_dim=0",)), DataFacts("x", 64, 3, 1000, 5)
    assert resolve(options, facts).discriminator.cmap_dim == 0  # as networks without labels of other sources have it
    with pytest.raises(UserError, match=r"discriminator\.cmap_dim 0 leaves no room for labels"):
        resolve(replace(options, cond=True), facts)


def test_auto_file_adds_what_does_not_depend_on_the_data():
    layer = base_layer("auto", "stylegan2", resolution=256, gpus=4)
    assert layer["generator"]["synthesis"]["channel_max"] == 512
    assert layer["schedule"] == {"batch_size": 64, "batch_gpu": 16, "total_kimg": 25000}
    assert "auto" not in layer


# ---- augmentation


def test_augmentation_is_off_unless_asked_for():
    pairs = [pair for pair in EVERY_PAIR if pair not in NOT_TOGETHER]
    assert all(run(cfg=cfg, method=method).augment.mode == "noaug" for cfg, method in pairs)


def test_aug_options():
    adaptive = run(aug="ada", target=0.7, augpipe="bgcf").augment
    assert (adaptive.mode, adaptive.p, adaptive.target, adaptive.transforms.imgfilter) == ("ada", 0, 0.7, 1)
    fixed = run(aug="fixed", p=0.3, augpipe="blit").augment
    assert (fixed.mode, fixed.p, fixed.transforms.xflip, fixed.transforms.scale) == ("fixed", 0.3, 1, 0)


def test_settings_go_before_the_pipe():
    transforms = run("augment.transforms.hue=0.5", "augment.transforms.scale_std=0.4", aug="ada").augment.transforms
    assert (transforms.hue, transforms.scale_std, transforms.xflip) == (0.5, 0.4, 1)
    assert run("augment.mode=ada", target=0.5).augment.target == 0.5


def test_transferred_weights_let_p_move_faster():
    assert (run().augment.kimg, run(resume="x.safetensors").augment.kimg) == (500, 100)


def test_names_of_augmented_runs():
    assert run(aug="ada", target=0.5, augpipe="bgcf").name == "animals-demo-spatialgan-ada-bgcf-target0.5"
    assert run(aug="fixed", p=0.2).name == "animals-demo-spatialgan-fixed-p0.2"
    assert run(aug="noaug").name == "animals-demo-spatialgan"


def test_the_filter_needs_room():
    small = {"facts": replace(FACTS, resolution=16), "method": "stylegan2", "aug": "ada"}
    expected = (
        "augment.transforms.imgfilter needs images of 22x22 or more, not 16x16; set it to 0, or use --augpipe=bgc"
    )
    assert refusal(**small, augpipe="bgcf") == expected
    assert run(**small, augpipe="bgc").augment.transforms.imgfilter == 0
    assert run("augment.transforms.imgfilter=0", **small, augpipe="bgcf").augment.transforms.imgfilter == 0


def test_only_grey_and_color_images_are_augmented():
    layers = replace(FACTS, num_channels=4)
    assert "grey or RGB images; these have 4 channels" in refusal(aug="ada", facts=layers)
    assert run(aug="ada", facts=replace(FACTS, num_channels=1)).augment.mode == "ada"


# ---- refusals

BASES = "auto, cifar, demo, paper1024, paper256, paper512, sndcgan, stylegan2"
SAMPLERS = (
    "impulse, multi-object, noise, non-hierarchical, paper, released, released-non-hierarchical, uniform "
    "(--plugin=MODULE adds others)"
)
BY_ITSELF = "and cannot be set by itself"
HEATMAP_OPTIONS = [("sel_max_res", "8"), ("heatmap_mode", "fine"), ("sampler", "paper"), ("align", 1.0), ("tau", 0.1)]


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"cfg": "paper265"}, "--cfg 'paper265' is unknown; did you mean 'paper256'?"),
        ({"cfg": "demo.yaml"}, "--cfg 'demo.yaml' is unknown; did you mean 'demo'?"),
        ({"cfg": "../configs/demo"}, f"--cfg '../configs/demo' is unknown; known: {BASES}"),
        ({"method": "supp-2-tau-0.2"}, "--method 'supp-2-tau-0.2' is unknown; did you mean 'supp-2-tau-0.25'?"),
        ({"method": "zzz"}, f"--method 'zzz' is unknown; known: {', '.join(known_names('methods'))}"),
        ({"method": "spacialgan"}, "--method 'spacialgan' is unknown; did you mean 'spatialgan'?"),
        ({"sel": "concatenate"}, "--sel 'concatenate' is unknown; did you mean 'concat'?"),
        ({"sel": "spade"}, "--sel 'spade' is unknown; known: concat, flatten, indoor, none, norm"),
        ({"aug": "adda"}, "--aug 'adda' is unknown; did you mean 'ada'?"),
        ({"aug": "fixed"}, "--aug=fixed needs its probability; add --p, for example --p=0.2"),
        ({"p": 0.2}, "--p=0.2 needs --aug=fixed; augmentation is noaug here"),
        ({"aug": "ada", "p": 0.2}, "--p=0.2 needs --aug=fixed; augmentation is ada here"),
        ({"aug": "fixed", "p": 1.2}, "--p (augment.p) is 1.2: Input should be less than or equal to 1"),
        ({"aug": "fixed", "p": -0.1}, "--p (augment.p) is -0.1: Input should be greater than or equal to 0"),
        ({"target": 0.6}, "--target=0.6 needs --aug=ada; augmentation is noaug here"),
        ({"aug": "noaug", "target": 0.6}, "--target=0.6 needs --aug=ada; augmentation is noaug here"),
        ({"aug": "fixed", "p": 0.2, "target": 0.6}, "--target=0.6 needs --aug=ada; augmentation is fixed here"),
        ({"aug": "ada", "target": 1.5}, "--target (augment.target) is 1.5: Input should be less than or equal to 1"),
        ({"augpipe": "bgc"}, "--augpipe=bgc needs --aug=ada or --aug=fixed; augmentation is noaug here"),
        ({"aug": "ada", "augpipe": "bgcfncc"}, "--augpipe 'bgcfncc' is unknown; did you mean 'bgcfnc'?"),
        ({"aug": "ada", "augpipe": "colour"}, "--augpipe 'colour' is unknown; did you mean 'color'?"),
        ({"gpus": 0}, "--gpus=0: give 1 or more; to do without a GPU, --device=cpu"),
        ({"gamma": -1.0}, "--gamma (loss.r1_gamma) is -1.0: Input should be greater than or equal to 0"),
        ({"device": "tpu"}, "--device (hardware.device) is 'tpu': Input should be 'auto', 'cuda' or 'cpu'"),
        (
            {"heatmap_mode": "corse"},
            "--heatmap-mode (generator.encoding.mode) is 'corse': Input should be 'coarse' or 'fine'",
        ),
        ({"sampler": "p"}, f"--sampler (sampler.kind): no sampler 'p'; known: {SAMPLERS}"),
        ({"batch": 30, "gpus": 4}, "schedule.batch_size 30 must be a multiple of batch_gpu x gpus = 7 x 4"),
        ({"batch": 2, "gpus": 4}, "schedule.batch_size 2 must be a multiple of batch_gpu x gpus = 1 x 4"),
    ],
)
def test_refused_options(options: dict, line: str):
    assert refusal(**options) == line


@pytest.mark.parametrize("method, place", [("spade", "label map"), ("stackgan", "caption")])
def test_augmentation_does_not_move_what_a_condition_has_a_place_for(method: str, place: str):
    facts = facts_for(method)
    assert refusal(method=method, facts=facts, aug="ada") == (
        f"--aug=ada would move what is in a picture, and its {place} says where it is; add --augpipe=color, or leave "
        "--aug out"
    )
    assert run(method=method, facts=facts, aug="ada", augpipe="color").augment.mode == "ada"


@pytest.mark.parametrize("method", ["progan", "stylegan", "stackgan"])
def test_rates_are_corrected_for_regularizers_that_there_are(method: str):
    config = run(method=method, facts=facts_for(method), cfg="auto")
    of_G, of_D = config.generator_optimizer, config.discriminator_optimizer
    assert of_G.corrected()[0] == pytest.approx(of_G.lr, rel=1e-5)
    assert of_D.corrected()[0] == pytest.approx(of_D.lr * 16 / 17)


def test_refused_batch_names_the_group_size():
    assert refusal(batch=6).startswith("discriminator.mbstd_group_size 4 must divide the number of images in a pass, 6")


def test_refused_layers_of_a_bad_resolution():
    assert refusal(sel_max_res="many").startswith("generator.encoding.max_resolution is 'many': ")


@pytest.mark.parametrize("name, value", HEATMAP_OPTIONS)
@pytest.mark.parametrize("without", [{"method": "stylegan2"}, {"sel": "none"}])
def test_options_about_heatmaps_need_heatmaps(name: str, value, without: dict):
    line = refusal(**{name: value}, **without)
    assert line.startswith(f"--{name.replace('_', '-')} needs heatmaps, and --method=")
    assert line.endswith(" has none; choose another method, or --sel=norm")


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ("loss.r1_gama=1", "--set loss.r1_gama=1: unknown key 'loss.r1_gama'; did you mean 'loss.r1_gamma'?"),
        ("loss={r1_gama: 1}", "--set loss={r1_gama: 1}: unknown key 'loss.r1_gama'; did you mean 'loss.r1_gamma'?"),
        ("loss.r1_gamma", "--set loss.r1_gamma: write it as KEY=VALUE, for example loss.r1_gamma=1"),
        ("ema.kimg=[1", "--set ema.kimg=[1: the value is no YAML; quote it, for example 'ema.kimg=[1, 2, 4]'"),
        ("ema.kimg=much", "ema.kimg is 'much': Input should be a valid number, unable to parse string as a number"),
        ("loss=3", "loss is 3: Input should be a valid dictionary or instance of LossConfig"),
        ("method=stylegan2", f"--set method=stylegan2: method follows from --method {BY_ITSELF}"),
        ("data={path: x}", f"--set data={{path: x}}: data.path follows from --data {BY_ITSELF}"),
        ("generator.c_dim=3", f"--set generator.c_dim=3: generator.c_dim follows from --data {BY_ITSELF}"),
        (
            "generator.encoding=null",
            "align.weight is not 0, but the generator takes no heatmaps; set it to 0, or use --sel=none",
        ),
    ],
)
def test_refused_settings(setting: str, line: str):
    assert refusal(setting) == line


def test_refused_for_the_data():
    unlabelled = replace(FACTS, label_dim=0)
    path = os.path.abspath("data/animals.zip")
    assert refusal(cond=True, facts=unlabelled).startswith(f"--cond: {path} has no labels; ")
    assert refusal(subset=6000) == f"--subset=6000: {path} has only 5000 images"
    small = replace(FACTS, resolution=16)
    assert "has images of 16x16; alignment needs 32x32 or more" in refusal(facts=small)
    assert run(facts=small, align=0.0).generator.img_resolution == 16
    assert run(facts=small, method="stylegan2").generator.img_resolution == 16
