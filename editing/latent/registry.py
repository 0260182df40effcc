"""The files that an editor was started with, by name: a page says a name, and no path is opened by it.

They are directions, which sessions go along, and fields with key points, which points are dragged by.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dnnlib.errors import UserError
from dnnlib.parsing import nearest, shown
from editing.document import Document
from editing.latent.field_files import is_field
from training.latent.directions import Directions, load_directions, say_origin
from training.sampling import Model

if TYPE_CHECKING:
    from editing.latent.key_points import KeyPointField

STEPS = 100  # of a drag by a field, at most


def known_files(paths: Sequence[str], model: Model) -> tuple[dict[str, Directions], "dict[str, KeyPointField]"]:
    """Directions and fields by name. Raises UserError as `known_directions` does, and for fields that do not fit."""
    fields = [path for path in paths if is_field(path)]
    directions = known_directions([path for path in paths if path not in fields], model)
    if not fields:
        return directions, {}
    from editing.latent.key_points import KeyPointField

    return directions, {name: KeyPointField(path, model) for name, path in _named(fields).items()}


def chosen_field(
    fields: "Mapping[str, KeyPointField]", options: Mapping[str, Any], document: Document
) -> "tuple[KeyPointField, int]":
    """The field that a request to drag names, and the most steps. Raises UserError for what no field can do."""
    name = options["field"]
    if name not in fields:
        raise UserError(f"options.field: this editor was given no field '{shown(name)}'{nearest(name, fields)}")
    for other in options.keys() - {"field", "max_steps"}:
        raise UserError(f"options.{other}: with a field, only max_steps can be chosen")
    if document.mask is not None:
        raise UserError("a field changes all of the picture; let everything change, or drag in another way")
    return fields[name], options.get("max_steps", STEPS)


def known_directions(paths: Sequence[str], model: Model) -> dict[str, Directions]:
    """{name: directions} of files; a file's name is that without folder and ending.

    Raises UserError when one cannot be read, does not fit the form of the model's styles, or two have one name.
    """
    found = {name: load_directions(path).fitted(model.G.w_shape, path) for name, path in _named(paths).items()}
    for path, directions in zip(paths, found.values(), strict=True):
        say_origin(path, directions.network, model.config.name)
    return found


def _named(paths: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in paths:
        name = Path(path).stem
        if name in found:
            raise UserError(f"--directions {path}: there is a file called '{name}' already; rename one of them")
        found[name] = path
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
