import type { Pipeline, Plan, SourceLine, TensorProgram } from "../../../runtime/contract/index.ts";
import { type BoundResource, type KernelResources, mapOperand } from "../bindings.ts";
import type { Kernel } from "../define.ts";
import type { RowKernel } from "../schedule/passes.ts";
import { WARP } from "../work.ts";
import { CHUNK_ELEMENTS } from "./support.ts";

/** Tensor-core kernels copy tensors in chunks of 16 bytes. */
export const CHUNKS: Plan["alignment"] = {
  q: CHUNK_ELEMENTS,
  k: CHUNK_ELEMENTS,
  v: CHUNK_ELEMENTS,
  o: CHUNK_ELEMENTS,
};

/** The output, as those kernels call it. */
const OUTPUT: BoundResource = {
  resource: "o",
  operand: { variable: "o_rows", element: "storage", width: CHUNK_ELEMENTS },
};

/** The maps of a strip that a kernel reads and writes, where it has any. */
export interface Route {
  readonly from: string;
  readonly to: string;
}

/** Whether weights come of what its map holds only with the rows' statistics. */
function readsStatistics(program: TensorProgram): boolean {
  return "source" in program && (program.source === "scores" || program.source === "exponentials");
}

/** What a program reads and writes. */
function resourcesOf(program: TensorProgram, { from, to }: Route): KernelResources {
  const call = ["parameters", "integers", "bias"];
  const map = mapOperand(from, "source", 1, "f16");
  const result = mapOperand(to, "result", 1, "f16");
  const references = {
    read: mapOperand(`references_${from}`, "source_references", 1),
    written: mapOperand(`references_${to}`, "result_references", 1),
  };
  const statistics = readsStatistics(program) ? ["statistics"] : [];
  switch (program.kind) {
    case "tensor_fold":
      return { read: ["k", "parameters", "integers"], written: ["folded_keys"] };
    case "tensor_combine":
      return { read: ["partial_values", "partial_sums", "parameters"], written: [OUTPUT, "lse"] };
    case "tensor_statistics":
      return {
        read: [map, references.read, ...call],
        written: ["statistics", "lse"],
      };
    case "tensor_mix": {
      const kept = program.references === null ? [] : [references.written];
      return {
        read: [map, ...(program.references === null ? [] : [references.read]), ...statistics, ...call],
        written: [result, ...(program.softmax === null ? kept : ["statistics", "lse"])],
      };
    }
    case "tensor_product":
      return { read: [map, "v", ...statistics, ...call], written: [OUTPUT] };
    case "tensor_tile": {
      const keys = program.folded === null ? "k" : "folded_keys";
      const beside = program.references?.source === "map" ? [references.read] : [];
      const source = program.source === "dot" ? ["q", "q_history", keys] : [map, ...beside, ...statistics];
      // A part of the keys leaves results to be combined, and so may all of them where blocks share them.
      const whole = program.keys === "all" ? [OUTPUT, "lse"] : [];
      return {
        attention: {
          read: [...source, "v", ...call],
          written: [...whole, "partial_values", "partial_sums"],
        },
        statistics: { read: [...source, ...call], written: ["statistics", "lse"] },
        product: { read: [...source, "v", "statistics", ...call], written: [OUTPUT] },
        map:
          program.map?.exponentials === true
            ? { read: [...source, "statistics", ...call], written: [result] }
            : {
                read: [...source, ...call],
                written: [result, ...(program.references === null ? [] : [references.written])],
              },
      }[program.sink];
    }
  }
}

/** Registers of a thread: what launch bounds leave of them where there are any, and ptxas's figures. */
function registersOf(program: TensorProgram): number {
  switch (program.kind) {
    case "tensor_tile":
    case "tensor_product":
      return 255;
    case "tensor_mix":
      return Math.floor(512 / program.blocksPerSm);
    case "tensor_fold":
      return 96;
    case "tensor_statistics":
    case "tensor_combine":
      return 32;
  }
}

/** One kernel on tensor cores; `route`: of the staged schedule. */
export function tensorKernel<Program extends TensorProgram>(
  name: string,
  program: Program,
  source: SourceLine | null,
  route: Route = { from: "", to: "" },
): Kernel<Program> {
  return {
    name,
    program,
    workgroup: program.warps * WARP,
    workgroupBytes: "sharedBytes" in program ? program.sharedBytes : 0,
    registers: registersOf(program),
    ...resourcesOf(program, route),
    source,
  };
}

/** The same over the call's rows, of which a block takes a tile. */
export function tensorRowKernel<Program extends TensorProgram>(
  { heads, source }: Pipeline,
  name: string,
  program: Program,
  tileRows: number,
): Kernel<Program> & RowKernel {
  return { ...tensorKernel(name, program, source), tileRows, headBlocks: heads };
}
