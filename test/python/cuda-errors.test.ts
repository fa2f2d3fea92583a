import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { driverDouble } from "../cuda-runtime/doubles.ts";
import { withFolder } from "../support/folder.ts";
import { packageOf, python, writeFiles } from "./python.ts";

// What packages do on CUDA devices where something is missing or fails, on a stand-in for the driver.

const double = driverDouble();

const FOUND = `no driver: MTA801
another library: MTA804
no start: MTA804
no such device: MTA803
no name: MTA833
an old device: MTA810
no machine code: MTA814
no such kernel: MTA816
shared memory: MTA831
a call: done
no resources: MTA831
a refusal: MTA833
a fault before: MTA834
a grid: MTA830
strides: True True
strides that are no multiples: False True
columns apart: False True
an address between: False True
shapes that are kept: 256 done
misuse of the driver: none
a fault: MTA834
a fault in a source: MTA813
another library for NVRTC: MTA817
a newer device: ptx True True
NVRTC that is not there: MTA817
nvcc: b'-cubin -std=c++17 -arch=sm_90 -o kernels.cubin a.cu\\n'
nvcc: b'-ptx -std=c++17 -arch=sm_90 -o kernels.ptx a.cu\\n\\x00'
nvcc that refuses: MTA813
nvcc that fails: MTA817
`;

test("what goes wrong on CUDA has a code", async () => {
  await withFolder(async (folder) => {
    writeFiles(folder, packageOf("attention a { heads 2 head_dim 16 mask none }", "a.mta", true));
    for (const name of ["cuda_errors.py", "driver_double.py"])
      copyFileSync(fileURLToPath(new URL(name, import.meta.url)), join(folder, name));
    const program = `import os\nos.environ["MTAC_LIBCUDA"] = ${JSON.stringify(double.path)}\nimport cuda_errors`;
    expect(await python(["-c", program], folder)).toBe(FOUND);
  });
});
