"""Named sets of transforms: blit, geom, color, filter, noise, cutout, and bg to bgcfnc, which add them up."""

from collections.abc import Mapping
from itertools import accumulate
from types import MappingProxyType

from training.augment import color, geometry

GROUPS = {
    "blit": geometry.NAMES[:3],
    "geom": geometry.NAMES[3:],
    "color": color.NAMES,
    "filter": ("imgfilter",),
    "noise": ("noise",),
    "cutout": ("cutout",),
}
TRANSFORMS = tuple(name for group in GROUPS.values() for name in group)


def _sums() -> dict[str, tuple[str, ...]]:
    """b, bg, bgc, ...: initials of the groups, and all that is in them."""
    names = accumulate(group[0] for group in GROUPS)
    return dict(zip(names, accumulate(GROUPS.values()), strict=True))


PIPES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    GROUPS | {name: transforms for name, transforms in _sums().items() if len(name) > 1}
)


def multipliers(pipe: str) -> dict[str, float]:
    """{transform: 1 if it is in the pipe, else 0}, for every transform."""
    return {name: float(name in PIPES[pipe]) for name in TRANSFORMS}
