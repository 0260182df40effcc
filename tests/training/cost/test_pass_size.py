"""Images a pass by memory."""

import pytest
import torch

from dnnlib.errors import UserError
from tests.training.small import run_config
from torch_utils.distributed import World
from training.cost.gpu_estimate import CARDS, estimate, find_card, fitted_to, table
from training.cost.pass_size import RESERVE, fitted, images_per_pass, possible, with_pass_size
from training.cost.summary import summarize
from training.presets.resolve import DataFacts, Options, keep_saved_hardware, resolve

PAPER = resolve(Options(data="x", cfg="paper256"), DataFacts("x", 256, 3, 1000))


def test_passes_divide_a_ranks_share_and_keep_groups_whole():
    assert possible(PAPER) == [8, 16, 32, 64]
    assert possible(run_config(schedule={"batch_size": 12}, discriminator={
        "img_resolution": 32, "channel_base": 256, "channel_max": 8, "mbstd_group_size": 4})) == [4, 12]  # fmt: skip


def test_more_memory_takes_larger_passes():
    config = run_config(schedule={"batch_size": 64, "batch_gpu": 4})
    sizes = {mib: images_per_pass(config, mib * 2**20) for mib in (1, 12, 16, 4000)}
    assert sizes[1] == 4
    assert sizes[4000] == 64
    assert list(sizes.values()) == sorted(sizes.values())
    need = RESERVE * summarize(with_pass_size(config, 32)).total_memory[0]
    assert images_per_pass(config, int(need * 1.01)) == 32
    assert images_per_pass(config, int(need * 0.97)) == 16


def test_on_a_cpu_and_where_it_is_given_nothing_changes():
    assert fitted(PAPER, World()) is PAPER
    given = resolve(Options(data="x", cfg="paper256", settings=("schedule.batch_gpu=16",)), DataFacts("x", 256, 3, 9))
    assert given.hardware.pass_size == "given"
    assert fitted(given, World(device=torch.device("cuda"))) is given


def test_new_runs_have_the_fast_defaults_and_old_ones_keep_theirs():
    assert (PAPER.hardware.channels_last, PAPER.hardware.allow_tf32, PAPER.hardware.pass_size) == (True, True, "memory")
    saved = PAPER.model_dump(mode="json")
    for key in ("channels_last", "allow_tf32", "pass_size"):
        del saved["hardware"][key]
    old = type(PAPER).model_validate(saved)
    assert (old.hardware.allow_tf32, old.hardware.pass_size) == (False, "given")
    assert (old.hardware.keeps_channels_last("cuda"), old.hardware.keeps_channels_last("cpu")) == (False, True)
    again = keep_saved_hardware(PAPER, old, Options(data="x", cfg="paper256"))
    assert again.hardware == old.hardware
    asked = keep_saved_hardware(PAPER, old, Options(data="x", cfg="paper256", allow_tf32=True))
    assert (asked.hardware.allow_tf32, asked.hardware.pass_size) == (True, "given")


def test_graphs_need_a_single_pass():
    facts = DataFacts("x", 256, 3, 1000)
    with pytest.raises(UserError, match="reduce-overhead needs a pass for all images") as caught:
        resolve(Options(data="x", cfg="paper256", compile="reduce-overhead"), facts)
    assert "\n" not in str(caught.value)
    one = Options(data="x", cfg="paper256", compile="reduce-overhead", settings=("schedule.batch_gpu=64",))
    assert resolve(one, facts).hardware.pass_size == "given"
    assert resolve(Options(data="x", cfg="paper256", gpus=8, compile="reduce-overhead"), facts)


def test_estimates_follow_card_and_settings():
    config = run_config(schedule={"batch_size": 64, "batch_gpu": 4}, hardware={"pass_size": "memory"})
    found = {name: estimate(config, card) for name, card in CARDS.items() if name in ("h200", "a100", "v100")}
    assert found["h200"].gpu < found["a100"].gpu < found["v100"].gpu
    assert found["a100"].images_per_pass == 64
    given = estimate(run_config(schedule={"batch_size": 64, "batch_gpu": 4}), CARDS["a100"])
    assert given.images_per_pass == 4
    assert 14 < given.host / found["a100"].host < 16
    text = table(found["h200"], 1)
    assert text.startswith("ESTIMATE for H200 SXM")
    assert "Nothing of this has been measured" in text
    with pytest.raises(UserError, match="--card 'h1000' is unknown"):
        find_card("h1000")


def test_the_table_of_memory_is_of_the_pass_that_the_estimate_has():
    config = run_config(schedule={"batch_size": 64, "batch_gpu": 4}, hardware={"pass_size": "memory"})
    sized = fitted_to(config, CARDS["a100"])
    assert sized.schedule.batch_gpu == estimate(config, CARDS["a100"]).images_per_pass == 64
    assert summarize(sized).total_memory[0] > summarize(config).total_memory[0]
    given = run_config(schedule={"batch_size": 64, "batch_gpu": 4})
    assert fitted_to(given, CARDS["a100"]) is given


@pytest.mark.slow
def test_the_estimate_is_within_a_factor_of_two_of_what_is_published():
    """StyleGAN2-ADA's paper256, a similar network without TF32: 2.47 s/kimg on 8 A100, 4.01 on 8 V100."""
    options = Options(data="x", cfg="paper256", method="stylegan2", gpus=8, nhwc=False, allow_tf32=False)
    config = resolve(options, DataFacts("x", 256, 3, 9))
    for name, published in (("a100", 2.47), ("v100", 4.01)):
        assert published / 2 < estimate(config, CARDS[name]).seconds_per_kimg < published * 2
