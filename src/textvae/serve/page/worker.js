// Runs the model off the main thread, so that the page stays responsive. One request at a time; a newer live request
// replaces one that has not begun.

import { Pipeline } from "./pipeline.js";
import { PromptError } from "./text.js";

let ort;
const pipelines = new Map();
let queue = Promise.resolve();

self.onmessage = ({ data }) => {
  queue = queue.then(() => answer(data)).catch(() => {});
};

async function answer({ id, verb, model, ...request }) {
  const post = (message, transfer = []) => self.postMessage({ id, ...message }, transfer);
  try {
    const pipeline = await loaded(model, request.webgpu, post);
    const onStep = (share) => post({ progress: share });
    if (verb === "load") {
      const { spec, canEdit, canInpaint } = pipeline;
      post({ done: true, spec: { ...spec, text: { kind: spec.text.kind, words: spec.text.class_names ?? spec.text.words } }, canEdit, canInpaint });
      return;
    }
    if (verb === "read") {
      const { understood, unknown, related } = pipeline.read(request.prompt);
      post({ done: true, understood, unknown, related });
      return;
    }
    if (verb === "edit") {
      const pixels = await pipeline.edit({ ...request, onStep });
      post({ picture: { seed: 0, pixels } }, [pixels.buffer]);
    } else {
      for await (const picture of pipeline[verb]({ ...request, onStep })) post({ picture }, [picture.pixels.buffer]);
    }
    post({ done: true });
  } catch (error) {
    post({ error: error instanceof PromptError ? { cause: error.cause, cure: error.cure } : { cause: String(error.message ?? error), cure: "" } });
  }
}

async function loaded(model, webgpu, post) {
  ort ??= await runtime(webgpu);
  if (!pipelines.has(model)) {
    const load = Pipeline.load(ort, new URL(`./models/${model}`, import.meta.url).href, (bytes, all) => post({ loading: bytes / all }));
    pipelines.set(model, load);
    load.catch(() => pipelines.delete(model));
  }
  return pipelines.get(model);
}

/** ONNX Runtime with one thread: several need headers that plain file servers do not send. */
async function runtime(webgpu) {
  const module = await import(webgpu ? "./ort/ort.webgpu.min.mjs" : "./ort/ort.wasm.min.mjs");
  const file = `./ort/ort-wasm-simd-threaded${webgpu ? ".asyncify" : ""}.wasm.gz`;
  const response = await fetch(new URL(file, import.meta.url));
  if (!response.ok) throw new Error(`${file} could not be loaded: HTTP status ${response.status}`);
  // Some servers send .gz files as encoded content, which the browser has then unpacked already.
  const bytes = new Uint8Array(await response.arrayBuffer());
  const packed = bytes[0] === 0x1f && bytes[1] === 0x8b;
  const unpacked = packed ? new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip")) : new Blob([bytes]).stream();
  module.env.wasm.numThreads = 1;
  module.env.wasm.wasmPaths = new URL("./ort/", import.meta.url).href;
  module.env.wasm.wasmBinary = await new Response(unpacked).arrayBuffer();
  return { ...module, executionProviders: webgpu ? ["webgpu", "wasm"] : ["wasm"] };
}
