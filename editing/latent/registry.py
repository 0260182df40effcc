"""The files of directions that an editor was started with, by name: a page says a name, and no path is opened by it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dnnlib.errors import UserError
from training.latent.directions import Directions, load_directions


def known_directions(paths: Sequence[str], w_shape: Sequence[int]) -> dict[str, Directions]:
    """{name: directions} of files; a file's name is that without folder and ending.

    Raises UserError when one cannot be read, does not fit a model with styles [N, *w_shape], or two have one name.
    """
    found: dict[str, Directions] = {}
    for path in paths:
        name = Path(path).stem
        if name in found:
            raise UserError(f"--directions {path}: there is a file called '{name}' already; rename one of them")
        found[name] = load_directions(path).fitted(w_shape, path)
    return found


def about_directions(name: str, directions: Directions) -> dict[str, Any]:
    """What a page has to know to show a slider for each direction; a Document names it by `file` and its number."""
    layers = None if directions.layers is None else list(directions.layers)
    return {
        "file": name,
        "method": directions.method,
        "count": len(directions),
        "names": list(directions.names),
        "layers": layers,
        "part": directions.part,
    }
