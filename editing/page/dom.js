// Elements in one line each.

export const $ = (selector, root = document) => root.querySelector(selector);

// element("button", {class: "primary", onclick: f}, "Start"); a property that starts with "on" is a listener.
export function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

// A short message that goes away; read aloud by screen readers.
export function toast(text, isError = false) {
  const place = $("#toasts");
  const note = element("div", { class: isError ? "toast error" : "toast", role: isError ? "alert" : "status" }, text);
  while (place.children.length > 2) place.firstChild.remove();
  place.append(note);
  setTimeout(() => note.remove(), isError ? 8000 : 4000);
}

export function download(name, blob) {
  const url = URL.createObjectURL(blob);
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

// A label that stands for a field for files, and has the focus in its place.
export function opensByKey(label, field) {
  label.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault(); // the page would scroll
    field.click();
  });
}

export const ONE_AT_A_TIME = "Something else is being made already; stop it, or wait until it is there.";

// Whether keys are for the text that the element holds.
const TYPED = "textarea, input:not([type=range], [type=checkbox], [type=radio], [type=file])";
export const isTyping = (target) =>
  target instanceof HTMLElement && (target.isContentEditable || target.matches(TYPED));

// Not while somebody is typing into it.
export function setValue(selector, value) {
  const input = $(selector);
  if (input !== document.activeElement || !isTyping(input)) input.value = value;
}
