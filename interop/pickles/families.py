"""Whose file this is, recognised by the names in it where it is not one that is read here.

What we read is StyleGAN2-ADA's and EqGAN-SA's pickle; the others are refused by their name, with what to do instead.
"""

import pickletools
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from dnnlib.errors import UserError
from dnnlib.json_files import open_regular
from dnnlib.pickle_interpreter import Bounded

LARGEST_FILE = 4 << 30  # bytes
_LARGEST_INDEX = 64 << 20  # bytes of the pickle inside a zip archive
_MOST_STEPS, _MOST_WORDS, _LONGEST_WORD = 1_000_000, 100_000, 120

PICKLE, ZIP, SAFETENSORS = "pickle", "zip", "safetensors"
READ = "this program reads network pickles of StyleGAN2-ADA (PyTorch) and EqGAN-SA"


@dataclass(frozen=True)
class Family:
    """A kind of foreign file: its name, words of which it holds all, one of each group; and what to do with it."""

    name: str
    words: tuple[tuple[str, ...], ...]
    advice: str


_OWN_CODE = "make pictures of it with the program that trained it"
_RESTART = "to train on from it here, there is no way: its networks are built differently"
FAMILIES = (
    Family("a TensorFlow-era StyleGAN pickle", (("dnnlib.tflib.network", "dnnlib.tflib", "tfutil"),),
           "convert it first with StyleGAN2-ADA's own converter to PyTorch (legacy.py), and give what that writes"),
    Family("a StyleGAN-XL network pickle", (("pg_modules.discriminator", "ProjectedDiscriminator", "SuperresGenerator",
           "networks_stylegan3_resetting", "FeatureNetwork", "MultiScaleD"),), f"{_OWN_CODE}; {_RESTART}"),
    Family("an R3GAN network pickle", (("R3GAN", "R3GAN.Networks", "GenerativeBasis", "DiscriminativeBasis",
           "InverseInterpolativeUpsampler"),), f"{_OWN_CODE}; {_RESTART}"),
    Family("a StyleGAN3 network pickle", (("SynthesisInput", "training.networks_stylegan3"),),
           f"{_OWN_CODE}; StyleGAN3's StyleGAN2 configurations (--cfg=stylegan2) are read"),
    Family("a diffusion model's pickle (EDM)", (("EDMPrecond", "EDM2Precond", "VPPrecond", "VEPrecond", "SongUNet"),),
           "it is no GAN"),
    Family("a rosinality-style StyleGAN2 checkpoint (.pt)", (("g_ema",), ("style.1.weight", "input.input",
           "conv1.conv.modulation.weight", "convs.0.conv.modulation.weight")),
           "its networks are built differently; if it was converted from a pickle of StyleGAN2-ADA, give that"),
)  # fmt: skip
_OURS = (("_reconstruct_persistent_obj",), ("SynthesisBlock", "SynthesisNetwork"))


def file_kind(path: Path) -> str:
    """PICKLE, ZIP or SAFETENSORS, by the first bytes. Raises UserError for a file that is too large or no file."""
    with open_regular(path, LARGEST_FILE) as file:
        start = file.read(4)
    if start[:1] == b"\x80":
        return PICKLE
    return ZIP if start == b"PK\x03\x04" else SAFETENSORS


def check_family(path: Path) -> None:
    """Raises UserError, which names the family and says what to do, unless this is a pickle that is read here."""
    kind = file_kind(path)
    words = words_in_zip(path) if kind == ZIP else _words_of_file(path)
    for family in FAMILIES:
        if all(not words.isdisjoint(group) for group in family.words):
            raise UserError(f"{path}: this is {family.name}, which is not read; {family.advice}")
    if kind == ZIP:
        raise UserError(f"{path}: this is a PyTorch checkpoint (torch.save) or another zip archive; {READ}")
    if not all(not words.isdisjoint(group) for group in _OURS):
        raise UserError(f"{path}: this pickle holds no network that is known; {READ}")


def _words_of_file(path: Path) -> set[str]:
    with open_regular(path, LARGEST_FILE) as file:
        words = words_of(file)
        more = words_of(file)  # torch.save before zip files: a magic number, a version, facts, and then the data
        return words | more | words_of(file) | words_of(file)


def words_in_zip(path: Path) -> set[str]:
    """Of the pickle inside what torch.save writes."""
    try:
        with zipfile.ZipFile(path) as archive:
            found = [entry for entry in archive.infolist() if entry.filename.endswith("data.pkl")]
            if len(found) != 1 or found[0].file_size > _LARGEST_INDEX or found[0].compress_type != zipfile.ZIP_STORED:
                return set()
            with archive.open(found[0]) as file:
                return words_of(file)
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError, EOFError, RuntimeError):
        return set()


def words_of(file: IO[bytes]) -> set[str]:
    """The short texts of a pickle, names of modules and classes among them; as far as it can be followed."""
    words: set[str] = set()
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(cast(IO[bytes], Bounded(file)))):
            if count >= _MOST_STEPS or len(words) >= _MOST_WORDS:
                break
            if isinstance(argument, str) and len(argument) <= _LONGEST_WORD:
                words.update(argument.split(" ") if opcode.name in ("GLOBAL", "INST") else [argument])
    except (ValueError, OverflowError, IndexError):
        pass  # damaged, or no pickle: what follows says so
    return words
