import { openTestDevice } from "../support/node-device.ts";
import type { SuiteTarget } from "./target.ts";
import { webgpuSuiteDevice } from "./webgpu-device.ts";

export const WEBGPU_SUITE: SuiteTarget = {
  name: "webgpu",
  project: "numeric",
  available: async () => true,
  open: async () => webgpuSuiteDevice(await openTestDevice()),
  exact: ["f32"],
  rounded: ["f16", "bf16"],
  roundsAll: false,
  everyVector: true,
  cases: { sunkRows: true },
  runs: 28,
  // A random candidate beside the best one for every other case; `npm run soak` tries more attentions, and more of each.
  pick: (random) => ({ best: true, candidates: random.chance(0.5) ? 1 : 0 }),
  fitsAll: true,
  runsAll: true,
  storageBuffers: 8,
  known: ["f32", "f16"],
  depth: 1,
  holdsOffsets: true,
};
