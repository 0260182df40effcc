"""Which styles are coarse, middle and fine (Karras et al. 2019, section 3.1)."""

from dnnlib.errors import UserError
from training.networks.backbones import GeneratorNetwork
from training.networks.stylegan import StyleSynthesis

KINDS = ("coarse", "middle", "fine")


def check_styles(G: GeneratorNetwork) -> None:
    """Raises UserError for a network whose picture has one latent and no styles."""
    if G.num_ws == 1:
        raise UserError(
            f"a model of the backbone {G.config.backbone} has one latent for all layers, and no styles to mix"
        )


def style_kinds(G: GeneratorNetwork) -> dict[str, range]:
    """{kind: numbers of w}: coarse up to 8x8, middle, fine from 64x64 on.

    Smaller pictures have fine styles, too, those of the last resolution; coarse ones of 16x16 are those of 4x4. Raises
    UserError for a network without styles, and for pictures smaller than 16x16.
    """
    check_styles(G)
    last = G.config.img_resolution
    if last < 16:
        raise UserError(f"pictures of {last}x{last} are too small to tell coarse, middle and fine styles apart")
    coarse, fine = (4 if last == 16 else 8), min(64, last)
    resolutions = [style_resolution(G, number) for number in range(G.num_ws)]
    middle_begins, fine_begins = sum(r <= coarse for r in resolutions), sum(r < fine for r in resolutions)
    bounds = (0, middle_begins, fine_begins, G.num_ws)
    return {kind: range(*bounds[i : i + 2]) for i, kind in enumerate(KINDS)}


def style_resolution(G: GeneratorNetwork, number: int) -> int:
    """Of the convolution that w `number` is for: 4, 8, 8, 16, 16, ...; the last w, of to_rgb, is of the image's.

    StyleGAN's first version has two at 4x4: 4, 4, 8, 8, ...
    """
    first_is_alone = not isinstance(G.synthesis, StyleSynthesis)
    return min(4 << ((number + first_is_alone) // 2), G.config.img_resolution)
