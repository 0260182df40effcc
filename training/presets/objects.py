"""What --sel and --sampler change in a design beside the key that they name: how many objects a scene has."""

from dnnlib.errors import UserError
from dnnlib.parsing import nearest
from training.choices import SAMPLERS, SEL_KINDS
from training.presets.keys import Layer, merge, nested

# A design is for scenes of one object, in three levels, or of several, in one.
ONE_OBJECT: Layer = {
    "generator": {"encoding": {"counts": [1, 2, 4], "max_resolution": 16}},
    "sampler": {"kind": "paper", "spread": [0.5, 1.0], "apart": 0.0, "margin": 0.0},
    "align": {"match": "all", "nearest": "truncated"},
}
NEW_ENCODING: Layer = {"generator": {"encoding": {"registration": "cells"}}}  # of a method that had none
SEVERAL_OBJECTS: Layer = {
    "generator": {"encoding": {"counts": [3], "max_resolution": None}},
    "sampler": {"kind": "multi-object", "spread": [0.1, 0.5], "apart": 0.6, "margin": 0.3},
    "align": {"match": "best", "nearest": "l1"},
}


def sel_layer(sel: str | None, design: Layer) -> Layer:
    """What --sel changes; without spatial encoding there is nothing to align. Raises UserError for an unknown kind."""
    if sel is None:
        return {}
    if sel not in SEL_KINDS:
        raise UserError(f"--sel '{sel}' is unknown{nearest(sel, SEL_KINDS)}")
    if sel == "none":
        return {"generator": {"encoding": None}, "align": {"weight": 0}}
    scene = _scene(design, several_objects=True) if sel == "indoor" else {}
    if design["generator"].get("encoding") is None:
        scene = merge(NEW_ENCODING, scene)
    return merge(scene, nested("generator.encoding.layer", sel))


def sampler_layer(sampler: str | None, design: Layer) -> Layer:
    """What --sampler brings with it; where the generator takes no heatmaps, there is none to draw.

    A sampler that users registered takes the design as it is.
    """
    if sampler not in SAMPLERS or design["generator"].get("encoding") is None:
        return {}
    return _scene(design, several_objects=sampler == "multi-object")


def _scene(design: Layer, several_objects: bool) -> Layer:
    """What turns a design for scenes of one object into one for several, or back; nothing where it is so already."""
    counts = (design["generator"].get("encoding") or {}).get("counts", (1, 2, 4))
    if (len(counts) == 1) == several_objects:
        return {}
    return SEVERAL_OBJECTS if several_objects else ONE_OBJECT
