"""Parameter names of the StyleGAN2-ADA and EqGAN-SA releases, translated to ours.

| theirs | ours |
| --- | --- |
| mapping.fc3.*, mapping.embed.*, mapping.w_avg | mapping.layers.3.*, the same, the same |
| synthesis.b8.conv0.* | synthesis.blocks.8.conv0.* |
| synthesis.b8.torgb.*, .skip.weight, .const | synthesis.blocks.8.to_rgb.*, .skip.weight, .const |
| synthesis.hm_conv0_b8.*, _b16, _b32 | synthesis.encoder.levels.0.conv0.*, 1, 2 |
| (layer).sel.shared.0.*, .sigma.*, .mu.*, .output.1.* | (layer).sel.shared.*, .sigma.*, .mu.*, .output.* |
| b16.fromrgb.*, b16.conv0.*, b16.conv1.*, b16.skip.* | blocks.16.from_rgb.*, .conv0.*, .conv1.*, .skip.* |
| b4.conv.*, b4.fc.*, b4.out.*, b4.fromrgb.* (discriminator) | epilogue.conv.*, .fc.*, .out.*, .from_rgb.* |
| *.resample_filter | none: it follows from the configuration |

Shapes are the same everywhere.
"""

import re

_RULES = (
    (r"\bfc(\d+)\.", r"layers.\1."),
    (r"^synthesis\.hm_conv(\d)_b8\.", r"synthesis.encoder.levels.0.conv\1."),
    (r"^synthesis\.hm_conv(\d)_b16\.", r"synthesis.encoder.levels.1.conv\1."),
    (r"^synthesis\.hm_conv(\d)_b32\.", r"synthesis.encoder.levels.2.conv\1."),
    (r"^synthesis\.b(\d+)\.", r"synthesis.blocks.\1."),
    (r"^b4\.", "epilogue."),
    (r"^b(\d+)\.", r"blocks.\1."),
    (r"\.torgb\.", ".to_rgb."),
    (r"\.fromrgb\.", ".from_rgb."),
    (r"\bshared\.0\.", "shared."),
    (r"\boutput\.1\.", "output."),
)


def translate(name: str) -> str | None:
    """Our name of a released parameter or buffer; None for those we do not keep."""
    if name.endswith("resample_filter"):
        return None
    for pattern, replacement in _RULES:
        name = re.sub(pattern, replacement, name)
    return name
