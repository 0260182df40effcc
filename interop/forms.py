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
    suffix = Path(dest).suffix.lower()
    if suffix not in _BY_SUFFIX:
        endings = ", ".join(f"{suffix or 'a folder'} ({form})" for suffix, form in _BY_SUFFIX.items())
        raise UserError(f"{dest}: which form? Endings are {endings}; or give --as")
    return _BY_SUFFIX[suffix]


def write_form(source: str, dest: str, form: str, latent: "Latent" = "z", license_name: str = "") -> list[str]:
    """Write a network in a form; returns what was done, in lines. Raises UserError, with nothing written."""
    from interop.cards import check_license

    if latent != "z" and form in ("snapshot", "state-dict"):
        raise UserError(f"--latent={latent} is about programs; {dest} is to be a {form}, which takes no latents")
    check_license(license_name)
    if form == "bundle" and Path(dest).is_file():
        raise UserError(f"{dest}: there is a file of that name; name a folder for a bundle")
    if form not in ("bundle", "snapshot") and Path(dest).is_dir():
        raise UserError(f"{dest}: this is a directory; name a file")
    if form == "snapshot":
        return _snapshot(source, dest, license_name)
    if form == "state-dict":
        return _state_dict(source, dest, license_name)
    return _exported(source, dest, form, latent, license_name)


def _snapshot(source: str, dest: str, license_name: str) -> list[str]:
    from interop.as_snapshot import check_apart, convert, copy_snapshot
    from interop.pickles.families import SAFETENSORS, file_kind
    from training.runs.sources import address_in

    if address_in(source) is None and Path(source).is_file() and file_kind(Path(source)) != SAFETENSORS:
        if license_name:
            raise UserError("--license is for a card, which comes with what leaves; convert.py push makes one, too")
        check_apart(Path(source), dest)
        return [f"wrote {convert(source, dest)}"]
    path = find_snapshot(source)
    add_card = _cards_of(path, license_name)
    written = copy_snapshot(path, dest)
    return [f"wrote {written}", add_card(written)]


def _cards_of(path: Path, license_name: str) -> Callable[[str | Path], str]:
    """What makes the card of a network `path` beside what was written of it, and says so in a line."""
    from interop.cards import write_card
    from training.sampling import Model

    model = Model.load(path, "cpu", precision="float32")  # now: what cannot be read leaves nothing behind

    def add_card(written: str | Path) -> str:
        return f"wrote {write_card(model, Path(f'{written}.card'), license_name, path, [Path(written).name])}"

    return add_card


def _state_dict(source: str, dest: str, license_name: str) -> list[str]:
    """The networks of a file, as dictionaries of tensors under the reference's names, by torch.save or as safetensors.

    They are G, D and G_ema, or D and G_ema of a model that is given away.
    """
    import torch

    from interop.as_snapshot import check_apart
    from interop.reference_state import reference_state
    from torch_utils.tensor_files import write_tensors
    from training.runs.snapshot import open_snapshot

    path = find_snapshot(source)
    check_apart(path, dest)
    snapshot, states, add_card = open_snapshot(path), {}, _cards_of(path, license_name)
    for name in snapshot.networks():
        states[name] = reference_state(snapshot.discriminator() if name == "D" else snapshot.generator(name))
    make_dir(Path(dest).parent)
    if Path(dest).suffix.lower() == ".safetensors":
        flat = {f"{name}.{key}": tensor for name, state in states.items() for key, tensor in state.items()}
        write_tensors(dest, flat, {"format": "pt"})
    else:
        write_by(dest, lambda file: torch.save(states, file))
    tensors = counted(sum(map(len, states.values())), "tensor")
    said = f"wrote {dest}: {tensors} of {', '.join(states)} in the reference's names"
    return [said, add_card(dest)]


def _exported(source: str, dest: str, form: str, latent: "Latent", license_name: str) -> list[str]:
    from interop.as_snapshot import check_apart
    from interop.bundle import write_bundle
    from interop.cards import CARD, write_card
    from interop.exportable import ExportOptions
    from interop.onnx_export import export_onnx
    from interop.program_export import export_program
    from training.sampling import Model

    path = find_snapshot(source)
    check_apart(path, dest)
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
