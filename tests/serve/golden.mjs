// Reads golden.json with the page's JavaScript, and prints what it makes of it; a test compares that with Python.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

const [page, golden] = process.argv.slice(2);
const { normals } = await import(`${page}/random.js`);
const { solve, spaced } = await import(`${page}/solvers.js`);
const { read } = await import(`${page}/text.js`);
const { Pipeline } = await import(`${page}/pipeline.js`);
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

// How many conditions a step evaluates, by a model whose graphs are stand-ins that only count.
class Tensor {
  constructor(type, data, dims) {
    Object.assign(this, { type, data, dims });
  }
}
const graph = (inputNames, run) => ({ inputNames, outputNames: ["out"], run: async (inputs) => ({ out: run(inputs) }) });
const conditions = async (options) => {
  const counted = new Set();
  const sessions = {
    words: graph(["condition"], ({ condition: { dims } }) => new Tensor("float32", new Float32Array(dims[0]), [dims[0], 1])),
    step: graph(["x", "features"], ({ x, features }) => {
      counted.add(features.dims[0]);
      return x;
    }),
    decode: graph(["latent"], ({ latent: { dims } }) => new Tensor("float32", new Float32Array(dims[0]), [dims[0], 1, 1, 1])),
  };
  const sampling = { kind: "flow", guidance: 4, guidance_input: 6, steps: 3, solver: "heun", few_step: false };
  const model = new Pipeline({ Tensor }, { latent: [2], sampling, text: texts.fashion.text }, sessions);
  for await (const _ of model.draw({ prompt: "a dress", seeds: [1, 2], ...options }));
  return [...counted];
};
const asked = [{}, { guidance: 1 }, { guidance: 6 }, { guidance: 6.5 }, { guidance: 0.5 }, { negative: "a coat" }];
const evaluated = [];
for (const options of asked) evaluated.push(...(await conditions(options)));

console.log(
  JSON.stringify({
    solved,
    evaluated,
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
