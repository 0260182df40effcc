"""Models to give away: what they are made of is refused in one line where it will not do."""

from pathlib import Path

from click.testing import CliRunner

from experiments import ship
from tests.tiny_models import save_tiny_snapshot


def test_a_model_without_layouts_is_refused(tmp_path: Path):
    network = save_tiny_snapshot(tmp_path, "stylegan2")
    words = ["--name=a", "--data=none.zip", "--about=Noise.", "--licence=CC0", "--machine=one"]
    words.append(f"--outdir={tmp_path / 'models'}")
    result = CliRunner().invoke(ship.main, [f"--network={network}", *words])
    assert result.exit_code == 2
    assert result.output.startswith(f"Error: {network}: this model takes no layout")
    assert result.output.count("\n") == 1
    assert not (tmp_path / "models").exists()


def test_a_card_says_where_it_was_trained_and_when_the_command_is_not_known():
    past = {"command": None, "commit": None, "kimg": 1.0, "seconds": 2.0, "machine": "a laptop"}
    text = ship.card("a", "Noise.", "CC0", past, [], 10)
    assert "- Trained with a command that is not known, commit unknown, one seed." in text
    assert "- 1 thousand images in 2 s on a laptop." in text
    assert "`python train.py --data=a.zip`" in ship.card(
        "a", "Noise.", "CC0", past | {"command": "train.py --data=/tmp/a.zip"}, [], 10
    )
