"""In which forms a network can be written, and which one a file's name asks for."""

import json
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

_USES = {  # in a card: Python that makes a picture of what was written, or reads it
    "onnx": """\
import onnxruntime
import torch

session = onnxruntime.InferenceSession({name})
{inputs}
image = session.run(["image"], {{name: value.numpy() for name, value in inputs.items()}})[0]  # [1, C, R, R]
""",
    "program": """\
import torch

program = torch.export.load({name}).module()
{inputs}
image = program(*inputs.values())[0]  # [1, C, R, R], about [-1, 1]
""",
    "state-dict": """\
import torch

states = torch.load({name}, weights_only=True)  # for networks of StyleGAN2-ADA's or EqGAN-SA's program:
# G_ema.load_state_dict(states["G_ema"])
""",
    "flat": """\
from safetensors.torch import load_file

states = load_file({name})  # "G_ema." and "D." stand before the names of StyleGAN2-ADA's or EqGAN-SA's program
""",
}


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
    from interop.readers import refuse_exported
    from training.runs.sources import address_in

    if address_in(source) is None and Path(source).is_file() and file_kind(Path(source)) != SAFETENSORS:
        refuse_exported(source)
        if license_name:
            raise UserError("--license is for a card, which comes with what leaves; convert.py push makes one, too")
        check_apart(Path(source), dest)
        return [f"wrote {convert(source, dest)}"]
    path = find_snapshot(source)
    add_card = _cards_of(path, license_name)
    written = copy_snapshot(path, dest)
    return [f"wrote {written}", add_card(written)]


def _cards_of(path: Path, license_name: str, use: str | None = None) -> Callable[[str | Path], str]:
    """What makes the card of a network `path` beside what was written of it, and says so in a line."""
    from interop.cards import write_card
    from training.sampling import Model

    model = Model.load(path, "cpu", precision="float32")  # now: what cannot be read leaves nothing behind

    def add_card(written: str | Path) -> str:
        card = write_card(model, Path(f"{written}.card"), license_name, path, [Path(written).name], use)
        return f"wrote {card}"

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
    is_flat, name = Path(dest).suffix.lower() == ".safetensors", json.dumps(Path(dest).name)
    use = _USES["flat" if is_flat else "state-dict"].format(name=name)
    snapshot, states, add_card = open_snapshot(path), {}, _cards_of(path, license_name, use)
    for name in snapshot.networks():
        states[name] = reference_state(snapshot.discriminator() if name == "D" else snapshot.generator(name))
    make_dir(Path(dest).parent)
    if is_flat:
        flat = {f"{name}.{key}": tensor for name, state in states.items() for key, tensor in state.items()}
        write_tensors(dest, flat, {"format": "pt"})
    else:
        write_by(dest, lambda file: torch.save(states, file))
    tensors = counted(sum(map(len, states.values())), "tensor")
    said = f"wrote {dest}: {tensors} of {', '.join(states)} in the reference's names"
    return [said, add_card(dest)]


def _exported(source: str, dest: str, form: str, latent: "Latent", license_name: str) -> list[str]:
    from interop.as_snapshot import check_apart
    from interop.bundle import inputs_line, loader, write_bundle
    from interop.cards import CARD, write_card
    from interop.exportable import Exportable, ExportOptions
    from interop.exported import CONFIG, LOAD, PROGRAM, WEIGHTS
    from interop.onnx_export import export_onnx
    from interop.program_export import export_program
    from training.sampling import Model

    path = find_snapshot(source)
    check_apart(path, dest)
    model, options = Model.load(path, "cpu", precision="float32"), ExportOptions(latent)

    exportable, name = Exportable(model, options), Path(dest).name
    is_bundle = form == "bundle"
    files = [WEIGHTS, PROGRAM, CONFIG, LOAD] if is_bundle else [name]
    use = loader(exportable) if is_bundle else _USES[form].format(name=json.dumps(name), inputs=inputs_line(exportable))

    def add_card(folder: Path) -> Path:
        return write_card(model, folder, license_name, path, files, use)

    writers: dict[str, Callable[[], float]] = {
        "onnx": lambda: export_onnx(model, dest, latent=latent),
        "program": lambda: export_program(model, dest, options),
        "bundle": lambda: write_bundle(model, dest, options, add_card),
    }
    make_dir(Path(dest).parent)
    said = f"wrote {dest}; its pictures differ from the model's by {writers[form]():.2g} at most"
    if is_bundle:
        usage = ["", f"How to use it ({LOAD}):", "", use]
        return [said, f"wrote {Path(dest) / CARD}", *usage]
    return [said, f"wrote {add_card(Path(f'{dest}.card'))}"]
