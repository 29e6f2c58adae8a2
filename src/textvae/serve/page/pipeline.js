// A text-to-image model exported by `textvae export`, run by ONNX Runtime: the twin of textvae/exported/runtime.py.

import { normals } from "./random.js";
import { solve, spaced } from "./solvers.js";
import { read } from "./text.js";

const BATCH = 4; // pictures drawn together: more only makes the wait for the first one longer
const INPAINTING_STEPS = 16, INPAINTING_ROUNDS = 8;
export const MAX_STEPS = 50;

export class Pipeline {
  /**
   * Loads a model.
   *
   * @param ort the onnxruntime-web module
   * @param address the folder of model.json
   * @param onProgress called with (bytes loaded, bytes in all)
   */
  static async load(ort, address, onProgress = () => {}) {
    const spec = await (await fetched(`${address}/model.json`)).json();
    const sessions = {};
    const sizes = Object.values(spec.graphs).map((graph) => graph.bytes);
    const all = sizes.reduce((a, b) => a + b, 0);
    let before = 0;
    for (const [name, graph] of Object.entries(spec.graphs)) {
      const bytes = await downloaded(`${address}/${graph.file}`, (loaded) => onProgress(before + loaded, all));
      before += graph.bytes;
      sessions[name] = await ort.InferenceSession.create(bytes, { executionProviders: ort.executionProviders ?? ["wasm"] });
    }
    return new Pipeline(ort, spec, sessions);
  }

  constructor(ort, spec, sessions) {
    this.ort = ort;
    this.spec = spec;
    this.sessions = sessions;
    this.latentSize = spec.latent.reduce((a, b) => a * b, 1);
    this.flow = spec.sampling.kind === "flow";
  }

  get canEdit() {
    return this.flow && "encode" in this.sessions;
  }

  get canInpaint() {
    return this.canEdit && this.spec.latent.length === 3;
  }

  /** What a prompt is understood as: condition, words understood, words ignored. */
  read(prompt) {
    return read(this.spec.text, prompt);
  }

  /**
   * Pictures of a prompt, one for each seed, as they are finished.
   *
   * @param options prompt, seeds, guidance, steps, negative, second (another prompt) and weight (of it, 0 to 1);
   *   undefined takes the model's own setting
   * @yields {{seed: number, pixels: Uint8ClampedArray}} pixels are RGBA
   */
  async *draw({ prompt, seeds, guidance, steps, negative, second, weight = 0, onStep = () => {} }) {
    const first = this.read(prompt).condition;
    const other = second === undefined ? undefined : this.read(second).condition;
    const against = negative ? this.read(negative).condition : undefined;
    for (let start = 0; start < seeds.length; start += BATCH) {
      const some = seeds.slice(start, start + BATCH);
      const noise = joined(some.map((seed) => normals(seed, this.latentSize)));
      const done = (share) => onStep((start + share * some.length) / seeds.length);
      const pixels = await this.#drawn(noise, some.length, first, { guidance, steps, against, other, weight, done });
      for (const [place, seed] of some.entries()) yield { seed, pixels: pixels[place] };
    }
  }

  async #drawn(noise, n, condition, { guidance, steps, against, other, weight, done }) {
    if (other && condition instanceof Float32Array) {
      condition = condition.map((value, i) => value + weight * (other[i] - value));
      other = undefined;
    }
    if (!this.flow) return this.#pictures(await this.#run("draw", { noise: this.#latents(noise, n), condition: this.#rows(condition, n) }));
    const own = this.spec.sampling;
    const scale = guidance ?? own.guidance;
    const count = steps ?? own.steps;
    let latent;
    if (own.few_step && scale === own.guidance && !against && !other && count <= own.steps && (count & (count - 1)) === 0) {
      const features = await this.#features([condition], n);
      latent = noise;
      for (let step = 0; step < count; step++) {
        const velocity = await this.#velocity(latent, n, step / count, 1 / count, features, 1);
        latent = latent.map((value, i) => value + velocity[i] / count);
        done((step + 1) / count);
      }
    } else {
      const velocity = await this.#guided(condition, n, scale, against);
      const towards = other ? await this.#guided(other, n, scale, against) : undefined;
      const field = towards
        ? async (x, t) => {
            const [a, b] = [await velocity(x, t), await towards(x, t)];
            return a.map((value, i) => value + weight * (b[i] - value));
          }
        : velocity;
      latent = await solve(field, noise, this.#times(count), own.solver, done);
    }
    return this.#decoded(latent, condition, n);
  }

  /**
   * The picture with other words: the flow is run back to the noise of the picture with the old ones, and forth again
   * with the new ones.
   */
  async edit({ pixels, from, to, guidance, onStep = () => {} }) {
    const before = this.read(from).condition, after = this.read(to).condition;
    const { solver, guidance: own } = this.spec.sampling;
    const latent = await this.#encoded(pixels, before);
    const back = await this.#guided(before, 1, 1);
    const times = this.#times(MAX_STEPS);
    const noise = await solve(back, latent, times.toReversed(), solver, (share) => onStep(share / 2));
    const forth = await this.#guided(after, 1, guidance ?? own);
    const changed = await solve(forth, noise, times, solver, (share) => onStep(0.5 + share / 2));
    return (await this.#decoded(changed, after, 1))[0];
  }

  /**
   * Pictures that keep the given one outside of the hole and fill the hole with what fits the rest and the prompt.
   *
   * @param options pixels (RGBA of the model's size), hole (Uint8Array, 1 where something is missing), prompt, seeds
   */
  async *inpaint({ pixels, hole, prompt, seeds, guidance, onStep = () => {} }) {
    const condition = this.read(prompt).condition;
    const { solver, guidance: own } = this.spec.sampling;
    const [channels, rows, columns] = this.spec.latent;
    const [, height, width] = this.spec.image;
    const missing = new Uint8Array(rows * columns);
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++)
        if (hole[y * width + x]) missing[Math.floor((y * rows) / height) * columns + Math.floor((x * columns) / width)] = 1;
    const greyed = pixels.slice();
    for (let i = 0; i < hole.length; i++) if (hole[i]) greyed.fill(127.5, 4 * i, 4 * i + 3);
    const goal = await this.#encoded(greyed, condition);
    const known = (i) => !missing[i % (rows * columns)];
    const velocity = await this.#guided(condition, 1, guidance ?? own);
    for (const [number, seed] of seeds.entries()) {
      let draw = 0;
      const noise = () => normals(seed, channels * rows * columns, draw++);
      let x = noise();
      for (let step = 0; step < INPAINTING_STEPS; step++) {
        const now = step / INPAINTING_STEPS, after = (step + 1) / INPAINTING_STEPS;
        for (let again = INPAINTING_ROUNDS - 1; again >= 0; again--) {
          x = await solve(velocity, x, [now, after], solver);
          const fresh = noise();
          x = x.map((value, i) => (known(i) ? fresh[i] + after * (goal[i] - fresh[i]) : value));
          if (again) {
            const share = now / after, deviation = Math.sqrt((1 - now) ** 2 - (share * (1 - after)) ** 2);
            const more = noise();
            x = x.map((value, i) => share * value + deviation * more[i]);
          }
          onStep((number + (step + 1 - again / INPAINTING_ROUNDS) / INPAINTING_STEPS) / seeds.length);
        }
      }
      const [filled] = await this.#decoded(x, condition, 1);
      for (let i = 0; i < hole.length; i++) if (!hole[i]) filled.set(pixels.subarray(4 * i, 4 * i + 4), 4 * i);
      yield { seed, pixels: filled };
    }
  }

  /** The times between which the steps of the solver lie. */
  #times(steps) {
    return spaced(steps, this.spec.sampling.spacing);
  }

  async #guided(condition, n, guidance, against) {
    // A scale that the network reads takes one evaluation; others, and what to move away from, take two.
    const single = !against && guidance >= 1 && guidance <= Math.max(1, this.spec.sampling.guidance_input ?? 0);
    const features = await this.#features(single ? [condition] : [condition, against ?? condition.map(() => 0)], n);
    return (x, time) => this.#velocity(x, n, time, 0, features, guidance);
  }

  /** Features of conditions, each repeated for n pictures: [conditions, n, ...]. */
  async #features(conditions, n) {
    const k = conditions.length;
    const rows = joined(conditions.flatMap((condition) => Array(n).fill(condition)));
    const features = await this.#run("words", { condition: this.#condition(rows, k * n) });
    return new this.ort.Tensor("float32", features.data, [k, n, ...features.dims.slice(1)]);
  }

  async #velocity(x, n, time, stride, features, guidance) {
    const scalar = (value) => new this.ort.Tensor("float32", new Float32Array(n).fill(value), [n]);
    const velocity = await this.#run("step", {
      x: this.#latents(x, n),
      time: scalar(time),
      stride: scalar(stride),
      features,
      guidance: new this.ort.Tensor("float32", new Float32Array([guidance]), []),
    });
    return velocity.data;
  }

  async #decoded(latent, condition, n) {
    return this.#pictures(await this.#run("decode", { latent: this.#latents(latent, n), condition: this.#rows(condition, n) }));
  }

  async #encoded(pixels, condition) {
    const [channels, height, width] = this.spec.image;
    const image = new Float32Array(channels * height * width);
    for (let c = 0; c < channels; c++)
      for (let i = 0; i < height * width; i++) image[c * height * width + i] = pixels[4 * i + c] / 255;
    const encoded = await this.#run("encode", {
      image: new this.ort.Tensor("float32", image, [1, channels, height, width]),
      condition: this.#rows(condition, 1),
    });
    return encoded.data;
  }

  async #run(name, inputs) {
    const session = this.sessions[name];
    const wanted = Object.fromEntries(session.inputNames.map((input) => [input, inputs[input]]));
    return (await session.run(wanted))[session.outputNames[0]];
  }

  #latents(numbers, n) {
    return new this.ort.Tensor("float32", numbers, [n, ...this.spec.latent]);
  }

  #rows(condition, n) {
    return this.#condition(joined(Array(n).fill(condition)), n);
  }

  #condition(rows, n) {
    const shape = [n, rows.length / n];
    if (rows instanceof Float32Array) return new this.ort.Tensor("float32", rows, shape);
    return new this.ort.Tensor("int64", BigInt64Array.from(rows, BigInt), shape);
  }

  /** RGBA pixels of each of a batch of images in [0, 1]. */
  #pictures({ data, dims: [n, channels, height, width] }) {
    const size = height * width;
    return Array.from({ length: n }, (_, number) => {
      const pixels = new Uint8ClampedArray(4 * size).fill(255);
      for (let i = 0; i < size; i++)
        for (let c = 0; c < 3; c++) {
          const value = data[(number * channels + Math.min(c, channels - 1)) * size + i];
          pixels[4 * i + c] = Math.round(255 * value);
        }
      return pixels;
    });
  }
}

function joined(rows) {
  const all = new rows[0].constructor(rows.reduce((sum, row) => sum + row.length, 0));
  let at = 0;
  for (const row of rows) {
    all.set(row, at);
    at += row.length;
  }
  return all;
}

async function fetched(address) {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`${address} could not be loaded: HTTP status ${response.status}`);
  return response;
}

async function downloaded(address, onProgress) {
  const response = await fetched(address);
  const parts = [];
  let loaded = 0;
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    loaded += value.length;
    onProgress(loaded);
  }
  return joined(parts);
}
