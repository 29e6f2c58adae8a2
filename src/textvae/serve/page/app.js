// The page: reads the form, asks the worker, shows pictures. It keeps no state but what is on the screen.

import { png } from "./png.js";

const get = (id) => document.getElementById(id);
const wanted = new URLSearchParams(location.search);
const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
const requests = new Map();
let number = 0;
let models = [];
let spec; // of the model that is loaded
let editing; // the picture in the editor
let hole;

worker.onmessage = ({ data }) => requests.get(data.id)?.(data);
worker.onerror = (event) => say(`The model could not be started: ${event.message}`, true);

/** Asks the worker; `onPicture` is called with each picture. Resolves with the last message. */
function ask(verb, request, onPicture = () => {}) {
  const id = ++number;
  return new Promise((resolve, reject) => {
    requests.set(id, (message) => {
      if (message.picture) onPicture(message.picture);
      if (message.loading !== undefined) progress(message.loading, `Loading ${get("model").value}`);
      if (message.progress !== undefined) progress(message.progress);
      if (!message.done && !message.error) return;
      requests.delete(id);
      progress();
      message.error ? reject(message.error) : resolve(message);
    });
    worker.postMessage({ id, verb, model: get("model").value, webgpu: get("webgpu").checked, ...request });
  });
}

function progress(share, label = "Drawing") {
  const bar = get("progress");
  bar.hidden = share === undefined || share >= 1;
  bar.value = share ?? 0;
  bar.setAttribute("aria-label", label);
}

function say(text, isError = false) {
  get("notice").textContent = text;
  get("notice").classList.toggle("error", isError);
}

function fail(error) {
  say(`${error.cause ?? error.message}${error.cure ? ` ${error.cure}` : ""}`, true);
}

function button(text, label, action) {
  const made = Object.assign(document.createElement("button"), { type: "button", textContent: text, onclick: action });
  made.setAttribute("aria-label", label);
  return made;
}

function canvasOf(pixels) {
  const [, height, width] = spec.image;
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  canvas.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(pixels), width, height), 0, 0);
  return canvas;
}

/** A picture with its seed, and what can be done with it. */
function figure({ seed, pixels }, facts) {
  const made = document.createElement("figure");
  const canvas = canvasOf(pixels);
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `${facts.prompt}, seed ${seed}`);
  const caption = document.createElement("figcaption");
  caption.append(`seed ${seed}`, button("copy", `Copy seed ${seed}`, () => navigator.clipboard?.writeText(String(seed))));
  caption.append(button("again", `Draw again with seed ${seed}`, () => again({ ...facts, seed, count: 1 })));
  caption.append(button("save", `Download the picture with seed ${seed}`, () => save(pixels, { ...facts, seed })));
  if (spec.canEdit) caption.append(button("edit", `Edit the picture with seed ${seed}`, () => openEditor(pixels, facts.prompt)));
  made.append(canvas, caption);
  return made;
}

async function save(pixels, facts) {
  const [, height, width] = spec.image;
  const known = Object.entries({ ...facts, num_images: 1 }).filter(([, value]) => value !== undefined);
  const texts = Object.fromEntries(known.map(([key, value]) => [`textvae:${key}`, String(value)]));
  const blob = await png(pixels, width, height, texts, Math.max(1, Math.round(224 / width)));
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: `${facts.model}-${facts.seed}.png` });
  link.click();
  URL.revokeObjectURL(link.href);
}

/** The settings of the form; what is undefined is left to the model. */
function settings() {
  const isFlow = spec.sampling.kind === "flow";
  return {
    prompt: get("prompt").value.trim(),
    guidance: isFlow ? Number(get("guidance").value) : undefined,
    steps: isFlow ? Number(get("steps").value) : undefined,
    negative: (isFlow && get("negative").value.trim()) || undefined,
    second: get("second").value.trim() || undefined,
    weight: get("second").value.trim() ? Number(get("weight").value) : undefined,
  };
}

let drawing = false;
let waiting = null;

// Live drawings show what the settings give, without a new seed and without an entry in the history.
async function draw({ live = false } = {}) {
  if (drawing) {
    // One that was asked for is not replaced by a live one.
    waiting = { live: live && (waiting?.live ?? true) };
    return;
  }
  drawing = true;
  get("draw").disabled = !live;
  if (!live && get("random").checked) get("seed").value = Math.floor(Math.random() * 1e6);
  const request = settings();
  const facts = { ...request, model: spec.name, verb: request.second ? "interpolate" : undefined };
  const first = Number(get("seed").value), count = Number(get("count").value);
  const shown = [];
  try {
    const { understood, unknown, related = {} } = await ask("read", { prompt: request.prompt });
    const said = Object.entries(related).map(([word, other]) => `“${word}” is read as “${other}”.`);
    if (unknown.length) said.push(`Ignored, as this model does not know them: ${unknown.join(", ")}.`);
    if (understood) said.push(`Understood: ${understood}.`);
    say(said.join(" "));
    await ask("draw", { ...request, seeds: Array.from({ length: count }, (_, i) => first + i) }, (picture) => {
      shown.push(figure(picture, facts));
      live ? get("pictures").children[shown.length - 1]?.replaceWith(shown.at(-1)) : get("pictures").replaceChildren(...shown);
    });
    if (live) get("pictures").replaceChildren(...shown);
    else remember({ ...facts, seed: first, count });
  } catch (error) {
    fail(error);
  } finally {
    drawing = false;
    get("draw").disabled = false;
    const next = waiting;
    waiting = null;
    if (next) await draw(next);
  }
}

function remember(facts) {
  const item = document.createElement("li");
  item.append(button(`${facts.prompt} (${facts.model}, seed ${facts.seed})`, `Draw again: ${facts.prompt}, seed ${facts.seed}`, () => again(facts)));
  get("history").prepend(item);
}

async function again(facts) {
  if (facts.model !== spec.name) {
    get("model").value = facts.model;
    if (!(await choose())) return;
  }
  get("random").checked = false;
  for (const name of ["prompt", "seed", "count", "guidance", "steps", "negative", "second", "weight"])
    get(name).value = facts[name] ?? get(name).defaultValue;
  labels();
  await draw();
}

function openEditor(pixels, prompt) {
  editing = pixels;
  get("editor").hidden = false;
  get("from").value = prompt;
  get("to").value = "";
  get("inpaint").hidden = get("clear").hidden = get("middle").hidden = !spec.canInpaint;
  clearMask();
  get("editor").scrollIntoView({ behavior: "smooth" });
  get("to").focus();
}

function clearMask() {
  const [, height, width] = spec.image;
  hole = new Uint8Array(width * height);
  showEditor();
}

function showEditor() {
  const [, height, width] = spec.image;
  const canvas = get("canvas");
  Object.assign(canvas, { width, height });
  const pixels = new Uint8ClampedArray(editing);
  hole.forEach((missing, i) => missing && pixels.set([220, 80, 40], 4 * i));
  canvas.getContext("2d").putImageData(new ImageData(pixels, width, height), 0, 0);
}

function paint(event) {
  if (!event.buttons || !spec.canInpaint) return;
  const [, height, width] = spec.image;
  const box = get("canvas").getBoundingClientRect();
  const x = ((event.clientX - box.left) / box.width) * width, y = ((event.clientY - box.top) / box.height) * height;
  const radius = Number(get("brush").value);
  for (let i = 0; i < width * height; i++)
    if (((i % width) + 0.5 - x) ** 2 + (Math.floor(i / width) + 0.5 - y) ** 2 <= radius ** 2) hole[i] = 1;
  showEditor();
}

async function run(verb, request) {
  const shown = [];
  get("edited").replaceChildren();
  const facts = { verb, prompt: request.to ?? request.prompt, model: spec.name };
  try {
    await ask(verb, { pixels: new Uint8ClampedArray(editing), ...request }, (picture) => {
      shown.push(figure(picture, facts));
      get("edited").replaceChildren(...shown);
    });
  } catch (error) {
    fail(error);
  }
}

function labels() {
  get("guidance-value").textContent = get("guidance").value;
  get("steps-value").textContent = get("steps").value;
  get("weight-value").textContent = `${Math.round(100 * get("weight").value)} %`;
}

// Whether the chosen model could be loaded.
async function choose() {
  const name = get("model").value;
  const known = models.find((model) => model.name === name);
  get("about").textContent = known.summary;
  get("terms").textContent = known.terms ? `Training data: ${known.terms}` : "";
  try {
    const message = await ask("load", {});
    spec = { ...message.spec, canEdit: message.canEdit, canInpaint: message.canInpaint };
  } catch (error) {
    fail(error);
    return false;
  }
  const isFlow = spec.sampling.kind === "flow";
  document.querySelectorAll(".flow").forEach((element) => (element.hidden = !isFlow));
  if (isFlow) {
    for (const key of ["guidance", "steps"]) get(key).value = get(key).defaultValue = spec.sampling[key];
  }
  get("prompt").value = spec.prompts[0] ?? "";
  get("negative").value = get("second").value = "";
  get("weight").value = 0;
  get("editor").hidden = true;
  get("examples").replaceChildren(
    ...spec.prompts.slice(0, 8).map((prompt) =>
      button(prompt, `Draw: ${prompt}`, () => {
        get("prompt").value = prompt;
        draw();
      }),
    ),
  );
  labels();
  say("Ready.");
  document.body.dataset.ready = name;
  return true;
}

async function start() {
  // On a phone the settings would stand between the prompt and the pictures.
  get("settings").open = matchMedia("(min-width: 34rem)").matches;
  const index = await (await fetch("models/index.json")).json();
  models = index.models;
  get("model").replaceChildren(...models.map(({ name }) => new Option(name, name)));
  if (models.some(({ name }) => name === wanted.get("model"))) get("model").value = wanted.get("model");
  get("webgpu-label").hidden = !(index.webgpu && "gpu" in navigator);
  get("webgpu").checked = wanted.get("webgpu") === "1";
  if (!(await choose())) return;
  if (wanted.get("prompt")) {
    get("random").checked = false;
    for (const [key, value] of wanted) if (["prompt", "seed", "count", "guidance", "steps", "negative", "second", "weight"].includes(key)) get(key).value = value;
    labels();
    await draw();
  } else await draw({ live: true });
  document.body.dataset.drawn = "1";
}

get("form").addEventListener("submit", (event) => {
  event.preventDefault();
  draw();
});
get("model").addEventListener("change", async () => {
  get("pictures").replaceChildren();
  if (await choose()) await draw({ live: true });
});
for (const id of ["guidance", "steps", "weight"])
  get(id).addEventListener("input", () => {
    labels();
    if (get("pictures").children.length) draw({ live: true });
  });
get("webgpu").addEventListener("change", () => {
  wanted.set("webgpu", get("webgpu").checked ? "1" : "0");
  location.search = wanted;
});
get("canvas").addEventListener("pointerdown", paint);
get("canvas").addEventListener("pointermove", paint);
get("clear").addEventListener("click", clearMask);
get("middle").addEventListener("click", () => {
  const [, height, width] = spec.image;
  hole = hole.map((_, i) => Number(Math.abs((i % width) - width / 2) < width / 4 && Math.abs(Math.floor(i / width) - height / 2) < height / 4));
  showEditor();
});
get("edit").addEventListener("click", () => run("edit", { from: get("from").value, to: get("to").value, guidance: settings().guidance }));
get("inpaint").addEventListener("click", () =>
  run("inpaint", { hole, prompt: get("to").value || get("from").value, seeds: [0, 1, 2, 3], guidance: settings().guidance }),
);
start().catch(fail);
