// Keyed random numbers: the twin of textvae/utils/random.py, bit for bit.
// Philox4x32-10 (Salmon et al. 2011) makes 32-bit words; the inverse normal distribution (Wichura 1988, AS 241) makes
// normals of them with + - * / and square roots of doubles only, which IEEE 754 defines to the last bit.

/** Philox4x32-10: four random words for a counter of four words and a key of two. */
export function philox(counter, key) {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < 10; round++) {
    const high0 = mulHigh(0xd2511f53, c0), low0 = Math.imul(0xd2511f53, c0);
    const high1 = mulHigh(0xcd9e8d57, c2), low1 = Math.imul(0xcd9e8d57, c2);
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 = (k0 + 0x9e3779b9) | 0;
    k1 = (k1 + 0xbb67ae85) | 0;
  }
  return [c0 >>> 0, c1 >>> 0, c2 >>> 0, c3 >>> 0];
}

/** Upper 32 bits of the product of two 32-bit words. */
function mulHigh(a, b) {
  const a1 = a >>> 16, a0 = a & 0xffff, b1 = b >>> 16, b0 = b & 0xffff;
  const middle = a1 * b0 + Math.floor((a0 * b0) / 65536);
  const carried = (middle % 65536) + a0 * b1;
  return (a1 * b1 + Math.floor(middle / 65536) + Math.floor(carried / 65536)) | 0;
}

/** Standard normal numbers of a picture: `count` of them for a seed, a whole number below 2^53. */
export function normals(seed, count, draw = 0) {
  const numbers = new Float32Array(count);
  const key = [seed % 4294967296, Math.floor(seed / 4294967296)];
  for (let block = 0; 4 * block < count; block++) {
    const words = philox([block, draw, 0, 0], key);
    for (let i = 0; i < 4 && 4 * block + i < count; i++) numbers[4 * block + i] = normalOf(words[i]);
  }
  return numbers;
}

/** The standard normal number whose distribution function is (word + 0.5) / 2^32. */
export function normalOf(word) {
  const probability = (word + 0.5) * 2 ** -32;
  const centred = probability - 0.5;
  if (Math.abs(centred) <= 0.425) {
    const x = 0.180625 - centred * centred;
    return (centred * polynomial(CENTRE_ABOVE, x)) / polynomial(CENTRE_BELOW, x);
  }
  const sign = centred < 0 ? -1 : 1;
  const x = Math.sqrt(-logarithm(sign < 0 ? probability : 1 - probability)) - 1.6;
  return sign * (polynomial(TAIL_ABOVE, x) / polynomial(TAIL_BELOW, x));
}

function polynomial(coefficients, x) {
  let value = coefficients[0];
  for (let i = 1; i < coefficients.length; i++) value = value * x + coefficients[i];
  return value;
}

const view = new DataView(new ArrayBuffer(8));
const SERIES = Array.from({ length: 13 }, (_, i) => 1 / (25 - 2 * i));

/** Natural logarithm: x = m 2^e, log m = 2 artanh((m - 1) / (m + 1)) by its series. */
function logarithm(x) {
  view.setFloat64(0, x);
  const high = view.getUint32(0);
  let exponent = ((high >>> 20) & 0x7ff) - 1022;
  view.setUint32(0, (high & 0x800fffff) | (1022 << 20));
  let mantissa = view.getFloat64(0);
  if (mantissa < 0.7071067811865476) {
    mantissa *= 2;
    exponent -= 1;
  }
  const s = (mantissa - 1) / (mantissa + 1);
  return exponent * 0.6931471805599453 + 2 * s * polynomial(SERIES, s * s);
}

// Wichura's coefficients a, b, c and d, from the highest power to the constant.
const CENTRE_ABOVE = [
  2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4, 4.5921953931549871457e4,
  1.3731693765509461125e4, 1.9715909503065514427e3, 1.3314166789178437745e2, 3.387132872796366608,
];
const CENTRE_BELOW = [
  5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4, 2.1213794301586595867e4,
  5.3941960214247511077e3, 6.8718700749205790830e2, 4.2313330701600911252e1, 1,
];
const TAIL_ABOVE = [
  7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1, 1.27045825245236838258,
  3.64784832476320460504, 5.76949722146069140550, 4.63033784615654529590, 1.42343711074968357734,
];
const TAIL_BELOW = [
  1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2, 1.48103976427480074590e-1,
  6.89767334985100004550e-1, 1.67638483018380384940, 2.05319162663775882187, 1,
];
