"""From a request to results: what calc_metrics.py does, in one process or several."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from dnnlib.errors import UserError
from dnnlib.files import make_dir
from metrics import registry
from metrics.context import EvaluatedNetwork, MetricContext, MetricOptions
from metrics.detectors.choice import DetectorName
from metrics.extractors import Extractors, WeightFiles, weights_of
from metrics.extractors.weights import parse_weights
from metrics.image_files import ImageFiles
from metrics.networks import load_model, open_network
from torch_utils.allocator import keep_memory
from torch_utils.devices import choose_device
from torch_utils.distributed import World, current
from torch_utils.threads import yield_when_crowded
from training.config import RunConfig
from training.data.dataset import ImageDataset
from training.data.of_run import open_data, open_data_if_there
from training.layouts.files import load_layout
from training.layouts.layout import Layout, check_counts
from training.networks.generator import set_memory_format
from training.runs.snapshot import Snapshot
from training.sampling import Model


@dataclass(frozen=True)
class MetricsRequest:
    """What calc_metrics.py was asked for, in the form of its options.

    networks: one, or two to compare, or none where `images`, files, are measured.
    """

    networks: tuple[str, ...]
    names: tuple[str, ...]
    images: str | None = None
    data: str | None = None
    mirror: bool | None = None
    num: int | None = None
    batch: int = 64
    trunc: float = 1.0
    layout: str | None = None
    seed: int = 0
    weights: tuple[str, ...] = ()
    device: str = "auto"
    use_cache: bool = True
    detector: DetectorName = "auto"
    detector_weights: str | None = None
    manipulation: Callable[[Model], Any] | None = None
    progress: bool = False
    as_json: bool = False
    save: bool = True


@dataclass(frozen=True)
class Measured:
    """A result, and the network it is of (None: of files)."""

    result: dict[str, Any]
    snapshot: Snapshot | None = field(default=None)


def check(request: MetricsRequest) -> list[str]:
    """Look at everything that can be looked at before the work begins, and fetch the weights of extractors.

    Returns what should be said of the pictures, a line each. Raises UserError when something is amiss.
    """
    registry.check(request.names)
    registry.check_num(request.names, request.num)
    for name in request.names:
        if (request.trunc != 1 or request.layout) and not registry.find(name).uses_truncation_and_layout:
            raise UserError(f"--trunc and --layout do not apply to the metric '{name}', which has pictures of its own")
    if request.manipulation is not None and not any(registry.find(name).needs == "--method" for name in request.names):
        raise UserError("--method is for the metric mds: add it to --metrics, or leave --method out")
    remarks = [] if request.images is None else _check_files(request)
    for network in request.networks:
        snapshot = open_network(network)
        registry.check(request.names, snapshot.config, _options(request).given)
        _layout(request, snapshot.config)
        _check_enough(request.names, _real_images(request, snapshot.config))
        if request.save:
            make_dir(snapshot.path.parent)
    choose_device(request.device)
    registry.fetch_weights(request.names, _extractors(request))
    return remarks


def measure(request: MetricsRequest) -> Iterator[Measured]:
    """Compute every metric of every network (or of the files). All processes of the world iterate together."""
    world = current()
    if world.size == 1:
        world = World(device=choose_device(request.device))
    torch.backends.cudnn.benchmark = False  # two GPUs might choose different algorithms, and round differently
    extractors = _extractors(request)
    if request.images is not None:
        yield from _measure(request, _context_of_files(request, extractors, world), None)
    for network in request.networks:
        snapshot = open_network(network)
        yield from _measure(request, _context_of_network(request, snapshot, extractors, world), snapshot)


def _measure(request: MetricsRequest, context: MetricContext, snapshot: Snapshot | None) -> Iterator[Measured]:
    for name in request.names:
        result = registry.evaluate(name, context)
        if snapshot is not None:
            result["snapshot"] = snapshot.path.name
        yield Measured(result, snapshot)


def _context_of_network(
    request: MetricsRequest, snapshot: Snapshot, extractors: Extractors, world: World
) -> MetricContext:
    dataset = _real_images(request, snapshot.config)
    model = load_model(snapshot, world.device)
    on_cpu = model.device.type == "cpu"
    if on_cpu:
        keep_memory()
        yield_when_crowded()
    D = snapshot.discriminator().to(model.device)
    set_memory_format(D, channels_last=on_cpu)
    measured = EvaluatedNetwork(model, D, request.trunc, _layout(request, snapshot.config))
    return MetricContext(measured, dataset, _options(request), world, extractors)


def _context_of_files(request: MetricsRequest, extractors: Extractors, world: World) -> MetricContext:
    pictures, real = _both_files(request)
    return MetricContext(pictures, real, _options(request), world, extractors)


def _options(request: MetricsRequest) -> MetricOptions:
    return MetricOptions(
        seed=request.seed,
        num=request.num,
        batch_size=request.batch,
        progress=request.progress,
        use_cache=request.use_cache,
        detector=request.detector,
        detector_weights=request.detector_weights,
        manipulation=request.manipulation,
    )


def _real_images(request: MetricsRequest, config: RunConfig) -> ImageDataset:
    """Those of --data or of the run. Raises UserError when they are not there, and a metric looks at some."""
    looks = any(registry.find(name).reals > 0 for name in request.names)
    return (open_data if looks else open_data_if_there)(config, request.data, request.mirror)


def _check_enough(names: Sequence[str], real: ImageDataset | ImageFiles) -> None:
    for name in names:
        needed = registry.find(name).reals
        if needed > len(real):
            raise UserError(f"metric '{name}' needs {needed} real images; {real.path} holds {len(real)}")


def _check_files(request: MetricsRequest) -> list[str]:
    """That two sets of files are there, and that nothing is asked of them which only a network can give."""
    if request.networks:
        raise UserError("--images are measured in place of a network; leave --network and --compare out")
    pictures, real = _both_files(request)
    if request.trunc != 1 or request.layout or request.mirror:
        raise UserError("--trunc, --layout and --mirror are for a network's images; leave them out with --images")
    for name in request.names:
        if not registry.find(name).takes_pictures:
            raise UserError(f"metric '{name}' does not apply: it needs a network; leave it out of --metrics")
    _check_enough(request.names, real)
    return [*pictures.remarks(), *real.remarks()]


def _both_files(request: MetricsRequest) -> tuple[ImageFiles, ImageFiles]:
    """What is measured, and what it is compared with. Raises UserError when one of them is missing."""
    if request.images is None or request.data is None:
        raise UserError("--images are compared with --data, a folder or zip of real images; say where it is")
    return ImageFiles(request.images), ImageFiles(request.data)


def _layout(request: MetricsRequest, config: RunConfig) -> Layout | None:
    if request.layout is None:
        return None
    if config.generator.encoding is None:
        raise UserError(f"--layout: the model (method {config.method}) takes no layout; leave it out")
    encoding = config.generator.encoding
    layout = check_counts(load_layout(request.layout), encoding.counts, request.layout)
    return layout.registered(encoding.registration)


def _extractors(request: MetricsRequest) -> Extractors:
    wanted = {name for each in registry.extractors_of(request.names) for name in weights_of(each)}
    return Extractors(WeightFiles(parse_weights(request.weights, wanted), show_progress=request.progress))
