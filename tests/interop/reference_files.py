"""Writes pickles laid out as the reference's programs write them, of networks of ours: what is read must come back.

Modules are "persistent" objects with a state; parameters and buffers are stored tensors; ordinary torch modules are
made by NEWOBJ and BUILD. tests/golden/data/README.md and the golden pickles say what such a file holds.
"""

import io
import struct

import torch
from torch import Tensor, nn

from interop.reference_state import reference_state
from tests.interop.hostile import blob, call, dictionary, module, named, number, storage, text, tuple_of
from training.networks.discriminator import Discriminator
from training.networks.generator import Generator

_NONE, _TRUE, _FALSE = b"N", b"\x88", b"\x89"
_TORCH = {  # ordinary modules inside a spatial encoding layer, by their place there
    "shared": ("torch.nn.modules.container", "Sequential"),
    "output": ("torch.nn.modules.container", "Sequential"),
    "0": ("torch.nn.modules.activation", "LeakyReLU"),
}


def write_pickle(G: Generator, D: Discriminator, G_ema: Generator, augment: bytes = _NONE) -> bytes:
    """A network pickle with all three."""
    about = dictionary(class_name=text("x"), path=text("/data/them.zip"), xflip=_TRUE, use_labels=_FALSE)
    networks = {name: network_bytes(net) for name, net in (("G", G), ("D", D), ("G_ema", G_ema))}
    return b"\x80\x04" + dictionary(training_set_kwargs=about, **networks, augment_pipe=augment) + b"."


def network_bytes(network: nn.Module) -> bytes:
    """A network as a tree of persistent modules."""
    tree: dict = {}
    buffers = {name for name, _ in network.named_buffers()}
    for (name, tensor), ours in zip(reference_state(network).items(), _own_names(network), strict=True):
        node = tree
        *places, last = name.split(".")
        for place in places:
            node = node.setdefault(place, {})
        node[last] = tensor_bytes(tensor, ours not in buffers)
    if isinstance(network, Discriminator) and network.config.mbstd_num_channels:
        tree["b4"]["mbstd"] = {}
    return _module("", tree, network)


def _own_names(network: nn.Module) -> list[str]:
    return [name for name, _ in network.named_parameters()] + [name for name, _ in network.named_buffers()]


def tensor_bytes(tensor: Tensor, is_parameter: bool) -> bytes:
    data = tensor.contiguous().numpy().tobytes()
    loaded = call("torch.storage", "_load_from_bytes", blob(storage(tensor.numel(), data=data)))
    sizes = (tuple_of(*map(number, values)) for values in (tensor.shape, tensor.contiguous().stride()))
    hooks = call("collections", "OrderedDict")
    made = call("torch._utils", "_rebuild_tensor_v2", loaded, number(0), *sizes, _FALSE, hooks)
    return call("torch._utils", "_rebuild_parameter", made, _FALSE, hooks) if is_parameter else made


def _module(path: str, tree: dict, network: nn.Module) -> bytes:
    """One module with those below it."""
    inside = {name: value for name, value in tree.items() if isinstance(value, dict)}
    tensors = {name: value for name, value in tree.items() if not isinstance(value, dict)}
    state = {
        "training": _FALSE,
        "_parameters": dictionary(**tensors),
        "_buffers": dictionary(),
        "_non_persistent_buffers_set": b"\x8f",
        "_modules": dictionary(**{name: _module(f"{path}.{name}", value, network) for name, value in inside.items()}),
    }
    place = path.split(".")[-1]
    if ".sel." in path and place in _TORCH and not tensors:
        return named(*_TORCH[place]) + b")\x81" + dictionary(**state) + b"b"
    return module(_class_of(path, network), **state, **_attributes(path, network))


def _class_of(path: str, network: nn.Module) -> str:
    return type(network).__name__ if path == "" else "SynthesisBlock"  # only the top one matters


def _attributes(path: str, network: nn.Module) -> dict[str, bytes]:
    """Those that the constructor of such a module leaves on it."""
    config, parts = network.config, path.strip(".").split(".")
    is_generator = isinstance(network, Generator)
    convolution = config.synthesis if is_generator else config
    if path == "":
        names = ("c_dim", "img_resolution", "img_channels", *(("z_dim", "w_dim") if is_generator else ()))
        return {name: number(getattr(config, name)) for name in names}
    if parts == ["mapping"]:
        beta = config.mapping.w_avg_beta
        return {"num_layers": number(config.mapping.num_layers), "w_avg_beta": _NONE if beta is None else real(beta)}
    if parts[0] == "mapping":
        gain = numpy_number(config.mapping.lr_multiplier)
        return {"activation": text(config.mapping.activation), "bias_gain": gain}
    if parts[-1] == "mbstd":
        size = _NONE if config.mbstd_group_size is None else number(config.mbstd_group_size)
        return {"group_size": size, "num_channels": number(config.mbstd_num_channels)}
    clamp = _NONE if convolution.conv_clamp is None else real(convolution.conv_clamp)
    common = {"conv_clamp": clamp, "activation": text(convolution.activation)}
    if parts[-1].startswith("b") and parts[-1][1:].isdigit():
        half = network.synthesis.half_resolutions if is_generator else network.half_resolutions
        common["use_fp16"] = _TRUE if int(parts[-1][1:]) in half else _FALSE
        common["architecture"] = text(convolution.architecture)
        if not is_generator and parts == ["b4"]:
            common["cmap_dim"] = number((config.cmap_dim or config.channels(4)) if config.c_dim else 0)
    return common | ({"use_noise": _TRUE if convolution.use_noise else _FALSE} if is_generator else {})


def real(value: float) -> bytes:
    return b"G" + struct.pack(">d", value)


def numpy_number(value: float) -> bytes:
    """As NumPy pickles a float64."""
    kind = call("numpy", "dtype", text("f8"), _FALSE, _TRUE)
    state = tuple_of(number(3), text("<"), _NONE, _NONE, _NONE, number(-1), number(-1), number(0))
    return call("numpy.core.multiarray", "scalar", kind + state + b"b", blob(struct.pack("<d", value)))


def loaded_by_torch(data: bytes) -> object:
    """What torch makes of the bytes of a storage: the writer's own check."""
    return torch.load(io.BytesIO(data), weights_only=True)
