"""Pictures a second by batch size, through training.sampling.Model.images, as all tools make them.

The second compares two sets of operators, which take turns. Styles and layouts are made beforehand; where it says "one
style", all pictures of a batch share one, as they do while a centre moves. Weights are random, which takes as long as
trained ones.
"""

from functools import partial
from itertools import pairwise, product

import torch
from torch import Tensor

from benchmarks.harness.apart import peak_mib
from benchmarks.harness.run import Findings, Run
from benchmarks.harness.series import Series
from benchmarks.subjects import TimedModel, resolved
from dnnlib.errors import UserError
from dnnlib.parsing import int_ranges
from training.config import RunConfig
from training.layouts.layout import Layout
from training.networks.backbones import make_generator
from training.networks.generator import set_memory_format
from training.networks.precision import Precision, check_precision, set_precision
from training.sampling import Model

OWN, ONE = "own styles", "one style"
TRAINING_BATCH = 4  # a configuration has one, though nothing is trained here
LARGEST_BATCH = 4096


class TimedGenerator(TimedModel):
    """A generator; the parts are batches of each size, in both styles: see part_name."""

    def __init__(self, config: RunConfig, batches: list[int], precision: Precision = "trained"):
        super().__init__(config)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            generator = make_generator(config.generator)
        set_memory_format(generator, config.hardware.keeps_channels_last(self.device.type))
        set_precision(generator.synthesis, precision)
        self.G, self.parts = generator, {}
        for batch in batches:
            model = Model(generator, config, self.device)  # one each: a model keeps few captured graphs
            seeds = list(range(batch))
            layout = model.layout(seeds)
            ws = model.styles(seeds, layout=layout)
            for name, styles in ((OWN, ws), (ONE, ws[:1])):
                self.parts[part_name(name, batch)] = partial(_images, model, seeds, styles, layout)
        if self.device.type == "cuda":  # the second call of a shape captures its graph, later ones replay it
            for _, part in product(range(2), self.parts.values()):
                part()


def _images(model: Model, seeds: list[int], ws: Tensor, layout: Layout | None) -> Tensor:
    """In one batch."""
    return model.images(seeds, ws=ws, layout=layout, batch_size=len(seeds))


def part_name(style: str, batch: int) -> str:
    return f"{style}, {batch}"


def measure(
    run: Run, configs: dict[str, RunConfig], batches: list[int], precision: Precision = "trained"
) -> Findings:
    """Images a second of each generator, by style and batch size; peak memory in MiB for the largest batch."""
    peaks, subjects = {}, {}
    for name, config in configs.items():
        with run.progress.one_more(f"peak memory of {name}"):
            peaks[name] = round(peak_mib(_largest_batch, config, max(batches), precision), 1)
        with run.progress.one_more(f"making {name}"):
            subjects[name] = TimedGenerator(config, batches, precision)
    samples = run.take_turns(subjects)
    return Findings(
        series={name: rates(each, batches) for name, each in samples.items()},
        pairs=list(pairwise(configs)),
        facts={"peak_mib": peaks},
        lines=[f"peak memory: {', '.join(f'{name} {peak:.0f} MiB' for name, peak in peaks.items())}"],
    )


def rates(samples: dict[str, list[float]], batches: list[int]) -> dict[str, Series]:
    """Images a second of the rounds of every part."""
    return {
        part_name(style, batch): Series.of("images/s", [batch / spent for spent in samples[part_name(style, batch)]])
        for batch in batches
        for style in (OWN, ONE)
    }


def _largest_batch(config: RunConfig, batch: int, precision: Precision) -> torch.device:
    subject = TimedGenerator(config, [batch], precision)
    for part in subject.parts:
        subject.seconds(part)
    return subject.device


def parse_batches(text: str) -> list[int]:
    """'1,4,16' as numbers, each once. Raises UserError on anything else, and on those that no machine could bear."""
    batches = list(dict.fromkeys(int_ranges(text)))
    if min(batches) < 1:
        raise UserError(f"--batches '{text}': a batch has at least one picture")
    if max(batches) > LARGEST_BATCH:
        raise UserError(f"--batches '{text}': a batch has at most {LARGEST_BATCH} pictures")
    return batches


def compared(method: str, kind: str, vs_kind: str | None) -> dict[str, str]:
    """{name: operators} of one generator or two. Raises UserError when they are the same."""
    if vs_kind is None:
        return {method: kind}
    if kind == vs_kind:
        raise UserError(f"--ops and --vs-ops are both {kind}; give two to compare")
    return {f"{method} ({each})": each for each in (kind, vs_kind)}


def answer(
    run: Run, res: int, method: str, cfg: str, batches: str, ops: str, vs_ops: str | None, precision: Precision
) -> Findings:
    """What the command of this name does, and finds."""
    sizes, kinds = parse_batches(batches), compared(method, ops, vs_ops)
    check_precision(precision, run.device)
    place = run.device.type
    configs = {name: resolved(method, cfg, res, TRAINING_BATCH, place, each) for name, each in kinds.items()}
    run.begin()
    return measure(run, configs, sizes, precision)
