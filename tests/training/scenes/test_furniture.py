"""Catalogs of furniture as sources of cut-outs."""

import io
import zipfile

import pytest
from PIL import Image, ImageDraw

from dnnlib.errors import UserError
from training.data.archives import ZipArchive
from training.scenes.compose import Placement, Selection, load_cutouts
from training.scenes.furniture import read_catalog
from training.scenes.pictures import list_pictures

CATALOG = """# a comment
id=test
icon#1=/maker/sink.png
name#1=Sink
category#1=Bathroom
icon#2=/maker/caf\\u00e9.png
name#2=Caf\\u00e9 table\\: small
category#2=Kitchen
icon#3=/maker/missing.png
name#3=Nothing
"""


def png(alpha: bool) -> bytes:
    image = Image.new("RGBA", (40, 40), (0, 0, 0, 0) if alpha else (9, 9, 9, 255))
    ImageDraw.Draw(image).ellipse((5, 5, 35, 35), fill=(200, 30, 30, 255))
    buffer = io.BytesIO()
    image.save(buffer, "png")
    return buffer.getvalue()


@pytest.fixture
def catalog(tmp_path):
    path = tmp_path / "maker.sh3f"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("PluginFurnitureCatalog.properties", CATALOG)
        archive.writestr("maker/sink.png", png(alpha=True))
        archive.writestr("maker/café.png", png(alpha=True))
        archive.writestr("maker/textures/wood.png", png(alpha=False))
    return path


def test_pieces_have_names_and_categories(catalog):
    found = read_catalog(ZipArchive(catalog))
    assert [(piece.name, piece.category) for piece in found] == [("Sink", "Bathroom"), ("Café table: small", "Kitchen")]


def test_catalogs_are_found_by_themselves_and_in_folders(catalog):
    names = ["maker/Bathroom/Sink", "maker/Kitchen/Café table: small"]
    assert [one.name for one in list_pictures(catalog, "--cutouts")] == names
    assert [one.name for one in list_pictures(catalog.parent, "--cutouts")] == names
    found, skipped = load_cutouts(catalog, Selection(include=("Bathroom",)), Placement(32))
    assert [cutout.kind for cutout in found.values()] == ["Sink"]
    assert skipped == []


def test_zip_archives_hold_cutouts_too(tmp_path):
    with zipfile.ZipFile(tmp_path / "stamps.zip", "w") as archive:
        archive.writestr("a/ball.png", png(alpha=True))
    found, _ = load_cutouts(tmp_path / "stamps.zip", Selection(), Placement(32))
    assert [cutout.kind for cutout in found.values()] == ["ball"]


def test_what_is_no_catalog_is_said(tmp_path):
    with zipfile.ZipFile(tmp_path / "other.sh3f", "w") as archive:
        archive.writestr("a.txt", "")
    with pytest.raises(UserError, match=r"no PluginFurnitureCatalog.properties"):
        list_pictures(tmp_path / "other.sh3f", "--cutouts")
    (tmp_path / "broken.sh3f").write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(UserError, match=r"broken.sh3f"):
        list_pictures(tmp_path / "broken.sh3f", "--cutouts")
    with pytest.raises(UserError, match=r"--cutouts .* is not a folder"):
        list_pictures(tmp_path / "nowhere", "--cutouts")
