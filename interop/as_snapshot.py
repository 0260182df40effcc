"""Networks of others, written as snapshots of ours, with a JSON file that says where they are from."""

from pathlib import Path
from typing import Any

from dnnlib.errors import UserError
from dnnlib.files import make_dir, write_json
from interop.pickles.reference_networks import ReferenceNetworks, read_reference
from torch_utils.tensor_files import write_tensors
from training.runs.snapshot import NETWORKS, snapshot_metadata, snapshot_name
from training.runs.validation import open_stored


def convert(source: str | Path, dest: str | Path) -> Path:
    """Convert a pickle to a snapshot, `dest`, or a file in the folder `dest`; returns its path.

    Raises UserError when the source cannot be read; then nothing is written.
    """
    networks, dest = read_reference(source), Path(dest)
    if dest.suffix.lower() != ".safetensors":
        dest = make_dir(dest) / snapshot_name(networks.kimg)
    make_dir(dest.parent)
    write_snapshot(networks, Path(source), dest)
    return dest


def write_snapshot(networks: ReferenceNetworks, source: Path, dest: Path) -> None:
    """Write the snapshot, and NAME.json beside it: source, SHA-256, configuration."""
    write_tensors(dest, networks.tensors, snapshot_metadata(networks.config, networks.kimg))
    write_json(dest.with_suffix(".json"), _provenance(networks, source))


def _provenance(networks: ReferenceNetworks, source: Path) -> dict[str, Any]:
    return {
        "source": source.name,
        "sha256": networks.sha256,
        "kimg": networks.kimg,
        "tensors": len(networks.tensors),
        "config": networks.config.model_dump(mode="json"),
    }


def copy_snapshot(source: Path, dest: str | Path) -> Path:
    """Write the networks of a snapshot or checkpoint as a snapshot, `dest`, or a file in the folder `dest`.

    Raises UserError when the source cannot be read; then nothing is written.
    """
    stored, dest = open_stored(source), Path(dest)
    names = [name for name in stored.file.kinds if name.split(".")[0] in NETWORKS]
    metadata = snapshot_metadata(stored.config(), stored.kimg, stored.is_half)
    tensors = stored.file.read(names)
    make_dir(dest.parent)
    if dest.suffix.lower() != ".safetensors":
        dest = make_dir(dest) / snapshot_name(stored.kimg)
    check_apart(source, dest)
    write_tensors(dest, tensors, metadata)
    return dest


def check_apart(source: Path, dest: str | Path) -> None:
    """Raises UserError where what is to be written would take the place of the network that it is made of."""
    if Path(dest).is_file() and Path(dest).samefile(source):
        raise UserError(f"{dest} is the network itself; give another name, and it stays")
