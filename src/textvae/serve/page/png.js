// PNG files with text chunks: a downloaded picture says how it was made, as pictures saved from Python do.

/** A PNG of RGBA pixels, each pixel enlarged `scale` times, with text chunks (Latin-1 keys, UTF-8 values). */
export async function png(pixels, width, height, facts, scale = 1) {
  const [w, h] = [width * scale, height * scale];
  const rows = new Uint8Array(h * (3 * w + 1));
  for (let y = 0; y < h; y++)
    for (let x = 0; x < w; x++) {
      const from = 4 * (Math.floor(y / scale) * width + Math.floor(x / scale));
      rows.set(pixels.subarray(from, from + 3), y * (3 * w + 1) + 1 + 3 * x);
    }
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, w);
  view.setUint32(4, h);
  header.set([8, 2, 0, 0, 0], 8);
  const utf8 = new TextEncoder();
  const texts = Object.entries(facts).map(([key, value]) =>
    chunk("iTXt", utf8.encode(`${key}\0\0\0\0\0${value}`)),
  );
  const signature = new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10]);
  return new Blob([signature, chunk("IHDR", header), ...texts, chunk("IDAT", await deflated(rows)), chunk("IEND", new Uint8Array())], {
    type: "image/png",
  });
}

async function deflated(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function chunk(kind, body) {
  const bytes = new Uint8Array(body.length + 12);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, body.length);
  bytes.set([...kind].map((letter) => letter.charCodeAt(0)), 4);
  bytes.set(body, 8);
  view.setUint32(body.length + 8, crc32(bytes.subarray(4, body.length + 8)));
  return bytes;
}

const CRC = Uint32Array.from({ length: 256 }, (_, number) => {
  for (let bit = 0; bit < 8; bit++) number = number & 1 ? 0xedb88320 ^ (number >>> 1) : number >>> 1;
  return number;
});

function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = CRC[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}
