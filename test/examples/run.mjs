// `node test/examples/run.mjs [NAME…]`: the packed package in projects of others, with the tools' current versions; see main.ts.
// Needs npm's registry; the CMake project also needs CMake and nvcc.
import { register } from "tsx/esm/api";

register();
const { checkProjects } = await import("./main.ts");
process.exitCode = (await checkProjects(process.argv.slice(2))) ? 0 : 1;
