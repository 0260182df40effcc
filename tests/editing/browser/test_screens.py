"""How the page looks in a real browser: wide and narrow, light and dark, in every pane.

With STEERGAN_SCREENSHOTS=FOLDER every view is written there, to be looked at.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.editing.browser.visitor import MARKS, PAGE, Visitor, visiting
from tests.editing.server.running import Running

pytestmark = MARKS

PANES = ("layout", "pull", "photo", "look", "gallery")
SIZES = {"1280": (1280, 860), "400": (400, 800)}
LEAST_CONTRAST = 4.5  # of text: WCAG 2.2, 1.4.3

# Texts of too little contrast; controls that are cut off; controls of one region that lie over each other.
LOOK = """(least) => {
  const dot = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
  const pen = dot.getContext("2d", { willReadFrequently: true });
  const color = (layers) => {
    pen.clearRect(0, 0, 1, 1);
    for (const each of layers) { pen.fillStyle = each; pen.fillRect(0, 0, 1, 1); }
    return Array.from(pen.getImageData(0, 0, 1, 1).data.slice(0, 3));
  };
  const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const grounds = (element) => {
    const found = [];
    for (let at = element; at; at = at.parentElement) found.unshift(getComputedStyle(at).backgroundColor);
    return found;
  };
  const name = (element) => element.id || element.textContent.trim().slice(0, 30) || element.tagName;
  const isShown = (element) => element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  const problems = [];
  for (const element of document.querySelectorAll("body *")) {
    const isText = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    const isField = element.matches("select, input[type=number]");
    const isOther = element.closest("svg, #stage, :disabled, .gallery, .strip .undone");
    if (!(isText || isField) || isOther || !isShown(element)) continue;
    const behind = grounds(element);
    const [a, b] = [light(color(behind)), light(color([...behind, getComputedStyle(element).color]))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < least) problems.push(`contrast ${contrast.toFixed(2)}: ${name(element)}`);
  }
  for (const region of document.querySelectorAll(".bar, .tools, .panel, .film")) {
    const controls = [...region.querySelectorAll("button, .button, select, input, label.check")].filter(isShown);
    const boxes = controls.map((control) => control.getBoundingClientRect());
    controls.forEach((control, i) => {
      const isCut = control.matches("button, .button") && control.scrollWidth > control.clientWidth + 1;
      if (isCut) problems.push(`cut: ${name(control)}`);
      if (boxes[i].left < -0.5 || boxes[i].right > innerWidth + 0.5) problems.push(`outside: ${name(control)}`);
      controls.slice(0, i).forEach((other, j) => {
        if (control.contains(other) || other.contains(control)) return;
        const across = Math.min(boxes[i].right, boxes[j].right) - Math.max(boxes[i].left, boxes[j].left);
        const down = Math.min(boxes[i].bottom, boxes[j].bottom) - Math.max(boxes[i].top, boxes[j].top);
        if (across > 1 && down > 1) problems.push(`${name(other)} and ${name(control)} overlap`);
      });
    });
  }
  const top = (button) => button.getBoundingClientRect().top;
  const isTorn = [...document.querySelectorAll(".tools .group")]
    .some((group) => new Set([...group.querySelectorAll("button")].filter(isShown).map(top)).size > 1);
  if (isTorn) problems.push("buttons that belong together are in two rows");
  return problems;
}"""

FILMING = f"""() => {{
  const {{ history }} = {PAGE};
  history.filming = -1;
  history.progress({{ id: -1, done: 1, total: 1 }});
  history.draw();
}}"""


def keep(visitor: Visitor, name: str) -> None:
    folder = os.environ.get("STEERGAN_SCREENSHOTS")
    if folder:
        visitor.page.screenshot(path=str(Path(folder) / f"{name}.png"))


def opened(visitor: Visitor) -> Iterator[str]:
    """Each pane in turn, with a point pulled, one begun by keys, a brush in the hand; the menu; a film being made."""
    for pane in PANES:
        visitor.page.click(f"#tab-{pane}")
        if pane == "pull":
            visitor.pull((-0.3, -0.3), (0.3, 0.2))
            visitor.page.click("[data-mask=brush]")
            for key in ("p", "Enter", "Shift+ArrowUp"):
                visitor.page.keyboard.press(key)
            visitor.rest()
        yield pane
        if pane == "pull":
            visitor.page.click("[data-mask=circle]")
            visitor.rest()
            yield "circle"
        visitor.page.evaluate("scrollTo(0, 0)")
    visitor.page.click("#save-menu summary")
    yield "menu"
    visitor.page.keyboard.press("Escape")
    visitor.page.evaluate(FILMING)
    yield "film"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_every_pane_can_be_read_and_nothing_overlaps(browser: Any, server: Running, size: str, scheme: str):
    with visiting(browser, server.url, SIZES[size], color_scheme=scheme) as visitor:
        visitor.page.focus("#stage g.handle.level-0")
        visitor.page.keyboard.press("Shift+ArrowUp")
        visitor.rest()
        found = {}
        for pane in opened(visitor):
            visitor.page.wait_for_timeout(300)  # until colours have come to rest
            found[pane] = visitor.page.evaluate(LOOK, LEAST_CONTRAST)
            keep(visitor, f"{size}-{scheme}-{pane}")
        assert found == {name: [] for name in found}


PRESSED = "button, .button, summary, select, input[type=number], label.drop, label.check"
SMALL = f"""(least) => [...document.querySelectorAll("{PRESSED}")]
  .filter((each) => each.checkVisibility())
  .map((each) => [each.id || each.textContent.trim() || each.title, each.getBoundingClientRect()])
  .filter(([, box]) => Math.min(box.width, box.height) < least - 0.5)
  .map(([name, box]) => name + ": " + Math.round(box.width) + " x " + Math.round(box.height))"""


@pytest.mark.parametrize("size", [(400, 800), (1024, 768)])
def test_what_fingers_press_is_large_enough(browser: Any, server: Running, size: tuple[int, int]):
    with visiting(browser, server.url, size, has_touch=True, is_mobile=True) as visitor:
        found = {}
        for pane in opened(visitor):
            found[pane] = visitor.page.evaluate(SMALL, 40)
            keep(visitor, f"touch-{size[0]}-{pane}")
        assert found == {name: [] for name in found}


def test_the_open_menu_closes_beside_it_and_by_escape(visitor: Visitor):
    menu = visitor.page.locator(".menu-items")
    visitor.page.click("#save-menu summary")
    assert menu.is_visible()
    visitor.page.keyboard.press("Escape")
    assert not menu.is_visible()
    visitor.page.click("#save-menu summary")
    visitor.page.click("#seed")
    assert not menu.is_visible()
