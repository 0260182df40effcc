"""In which forms a network can be written, and which one a file's name asks for."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from dnnlib.errors import UserError
from dnnlib.files import make_dir, write_by
from dnnlib.words import counted
from training.runs.snapshot import find_snapshot

if TYPE_CHECKING:
    from interop.exportable import Latent

_BY_SUFFIX = {".safetensors": "snapshot", ".pth": "state-dict", ".onnx": "onnx", ".pt2": "program", "": "bundle"}


def form_of(dest: str) -> str:
    """Raises UserError when the name's ending stands for none."""
    suffix = Path(dest).suffix
    if suffix not in _BY_SUFFIX:
        endings = ", ".join(f"{suffix or 'a folder'} ({form})" for suffix, form in _BY_SUFFIX.items())
        raise UserError(f"{dest}: which form? Endings are {endings}; or give --as")
    return _BY_SUFFIX[suffix]


def write_form(source: str, dest: str, form: str, latent: "Latent" = "z", license_name: str = "") -> list[str]:
    """Write a network in a form; returns what was done, in lines. Raises UserError, with nothing written."""
    if form == "snapshot":
        return _snapshot(source, dest)
    if form == "state-dict":
        return _state_dict(source, dest)
    return _exported(source, dest, form, latent, license_name)


def _snapshot(source: str, dest: str) -> list[str]:
    from interop.as_snapshot import convert, copy_snapshot
    from interop.pickles.families import SAFETENSORS, file_kind
    from training.runs.sources import address_in

    is_pickle = address_in(source) is None and Path(source).is_file() and file_kind(Path(source)) != SAFETENSORS
    written = convert(source, dest) if is_pickle else copy_snapshot(find_snapshot(source), dest)
    return [f"wrote {written}"]


def _state_dict(source: str, dest: str) -> list[str]:
    """The networks of a file, as dictionaries of tensors under the reference's names, by torch.save or as safetensors.

    They are G, D and G_ema, or D and G_ema of a model that is given away.
    """
    import torch

    from interop.reference_state import reference_state
    from torch_utils.tensor_files import write_tensors
    from training.runs.snapshot import open_snapshot

    snapshot = open_snapshot(source)
    states = {}
    for name in snapshot.networks():
        states[name] = reference_state(snapshot.discriminator() if name == "D" else snapshot.generator(name))
    make_dir(Path(dest).parent)
    if Path(dest).suffix == ".safetensors":
        flat = {f"{name}.{key}": tensor for name, state in states.items() for key, tensor in state.items()}
        write_tensors(dest, flat, {"format": "pt"})
    else:
        write_by(dest, lambda file: torch.save(states, file))
    tensors = counted(sum(map(len, states.values())), "tensor")
    return [f"wrote {dest}: {tensors} of {', '.join(states)} in the reference's names"]


def _exported(source: str, dest: str, form: str, latent: "Latent", license_name: str) -> list[str]:
    from interop.bundle import write_bundle
    from interop.cards import CARD, write_card
    from interop.exportable import ExportOptions
    from interop.onnx_export import export_onnx
    from interop.program_export import export_program
    from training.sampling import Model

    path = find_snapshot(source)
    model, options = Model.load(path, "cpu", precision="float32"), ExportOptions(latent)

    def add_card(folder: Path) -> Path:
        return write_card(model, folder, license_name, path, [Path(dest).name])

    writers: dict[str, Callable[[], float]] = {
        "onnx": lambda: export_onnx(model, dest, latent=latent),
        "program": lambda: export_program(model, dest, options),
        "bundle": lambda: write_bundle(model, dest, options, add_card),
    }
    make_dir(Path(dest).parent)
    said = f"wrote {dest}; its pictures differ from the model's by {writers[form]():.2g} at most"
    if form == "bundle":
        usage = ["", "How to use it (load.py):", "", (Path(dest) / "load.py").read_text()]
        return [said, f"wrote {Path(dest) / CARD}", *usage]
    return [said, f"wrote {add_card(Path(f'{dest}.card'))}"]
