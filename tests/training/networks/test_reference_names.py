"""Names of the released networks in ours (every one of them: tests/golden/test_names.py)."""

import pytest

from training.networks.reference_names import translate


@pytest.mark.parametrize(
    "theirs, ours",
    [
        ("mapping.fc12.weight", "mapping.layers.12.weight"),
        ("mapping.embed.bias", "mapping.embed.bias"),
        ("mapping.w_avg", "mapping.w_avg"),
        ("synthesis.b4.const", "synthesis.blocks.4.const"),
        ("synthesis.b128.conv0.affine.bias", "synthesis.blocks.128.conv0.affine.bias"),
        ("synthesis.b16.torgb.weight", "synthesis.blocks.16.to_rgb.weight"),
        ("synthesis.hm_conv1_b16.weight", "synthesis.encoder.levels.1.conv1.weight"),
        ("synthesis.b8.torgb.sel.shared.0.bias", "synthesis.blocks.8.to_rgb.sel.shared.bias"),
        ("synthesis.b8.conv1.sel.output.1.weight", "synthesis.blocks.8.conv1.sel.output.weight"),
        ("b256.fromrgb.weight", "blocks.256.from_rgb.weight"),
        ("b4.fromrgb.weight", "epilogue.from_rgb.weight"),
        ("b4.fc.bias", "epilogue.fc.bias"),
        ("b4.resample_filter", None),
    ],
)
def test_translate(theirs, ours):
    assert translate(theirs) == ours
