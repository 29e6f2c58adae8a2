// Second-order solvers of dx/dt = velocity(x, t): the twin of textvae/priors/flow/solvers.py.

/** The times from 0 to 1 between which steps lie. A spacing of 1 makes equal steps, more shorter ones at the start. */
export function spaced(steps, spacing = 1) {
  return Array.from({ length: steps + 1 }, (_, step) => (step / steps) ** spacing);
}

/** Follows dx/dt = velocity(x, t) from the first of these times to the last, in a step between each two. */
export async function solve(velocity, x, times, solver, done = () => {}) {
  let before, length = 1;
  for (let step = 0; step < times.length - 1; step++) {
    const now = times[step], h = times[step + 1] - now;
    const first = await velocity(x, now);
    if (solver === "multistep") {
      const last = before, past = (0.5 * h) / length;
      x = x.map((value, i) => value + h * (last ? (1 + past) * first[i] - past * last[i] : first[i]));
      [before, length] = [first, h];
    } else if (solver === "midpoint") {
      const middle = await velocity(x.map((value, i) => value + 0.5 * h * first[i]), now + 0.5 * h);
      x = x.map((value, i) => value + h * middle[i]);
    } else {
      const second = await velocity(x.map((value, i) => value + h * first[i]), now + h);
      x = x.map((value, i) => value + 0.5 * h * (first[i] + second[i]));
    }
    done((step + 1) / (times.length - 1));
  }
  return x;
}
