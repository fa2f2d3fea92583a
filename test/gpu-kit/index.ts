// Makes the kit for a day with a GPU: one folder that checks and times what mtac emits, on a machine with CUDA, PyTorch and no network.
//
//   npm run gpu:kit -- [--out DIR] [--cubins sm_90,sm_80] [--no-cubins] [--vectors DIR] [--candidates N]
//
// --cubins compiles kernels beforehand, by NVRTC or nvcc, with the Python of MTAC_PYTHON; what is not compiled, the kit compiles where it
// runs. --vectors adds vectors to those of test/vectors.
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { loadGradients } from "../../compiler/emit/index.ts";
import { makeKit } from "./make.ts";
import { KIT_SPECS, MAIN, OTHERS } from "./specs.ts";

const { values: flags } = parseArgs({
  options: {
    out: { type: "string", default: "gpu-kit" },
    cubins: { type: "string" },
    "no-cubins": { type: "boolean", default: false },
    vectors: { type: "string", multiple: true, default: [] },
    candidates: { type: "string", default: "8" },
  },
});

const own = fileURLToPath(new URL("../vectors", import.meta.url));
const { MTAC_PYTHON: python = "python3" } = process.env;
const begin = performance.now();
const architectures = (flags.cubins ?? "sm_90").split(",");
try {
  const most = Number(flags.candidates);
  if (!Number.isSafeInteger(most) || most < 0) throw new Error("--candidates is a whole number from 0");
  for (const each of architectures)
    if (!/^sm_\d{2,3}$/.test(each))
      throw new Error(`--cubins has no architecture ${each}: give sm_90 or the like`);
  await loadGradients();
  const bytes = makeKit(
    flags.out,
    {
      specs: KIT_SPECS,
      vectors: [own, ...flags.vectors],
      main: MAIN,
      others: OTHERS,
      candidates: most === 0 ? null : { package: "mta_830m", attention: "mta_830m", most },
      cubins: flags["no-cubins"] ? null : { architectures, python },
    },
    (line) => console.log(line),
  );
  const seconds = (performance.now() - begin) / 1000;
  console.log(
    `${flags.out}: ${(bytes / 2 ** 20).toFixed(1)} MiB in ${seconds.toFixed(0)} s; there: python3 run.py --minutes 8`,
  );
} catch (problem) {
  console.error(problem instanceof Error ? problem.message : problem);
  process.exitCode = 1;
}
