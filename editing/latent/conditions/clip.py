"""Words: how like its picture is to texts, by a CLIP model (Radford et al. 2021) that the user gives.

    clip:ViT-B-32.pt:tokenizer.json:a red face;a blue face

The model is a TorchScript archive with methods encode_image(pictures [N, 3, S, S]) and encode_text(tokens [T, L]), as
CLIP's authors publish theirs (see files.py about trust); the tokenizer a JSON file of the package tokenizers, such as
models on the Hugging Face Hub have beside them. The condition is the cosine of the angle between picture and text,
[N, T].
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dnnlib.errors import REASON, UserError, in_one_line
from dnnlib.parsing import shown
from editing.latent.conditions.files import load_script
from interop.optional import needed

MEAN, DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # of CLIP's pictures
SIDE, LENGTH = 224, 77  # where the archive does not say: pixels, and tokens of a text
MOST_TEXTS = 100


@dataclass(frozen=True)
class ClipCondition:
    """Likeness to texts, whose directions [T, E] have length 1."""

    names: tuple[str, ...]
    network: Any  # torch.jit.ScriptModule
    texts: Tensor
    side: int

    def __call__(self, images: Tensor) -> Tensor:
        images = images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images
        images = F.interpolate(images.clamp(-1, 1), self.side, mode="bicubic", align_corners=False, antialias=True)
        mean, deviation = (images.new_tensor(values)[:, None, None] for values in (MEAN, DEVIATION))
        found = self.network.encode_image((images / 2 + 0.5 - mean) / deviation)
        return F.normalize(found.float(), dim=1) @ self.texts.T


def clip_condition(words: str, example: Tensor) -> ClipCondition:
    """From 'MODEL:TOKENIZER:text;text'; a picture `example` [1, C, R, R] is tried, on the device of all others.

    Raises UserError for another form, or files that are no such thing.
    """
    parts = words.split(":", 2)
    texts = [text.strip() for text in parts[-1].split(";") if text.strip()]
    if len(parts) != 3 or not texts or len(texts) > MOST_TEXTS:
        raise UserError(f"--condition clip:{shown(words)} is not of the form clip:MODEL.pt:TOKENIZER.json:text;text")
    for path in parts[:2]:
        if not Path(path).is_file():
            raise UserError(f"--condition clip: {shown(path, REASON)}: no such file")
    network = load_script(parts[0], example.device)
    tokens = _tokens(parts[1], texts, int(getattr(network, "context_length", LENGTH))).to(example.device)
    try:
        with torch.no_grad():
            directions = F.normalize(network.encode_text(tokens).float(), dim=1)
            side = int(getattr(network, "input_resolution", SIDE))
            condition = ClipCondition(tuple(texts), network, directions, side)
            condition(example)
    except (AttributeError, RuntimeError, torch.jit.Error) as error:
        raise UserError(f"{parts[0]}: no CLIP model ({in_one_line(error, REASON)})") from error
    return condition


def _tokens(path: str, texts: list[str], length: int) -> Tensor:
    """[T, length], zeros behind each text. Raises UserError when the file is no tokenizer, or a text is too long."""
    tokenizers = needed("tokenizers", extra="clip")
    try:
        tokenizer = tokenizers.Tokenizer.from_file(path)
    except Exception as error:  # of Rust: the class is Exception itself
        raise UserError(f"{path}: no tokenizer of the package tokenizers ({in_one_line(error, REASON)})") from error
    found = torch.zeros(len(texts), length, dtype=torch.long)
    for row, text in enumerate(texts):
        numbers = tokenizer.encode(text).ids
        if len(numbers) > length:
            raise UserError(f"--condition clip: '{shown(text)}' has {len(numbers)} tokens; {length} are the most")
        found[row, : len(numbers)] = torch.tensor(numbers)
    return found
