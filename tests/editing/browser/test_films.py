"""Films in a real browser: through the states of a session, as GIF and MP4, with and without marks."""

from pathlib import Path

import imageio.v3
import numpy as np
import pytest

from editing.film import SIDE
from tests.editing.browser.visitor import MARKS, Visitor
from tests.optional import is_installed

pytestmark = MARKS

BETWEEN = 12  # frames from a state to the next
NOTE_PROGRESS = """() => {
  globalThis.said = [];
  const place = document.querySelector("#film-said");
  new MutationObserver(() => globalThis.said.push(place.textContent)).observe(place, { childList: true });
}"""


def move(visitor: Visitor, *keys: str) -> None:
    """A state of the session for each key."""
    visitor.page.focus("#stage g.handle.level-0")
    for key in keys:
        visitor.page.keyboard.press(key)
        visitor.rest()


def film(visitor: Visitor, suffix: str, folder: Path) -> np.ndarray:
    """uint8 [frames, H, W, 3] of the film that the button makes."""
    with visitor.page.expect_download(timeout=120_000) as download:
        visitor.page.click(f"#film-{suffix}")
    assert download.value.suggested_filename == f"steergan.{suffix}"
    path = folder / f"film.{suffix}"
    download.value.save_as(path)
    plugin = "pillow" if suffix == "gif" else "FFMPEG"
    return np.stack([np.asarray(frame)[..., :3] for frame in imageio.v3.imiter(path, plugin=plugin)])


def reduced(frame: np.ndarray, side: int) -> np.ndarray:
    """The middles of a frame's blocks, which stand for single pixels of the picture."""
    block = len(frame) // side
    return frame[block // 2 :: block, block // 2 :: block].astype(float)


def contrast(frame: np.ndarray, center: list[float]) -> float:
    """Between the darkest and the brightest pixel around (x, y) of this model: -1 and 1 are the picture's borders."""
    x, y = (min(int((value + 1) / 2 * len(frame)), len(frame) - 1) for value in center)
    around = frame[max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3].astype(float).mean(-1)
    return np.ptp(around)


@pytest.mark.parametrize("suffix", ["gif", "mp4"])
def test_a_film_goes_through_the_states(visitor: Visitor, suffix: str, tmp_path: Path):
    if suffix == "mp4" and not is_installed("imageio_ffmpeg"):
        pytest.skip("pip install imageio-ffmpeg")
    button = visitor.page.locator(f"#film-{suffix}")
    assert button.is_disabled()  # one state is no film
    first, start = visitor.picture(), visitor.centers()[0][0]
    move(visitor, "Shift+ArrowUp", "Shift+ArrowRight" if start[0] < 0 else "Shift+ArrowLeft")
    last, end = visitor.picture(), visitor.centers()[0][0]
    visitor.page.evaluate(NOTE_PROGRESS)
    plain = film(visitor, suffix, tmp_path)
    assert plain.shape == (2 * BETWEEN + 1, SIDE, SIDE, 3)
    for frame, picture, other in ((plain[0], first, last), (plain[-1], last, first)):
        far = [np.abs(reduced(frame, len(picture)) - each).mean() for each in (picture, other)]
        assert far[0] < 10  # of 255: a palette of 256 colours, or a video's colours at half of the size
        assert far[0] < far[1] / 2
    shares = [int(text.removesuffix(" %")) for text in visitor.page.evaluate("globalThis.said") if text]
    assert shares == sorted(shares)
    assert (shares[0], visitor.page.inner_text("#film-said")) == (0, "")
    assert button.is_enabled()
    assert visitor.past() == 2  # a film changes nothing
    visitor.page.check("#film-marks")
    marked = film(visitor, suffix, tmp_path)
    assert marked.shape == plain.shape
    for frame, center in ((0, start), (-1, end)):  # a white cross with a dark outline, which goes along
        assert contrast(marked[frame], center) > contrast(plain[frame], center) + 70
        assert np.abs(marked[frame].astype(float) - plain[frame]).mean() > 2


def test_a_film_is_not_asked_for_while_a_point_is_pulled(visitor: Visitor, tmp_path: Path):
    """A page has one thing at a time that takes long: the newer one would take the place of the older."""
    move(visitor, "Shift+ArrowUp")
    visitor.begin_a_long_pull()
    visitor.page.click("#film-gif")
    assert "already" in visitor.page.inner_text(".toast.error")
    assert visitor.ask("history.filming") is None
    assert visitor.ask("pull.running") is not None
    visitor.page.click("#pull-stop")
    visitor.rest()
    assert len(film(visitor, "gif", tmp_path)) == 3 * BETWEEN + 1


def test_a_film_is_stopped_and_another_is_whole(visitor: Visitor, tmp_path: Path):
    stop = visitor.page.locator("#film-stop")
    move(visitor, *["ArrowUp", "ArrowDown"] * 4)
    assert stop.is_hidden()
    visitor.page.evaluate("""() => {
      globalThis.came = [];
      const { backend } = globalThis.steergan;
      for (const name of ["film", "stopped"]) backend.addEventListener(name, () => globalThis.came.push(name));
    }""")
    visitor.page.click("#film-gif")
    visitor.wait_for(lambda: visitor.page.inner_text("#film-said") not in ("", "0 %"))
    stop.click()
    assert stop.is_hidden()
    assert visitor.page.inner_text("#film-said") == ""
    assert visitor.page.locator("#film-gif").is_enabled()
    visitor.wait_for(lambda: visitor.page.evaluate("globalThis.came.length"))
    visitor.page.click("#undo")
    visitor.rest()  # other pictures are made meanwhile
    visitor.page.wait_for_timeout(500)
    assert visitor.page.evaluate("globalThis.came") == ["stopped"]
    assert visitor.past() == 7
    assert len(film(visitor, "gif", tmp_path)) == 8 * BETWEEN + 1


def test_play_shows_every_state_and_comes_back(visitor: Visitor):
    move(visitor, "ArrowUp", "ArrowUp")
    visitor.page.click("#undo")
    visitor.rest()
    visitor.page.evaluate("""() => {
      globalThis.seen = [];
      const { store } = globalThis.steergan;
      store.addEventListener("change", () => globalThis.seen.push(store.past.length));
    }""")
    visitor.page.click("#film-play")
    visitor.wait_for(lambda: 2 in visitor.page.evaluate("globalThis.seen") and visitor.past() == 1)
    visitor.page.wait_for_timeout(500)  # so that nothing more comes
    seen = visitor.page.evaluate("globalThis.seen")
    assert {0, 1, 2} <= set(seen)
    assert visitor.past() == 1
    assert visitor.ask("store.states.length") == 3
    visitor.rest()
