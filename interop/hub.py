"""To the Hugging Face hub, by its own library: a snapshot with its card."""

import tempfile
from pathlib import Path

from dnnlib.errors import REASON, UserError, in_one_line
from interop.cards import write_card
from interop.optional import needed
from interop.remote import hub, parse_hub
from training.runs.snapshot import find_snapshot
from training.sampling import Model


def push(address: str, source: str, license_name: str, private: bool = False) -> str:
    """Upload a snapshot and its card to hf://owner/name; returns the page's address.

    The token is the one that the hub's own library finds (HF_TOKEN, or `hf auth login`). Raises UserError when that
    library is missing, or when the hub refuses.
    """
    target = parse_hub(address)
    if target.file is not None:
        raise UserError(f"{address}: give hf://owner/name alone; files keep their names")
    library = needed("huggingface_hub", extra="hub")
    path = find_snapshot(source)
    model = Model.load(path, "cpu", precision="float32")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        copy.symlink_to(path.resolve())
        write_card(model, Path(folder), license_name, path, [path.name])
        try:
            api = library.HfApi(endpoint=hub())
            api.create_repo(target.repository, private=private, exist_ok=True)
            api.upload_folder(repo_id=target.repository, folder_path=folder, commit_message=f"{model.kimg:g} kimg")
        except Exception as error:  # of the network, of the hub, of the token: all of the library's own kinds
            raise UserError(f"{address}: not uploaded ({in_one_line(error, REASON)})") from error
    return f"{hub()}/{target.repository}"
