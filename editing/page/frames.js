// Frames of the server (editing/server/protocol.py): a header in JSON, and parts.

export function readFrame(buffer) {
  const bytes = new Uint8Array(buffer);
  if (new TextDecoder().decode(bytes.subarray(0, 4)) !== "SGF1") throw new Error("not a frame");
  const start = 8 + new DataView(buffer).getUint32(4, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, start)));
  let at = start;
  for (const part of header.parts) {
    header[part.name] = { ...part, data: bytes.subarray(at, (at += part.bytes)) };
  }
  return header;
}

// ImageData of a part {width, height, channels, data}.
export function toImageData({ width, height, channels, data }) {
  const image = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) image.data[i * 4 + c] = data[i * channels + (channels === 3 ? c : 0)];
    image.data[i * 4 + 3] = 255;
  }
  return image;
}
