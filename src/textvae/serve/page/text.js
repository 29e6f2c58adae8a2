// Prompts to conditions: the twins of the readers in textvae/text/, driven by the "text" part of a model.json.

/** A prompt that a model cannot read: one line of cause, one line of cure. */
export class PromptError extends Error {
  constructor(cause, cure) {
    super(`${cause}\n${cure}`);
    this.cause = cause;
    this.cure = cure;
  }
}

const NONE = "none";
const DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];

/**
 * Reads a prompt.
 *
 * @param text the "text" object of model.json; its kind names the reader
 * @param prompt what the user wrote; "none" gives a condition of zeros
 * @returns {{condition: Float32Array|Int32Array, understood: string, unknown: string[], related?: Object<string, string>}}
 *   one row, the words that were understood, the words that were ignored, and those that were read as related ones
 * @throws {PromptError} the model cannot read the prompt
 */
export function read(text, prompt) {
  const readers = { labels: readLabel, words: readWords, digits: readDigits, scenes: readScene };
  if (!(text.kind in readers)) throw new PromptError(`this page cannot read prompts by ${text.kind}`, "choose another model");
  return readers[text.kind](text, prompt);
}

/** One-hot row of the class that a short phrase names (textvae/text/labels.py). */
function readLabel(text, prompt) {
  const condition = new Float32Array(text.class_names.length);
  if (prompt === NONE) return { condition, understood: "", unknown: [] };
  const words = labelWords(prompt);
  const found = [];
  for (let place = 0; place < words.length; ) {
    let length = Math.min(text.longest, words.length - place);
    while (length && !(words.slice(place, place + length).join(" ") in text.phrases)) length--;
    if (length) found.push(text.phrases[words.slice(place, place + length).join(" ")]);
    place += Math.max(length, 1);
  }
  const classes = [...new Set(found)];
  const names = classes.map((number) => text.class_names[number]);
  if (!classes.length)
    throw new PromptError(`"${prompt}" names no class`, `This model draws: ${text.class_names.join(", ")}.`);
  if (classes.length > 1)
    throw new PromptError(`"${prompt}" names ${classes.length} classes: ${names.join(", ")}`, "Name one class only.");
  condition[classes[0]] = 1;
  return { condition, understood: names[0], unknown: [] };
}

function labelWords(prompt) {
  const folded = folding(prompt.normalize("NFKC")).normalize("NFKC");
  return folded.replace(/['’‘ʼ`´]|\p{Cf}/gu, "").match(/[\p{L}\p{N}]+/gu) ?? [];
}

/**
 * Token ids of the words that the model learned (textvae/text/caption_words.py). Others are read as one or two known words of
 * related meaning, which are reported, or ignored, which is reported as well.
 */
function readWords(text, prompt) {
  const condition = new Int32Array(text.length);
  const words = folding(prompt).match(/[\p{L}\p{N}_]+/gu) ?? [];
  if (words.length === 1 && words[0] === NONE) return { condition, understood: "", unknown: [] };
  text.index ??= new Map(text.words.map((word, number) => [word, number + 1]));
  const related = {};
  for (const word of words) {
    const other = text.index.has(word) ? undefined : relatedWord(text, word);
    if (other) related[word] = other;
  }
  const readings = words.flatMap((word) => (related[word] ?? word).split(" "));
  const known = readings.filter((word) => text.index.has(word)).slice(0, text.length);
  if (!known.length)
    throw new PromptError(`no word of "${prompt}" is known to this model`, `It knows ${text.words.length} words, such as: ${text.words.slice(0, 30).join(" ")}.`);
  known.forEach((word, place) => (condition[place] = text.index.get(word)));
  return { condition, understood: known.join(" "), unknown: [...new Set(readings.filter((word) => !text.index.has(word)))], related };
}

/** The known words, joined by spaces, as which another one is read, if any (textvae/text/related_words). */
function relatedWord(text, word) {
  text.readings ??= new Map(Object.entries(text.related ?? {}).flatMap(([known, others]) => others.split(" ").map((other) => [other, known])));
  const forms = otherForms(word);
  return forms.find((form) => text.index.has(form)) ?? [word, ...forms.filter((form) => form.length < word.length)].map((form) => text.readings.get(form)).find(Boolean);
}

/** A noun's possible singulars, or its plural. */
function otherForms(word) {
  if (word.endsWith("ies") && word.length > 4) return [word.slice(0, -3) + "y", word.slice(0, -1)];
  if (word.endsWith("es") && word.length > 4) return [word.slice(0, -1), word.slice(0, -2)];
  if (word.endsWith("s") && !word.endsWith("ss") && word.length > 3) return [word.slice(0, -1), word + "es"];
  if (/(s|x|ch|sh)$/.test(word)) return [word + "es"];
  if (/[^aeiou]y$/.test(word) && word.length > 2) return [word.slice(0, -1) + "ies"];
  return [word + "s"];
}

/** Token ids of a caption that means a digit (textvae/text/digit_grammar.py). */
function readDigits(text, prompt) {
  const words = digitWords(prompt);
  const row = tokens(text, words);
  if (row.understood) {
    const value = valueOf(words, text.sentence_words);
    if (value < 0 || value > 9) throw new PromptError(`"${words.join(" ")}" is ${value}, which is no digit`, "Ask for something from 0 to 9.");
  }
  return row;
}

/** Token ids of a caption of two digits, in the one wording that the model was trained on. */
function readScene(text, prompt) {
  const words = digitWords(prompt);
  if (words.length === 1 && words[0] === NONE) return tokens(text, words);
  const said = words.filter((word) => !text.fillers.includes(word));
  const [first, where, second] = said;
  if (said.length !== 3 || !DIGITS.includes(first) || !DIGITS.includes(second) || !(where in text.meanings))
    throw new PromptError(`"${words.join(" ")}" describes no two digits`, 'Name a digit, a place and a digit: "the digit three is on the left of the digit nine".');
  return tokens(text, `the digit ${first} is ${text.phrases[text.meanings[where]]} the digit ${second}`.split(" "));
}

function digitWords(prompt) {
  const spaced = folding(prompt).replace(/(?<=\p{L})[-‐](?=\p{L})/gu, " ");
  const marks = ".,;:!?'\"’";
  const operators = { "+": "plus", "-": "minus", "−": "minus", "–": "minus" };
  return (spaced.match(/\d+(?:[.,]\d+)?|\p{L}+|\S/gu) ?? [])
    .filter((token) => !marks.includes(token))
    .map((token) => (/^\d$/.test(token) ? DIGITS[Number(token)] : operators[token] ?? token));
}

function valueOf(words, sentenceWords) {
  const malformed = (place) => {
    const where = place < words.length ? `word ${place + 1}, "${words[place]}"` : "the end";
    return new PromptError(`"${words.join(" ")}" cannot be read at ${where}`, 'Examples: "five", "nine minus two plus one", "min nine five seven".');
  };
  const digit = (place) => {
    const number = DIGITS.indexOf(words[place]);
    if (number < 0) throw malformed(place);
    return number;
  };
  if (words[0] === "min" || words[0] === "max") {
    const numbers = words.slice(1).map((_, place) => digit(place + 1));
    if (numbers.length < 2) throw malformed(words.length);
    return Math[words[0]](...numbers);
  }
  if (words.some((word) => sentenceWords.includes(word))) {
    const places = words.flatMap((word, place) => (sentenceWords.includes(word) ? [] : [place]));
    if (places.length !== 1) throw malformed(places[1] ?? words.length);
    return digit(places[0]);
  }
  let total = digit(0);
  for (let place = 1; place < words.length; place += 2) {
    if (words[place] !== "plus" && words[place] !== "minus") throw malformed(place);
    total += words[place] === "plus" ? digit(place + 1) : -digit(place + 1);
  }
  return total;
}

/** <start> words <end> as token ids, padded with zeros (textvae/text/vocabulary.py). */
function tokens(text, words) {
  const condition = new Int32Array(text.length);
  if (words.length === 1 && words[0] === NONE) return { condition, understood: "", unknown: [] };
  if (!words.length) throw new PromptError("an empty prompt says nothing", 'Write something, or "none".');
  const unknown = words.find((word) => !text.words.includes(word));
  if (unknown) throw new PromptError(`unknown word "${unknown}"`, `This model knows: ${text.words.join(" ")}.`);
  if (words.length + 2 > text.length)
    throw new PromptError(`the prompt has ${words.length} words`, `This model reads at most ${text.length - 2}.`);
  condition.set([1, ...words.map((word) => text.words.indexOf(word) + 3), 2]);
  return { condition, understood: words.join(" "), unknown: [] };
}

/** Case folding as Python's casefold for what differs from lower case in Latin and Greek text. */
function folding(text) {
  return text.toLowerCase().replaceAll("ß", "ss").replaceAll("ς", "σ");
}
