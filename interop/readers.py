"""What makes snapshots of networks that are none: addresses on the web, and pickles of other programs.

Registered for training/runs/sources.py, so that --network takes them wherever it takes a snapshot. What was made is
kept in the cache by the SHA-256 of its source.
"""

from pathlib import Path

from dnnlib.cache import cache_folder
from dnnlib.downloads import sha256_of
from dnnlib.errors import UserError
from interop.as_snapshot import write_snapshot
from interop.exported import ADVICE, exported_at
from interop.pickles.families import SAFETENSORS, file_kind
from interop.pickles.reference_networks import kimg_of, read_reference
from interop.remote import fetch_network
from training.runs.snapshot import snapshot_name
from training.runs.sources import READERS, address_in

FORMAT = 1  # of the mapping; another number makes the cache anew


@READERS.register("web")
def from_the_web(text: str) -> Path | None:
    """The network at https://... or hf://owner/name[/file], downloaded once."""
    address = address_in(text)
    if address is None:
        return None
    path = fetch_network(address)
    return path if file_kind(path) == SAFETENSORS else from_pickle(str(path))


@READERS.register("exported")
def refuse_exported(text: str) -> Path | None:
    """What convert.py has written for others. Raises UserError, which says what it is and what to give instead."""
    found = exported_at(text)
    if found is None:
        return None
    raise UserError(f"{text}: this is {found.kind}; {ADVICE}")


@READERS.register("reference-pickle")
def from_pickle(text: str) -> Path | None:
    """The network in a pickle of StyleGAN2-ADA or EqGAN-SA, converted once. Raises UserError for other families."""
    path = Path(text)
    if address_in(text) is not None or not path.is_file() or file_kind(path) == SAFETENSORS:
        return None
    kept = cache_folder("converted") / f"{sha256_of(path)[:32]}-{FORMAT}"
    snapshot = kept / snapshot_name(kimg_of(path))
    if not snapshot.is_file():
        networks = read_reference(path)
        kept.mkdir(exist_ok=True)
        write_snapshot(networks, path, snapshot)
    return snapshot
