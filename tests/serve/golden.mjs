// Reads golden.json with the page's JavaScript, and prints what it makes of it; a test compares that with Python.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

const [page, golden] = process.argv.slice(2);
const { normals } = await import(`${page}/random.js`);
const { solve, spaced } = await import(`${page}/solvers.js`);
const { read } = await import(`${page}/text.js`);
const { noise, texts } = JSON.parse(readFileSync(golden, "utf8"));

const refusal = (text, prompt) => {
  try {
    read(text, prompt);
    return "";
  } catch (error) {
    return error.cause;
  }
};
const solved = {};
for (const solver of ["heun", "midpoint", "multistep"]) {
  const forth = await solve(async (x, t) => x.map((value) => -value * (1 + t)), [1, -2], spaced(5, 1.8), solver);
  const equal = await solve(async (x, t) => x.map((value) => -value * (1 + t)), [1, -2], spaced(5).toReversed(), solver);
  solved[solver] = [...forth, ...equal];
}
console.log(
  JSON.stringify({
    solved,
    noise: noise.map(({ seed, count, draw }) =>
      createHash("sha256").update(new Uint8Array(normals(seed, count, draw).buffer)).digest("hex"),
    ),
    rows: Object.fromEntries(
      Object.entries(texts).map(([name, { text, read: prompts }]) => [
        name,
        prompts.map(({ prompt }) => Array.from(read(text, prompt).condition)),
      ]),
    ),
    refusals: Object.fromEntries(
      Object.entries(texts).map(([name, { text, refused }]) => [name, refused.map((prompt) => refusal(text, prompt))]),
    ),
  }),
);
