import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { emitPythonPackage } from "../../compiler/python/index.ts";
import type { Float64Tensor } from "../../runtime/contract/index.ts";
import { INPUT_TENSORS } from "../../runtime/contract/resources.ts";
import type { StoredTensor } from "../../runtime/safetensors/index.ts";
import { describeGradientChecks, type Gradients, type GradientTrial } from "../support/gradients.ts";
import { PythonServer, writeFiles } from "./python.ts";

// Emitted packages in PyTorch: the kernels in f32, and the plain formulas in float64.

const scratch = mkdtempSync(join(tmpdir(), "mtac-python-"));
const server = new PythonServer(scratch);

afterAll(() => {
  server.close();
  rmSync(scratch, { recursive: true, force: true });
});

let packages = 0;

async function compute(
  { pipeline, inputs, parameters, dO }: GradientTrial,
  type: "float32" | "float64",
): Promise<Gradients> {
  // Another name each time: Python keeps a module that it has loaded.
  packages += 1;
  const name = `trial_${packages}`;
  const attention = { ...pipeline, name: "attention", storage: "f32" } as const;
  const folder = join(scratch, name);
  writeFiles(
    folder,
    emitPythonPackage([attention], [], { version: `0.0.${packages}`, spec: `${name}.mta` }, { cuda: false }),
  );
  const tensors = new Map<string, StoredTensor>([["d_o", stored(dO, false)]]);
  for (const { key, name: resource, element } of INPUT_TENSORS) {
    const tensor = inputs[key];
    if (tensor !== undefined) tensors.set(resource, stored(tensor, element === "i32"));
  }
  for (const [parameter, tensor] of parameters) tensors.set(parameter, stored(tensor, false));
  const request = {
    folder,
    package: name,
    constant: "ATTENTION_ATTENTION",
    type,
    layer: inputs.layer ?? null,
  };
  const found = await server.compute(request, tensors);
  return new Map([...found].map(([tensor, { data }]) => [tensor, Float64Array.from(data, Number)]));
}

function stored({ shape, data }: Float64Tensor, integers: boolean): StoredTensor {
  return integers
    ? { dtype: "I32", shape, data: Int32Array.from(data) }
    : { dtype: "F64", shape, data: Float64Array.from(data) };
}

describeGradientChecks(
  ["float32", "float64"] as const,
  "float32",
  (seed) => (seed % 2 === 0 ? "float32" : "float64"),
  compute,
  {
    runs: 30,
    isolates: "float32",
  },
);
