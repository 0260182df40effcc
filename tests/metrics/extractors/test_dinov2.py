"""DINOv2's transformer against PyTorch's own layers, and its preparation of pictures."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from dnnlib.errors import UserError
from metrics.extractors import Extractors, WeightFiles
from metrics.extractors.dinov2 import VisionTransformer, build

pytestmark = pytest.mark.numeric

WIDTH, DEPTH = 128, 2


def state(positions: int = 16, seed: int = 1) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    network = VisionTransformer(WIDTH, DEPTH, positions)
    return {name: torch.randn(value.shape, generator=draw) * 0.2 for name, value in network.state_dict().items()}


def their_layer(block: nn.Module) -> nn.TransformerEncoderLayer:
    """The same layer as PyTorch has it, which knows no scale: ours goes into the last weights of each half."""
    layer = nn.TransformerEncoderLayer(
        WIDTH, WIDTH // 64, 4 * WIDTH, 0.0, "gelu", layer_norm_eps=1e-6, batch_first=True, norm_first=True
    ).eval()
    layer.norm1, layer.norm2 = block.norm1, block.norm2
    layer.self_attn.in_proj_weight, layer.self_attn.in_proj_bias = block.attn.qkv.weight, block.attn.qkv.bias
    layer.linear1 = block.mlp.fc1
    scaled = ((layer.self_attn.out_proj, block.attn.proj, block.ls1), (layer.linear2, block.mlp.fc2, block.ls2))
    for target, source, scale in scaled:
        target.weight.data = source.weight * scale.gamma[:, None]
        target.bias.data = source.bias * scale.gamma
    return layer


@torch.no_grad()
def test_against_pytorchs_layers():
    network = build(state())
    x = torch.randn(2, 3, 56, 56, generator=torch.Generator().manual_seed(2))
    patches = network.patch_embed.proj(x).flatten(2).transpose(1, 2)
    tokens = torch.cat([network.cls_token.expand(2, -1, -1), patches], 1) + network.pos_embed
    for block in network.blocks:
        tokens = their_layer(block)(tokens)
    assert torch.allclose(network(x), network.norm(tokens)[:, 0], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_positions_are_resized_for_other_sizes():
    network = build(state() | {"pos_embed": torch.full([1, 17, WIDTH], 0.5)})
    resized = network._positions(7)
    assert resized.shape == (1, 1 + 49, WIDTH)
    assert torch.allclose(resized, torch.tensor(0.5), atol=1e-6)
    assert torch.equal(network._positions(4), network.pos_embed)


def test_pictures_to_features(tmp_path):
    save_file(state(), tmp_path / "dino.safetensors")
    extractor = Extractors(WeightFiles({"dinov2": tmp_path / "dino.safetensors"})).get("dinov2", torch.device("cpu"))
    images = torch.randint(0, 256, (2, 3, 224, 224), dtype=torch.uint8, generator=torch.Generator().manual_seed(4))
    mean, deviation = (torch.tensor(c)[:, None, None] for c in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    expected = build(state())((images / 255 - mean) / deviation)
    assert torch.allclose(extractor(images)["cls"], expected.detach(), rtol=1e-4, atol=1e-5)


def test_the_mask_token_of_the_training_is_left_aside():
    assert build(state() | {"mask_token": torch.zeros(1, WIDTH)}).norm.weight.shape == (WIDTH,)


def test_other_weights_are_refused():
    with pytest.raises(UserError, match="no blocks of a vision transformer"):
        build({"fc.weight": torch.zeros(1)})
    with pytest.raises(UserError, match="are of another network"):
        build(state() | {"blocks.999999999.x": torch.zeros(1)})  # a name does not say how much memory is taken
    with pytest.raises(UserError, match="weights given for 'dinov2' are of another network"):
        build({name: value for name, value in state().items() if "ls1" not in name})
