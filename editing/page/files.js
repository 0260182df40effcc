// Sessions and pictures as files: JSON, and PNG with the session in a text chunk; what is dropped on the page.

import { FORMAT, VERSION } from "./store.js";

const KEYWORD = "steergan-session";
const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];
const LIMIT = 64 << 20; // bytes of a file

const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c;
});

export function crc32(bytes) {
  let c = 0xffffffff;
  for (const byte of bytes) c = CRC[(c ^ byte) & 255] ^ (c >>> 8);
  return (c ^ 0xffffffff) >>> 0;
}

// A PNG's bytes with the session as an uncompressed iTXt chunk in front of its end.
export function withSession(png, session) {
  const text = new TextEncoder().encode(`${KEYWORD}\0\0\0\0\0${JSON.stringify(session)}`);
  const end = png.length - 12; // IEND, which has no contents
  return new Blob([png.subarray(0, end), chunk("iTXt", text), png.subarray(end)], { type: "image/png" });
}

function chunk(kind, data) {
  const body = new Uint8Array(4 + data.length);
  body.set(new TextEncoder().encode(kind));
  body.set(data, 4);
  const whole = new Uint8Array(8 + body.length);
  const view = new DataView(whole.buffer);
  view.setUint32(0, data.length);
  whole.set(body, 4);
  view.setUint32(4 + body.length, crc32(body));
  return whole;
}

// The session in a PNG's text chunk, or null.
export function sessionIn(bytes) {
  if (SIGNATURE.some((value, i) => bytes[i] !== value)) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 8; at + 12 <= bytes.length; ) {
    const length = view.getUint32(at);
    const kind = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (kind === "iTXt") {
      const found = textOf(bytes.subarray(at + 8, at + 8 + length));
      if (found !== null) return checked(JSON.parse(found));
    }
    at += 12 + length;
  }
  return null;
}

function textOf(data) {
  const text = new TextDecoder().decode(data);
  return text.startsWith(`${KEYWORD}\0\0\0\0\0`) ? text.slice(KEYWORD.length + 5) : null;
}

// A session, or what a layout file changes in one. Throws an Error to be shown.
export function checked(value) {
  if (value?.format === FORMAT) {
    if (value.version !== VERSION) throw new Error(`version ${value.version} of sessions; this page reads ${VERSION}`);
    return value;
  }
  if (value?.format === "steergan-layout" && value.layouts?.[0]?.levels) return { layout: value.layouts[0] };
  throw new Error("this is neither a session nor a layout file");
}

// {session} or {layout} or {picture}, of a file that somebody chose or dropped. Throws an Error to be shown.
export async function read(file) {
  if (file.size > LIMIT) throw new Error(`this file has ${(file.size / 2 ** 20).toFixed(0)} MiB; ${LIMIT / 2 ** 20} are the most`);
  const bytes = new Uint8Array(await file.arrayBuffer());
  if (bytes[0] === 123 || file.name.endsWith(".json")) {
    const value = checked(parsed(new TextDecoder().decode(bytes)));
    return value.format ? { session: value } : value;
  }
  const session = sessionIn(bytes);
  return session ? { session } : { picture: file };
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error("this is no JSON file");
  }
}

export async function pngOf(canvas) {
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  return new Uint8Array(await blob.arrayBuffer());
}

export const layoutFile = (layout) => ({ format: "steergan-layout", version: 1, layouts: [layout] });

export const jsonBlob = (value) => new Blob([JSON.stringify(value, null, 2), "\n"], { type: "application/json" });

// Files as a ZIP without compression, which an .npz is.
export function zip(files) {
  const parts = [];
  const entries = [];
  let at = 0;
  for (const [name, data] of Object.entries(files)) {
    const [title, sum] = [new TextEncoder().encode(name), crc32(data)];
    const common = [20, 0, 0, 0, 0x21, sum, data.length, data.length, title.length, 0];
    const local = record(0x04034b50, common);
    entries.push(record(0x02014b50, [20, ...common, 0, 0, 0, 0, at]), title);
    parts.push(local, title, data);
    at += local.length + title.length + data.length;
  }
  const size = entries.reduce((sum, { length }) => sum + length, 0);
  const count = Object.keys(files).length;
  const end = record(0x06054b50, [0, 0, count, count, size, at, 0]);
  return new Blob([...parts, ...entries, end], { type: "application/zip" });
}

// Field widths in bytes, after the signature.
const WIDTHS = {
  0x04034b50: [2, 2, 2, 2, 2, 4, 4, 4, 2, 2],
  0x02014b50: [2, 2, 2, 2, 2, 2, 4, 4, 4, 2, 2, 2, 2, 2, 4, 4],
  0x06054b50: [2, 2, 2, 2, 4, 4, 2],
};

function record(signature, values) {
  const widths = WIDTHS[signature];
  const bytes = new Uint8Array(4 + widths.reduce((a, b) => a + b, 0));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, signature, true);
  let at = 4;
  widths.forEach((width, i) => {
    if (width === 2) view.setUint16(at, values[i], true);
    else view.setUint32(at, values[i], true);
    at += width;
  });
  return bytes;
}

export const fromBase64 = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
