// A PNG of a page with few colours, written again with a palette: a quarter of the size, without a visible difference.
import { crc32, deflateSync, inflateSync } from 'node:zlib';

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
const MAX_COLOURS = 256;
/**
 * The number of most frequent colours in the palette; the others are those most unlike them, so that a small green dot
 * stays green.
 */
const FREQUENT_COLOURS = 208;

/**
 * Accepts 8-bit RGB and RGBA (read as opaque), as browsers write them. Keeps 256 colours; each other becomes the
 * nearest.
 */
export function reduce(png) {
  const { width, height, channels, rows } = decode(png);
  const counts = new Map();
  const pixels = new Uint32Array(width * height);
  for (let at = 0; at < pixels.length; at += 1) {
    const colour = (rows[at * channels] << 16) | (rows[at * channels + 1] << 8) | rows[at * channels + 2];
    pixels[at] = colour;
    counts.set(colour, (counts.get(colour) ?? 0) + 1);
  }
  const byCount = [...counts].toSorted(([, a], [, b]) => b - a).map(([colour]) => colour);
  const palette = paletteOf(byCount);
  const indexes = new Map(palette.map((colour, index) => [colour, index]));
  for (const colour of byCount) if (!indexes.has(colour)) indexes.set(colour, nearest(palette, colour));
  const lines = Buffer.alloc((width + 1) * height); // each begins with its filter type: none
  for (let at = 0; at < pixels.length; at += 1) {
    lines[Math.floor(at / width) * (width + 1) + 1 + (at % width)] = indexes.get(pixels[at]);
  }
  return encode({ width, height, palette, lines });
}

/** The most frequent ones, and then, one by one, the one farthest from all in the palette. */
function paletteOf(byCount) {
  const palette = byCount.slice(0, FREQUENT_COLOURS);
  const others = byCount
    .slice(FREQUENT_COLOURS)
    .map((colour) => ({ colour, distance: Math.min(...palette.map((one) => distanceOf(one, colour))) }));
  while (palette.length < MAX_COLOURS && others.length > 0) {
    const farthest = others.reduce((a, b) => (b.distance > a.distance ? b : a));
    if (farthest.distance === 0) break;
    palette.push(farthest.colour);
    for (const other of others) other.distance = Math.min(other.distance, distanceOf(farthest.colour, other.colour));
  }
  return palette;
}

function nearest(palette, colour) {
  let best = 0;
  for (let index = 1; index < palette.length; index += 1) {
    if (distanceOf(palette[index], colour) < distanceOf(palette[best], colour)) best = index;
  }
  return best;
}

/** Squared distance in RGB. */
function distanceOf(a, b) {
  const [red, green, blue] = [16, 8, 0].map((shift) => ((a >> shift) & 255) - ((b >> shift) & 255));
  return red * red + green * green + blue * blue;
}

function decode(png) {
  const parts = new Map([['IDAT', []]]);
  for (let at = SIGNATURE.length; at < png.length;) {
    const length = png.readUInt32BE(at);
    const name = png.toString('latin1', at + 4, at + 8);
    const data = png.subarray(at + 8, at + 8 + length);
    if (name === 'IDAT') parts.get(name).push(data);
    else parts.set(name, data);
    at += length + 12;
  }
  const head = parts.get('IHDR');
  const [width, height, depth, kind] = [head.readUInt32BE(0), head.readUInt32BE(4), head[8], head[9]];
  const channels = kind === 6 ? 4 : 3;
  if (depth !== 8 || ![2, 6].includes(kind)) throw new Error('Only RGB and RGBA of 8 bits are read.');
  const rows = unfilter(inflateSync(Buffer.concat(parts.get('IDAT'))), { width, height, channels });
  return { width, height, channels, rows };
}

function unfilter(raw, { width, height, channels }) {
  const stride = width * channels;
  const rows = Buffer.alloc(stride * height);
  for (let y = 0; y < height; y += 1) {
    const filter = raw[y * (stride + 1)];
    for (let x = 0; x < stride; x += 1) {
      const at = y * stride + x;
      const left = x < channels ? 0 : rows[at - channels];
      const up = y === 0 ? 0 : rows[at - stride];
      const corner = x < channels || y === 0 ? 0 : rows[at - stride - channels];
      rows[at] = raw[y * (stride + 1) + 1 + x] + [0, left, up, (left + up) >> 1, paeth(left, up, corner)][filter];
    }
  }
  return rows;
}

/** PNG specification, 9.4. */
function paeth(left, up, corner) {
  const guess = left + up - corner;
  const [a, b, c] = [left, up, corner].map((value) => Math.abs(guess - value));
  return a <= b && a <= c ? left : b <= c ? up : corner;
}

function encode({ width, height, palette, lines }) {
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 3], 8); // 8 bits, a palette
  const colours = Buffer.from(palette.flatMap((colour) => [colour >> 16, (colour >> 8) & 255, colour & 255]));
  const chunks = [chunk('IHDR', head), chunk('PLTE', colours), chunk('IDAT', deflateSync(lines, { level: 9 }))];
  return Buffer.concat([SIGNATURE, ...chunks, chunk('IEND', Buffer.alloc(0))]);
}

function chunk(name, data) {
  const body = Buffer.concat([Buffer.from(name, 'latin1'), data]);
  const frame = Buffer.alloc(body.length + 8);
  frame.writeUInt32BE(data.length, 0);
  body.copy(frame, 4);
  frame.writeUInt32BE(crc32(body), body.length + 4);
  return frame;
}
