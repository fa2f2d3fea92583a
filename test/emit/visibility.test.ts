import { describe, expect, test } from "vitest";
import { emitKernels } from "../../compiler/emit/index.ts";
import { MASK_ORDER, resolve } from "../../compiler/ir/index.ts";
import {
  type Machine,
  planCandidates,
  WEBGPU_COMMON_LIMITS,
  webgpuMachine,
} from "../../compiler/plan/index.ts";
import type { MaskTerm } from "../../runtime/contract/index.ts";
import { machineFor } from "../cuda/harness.ts";
import { attentionWith } from "../support/attentions.ts";

// A term of the mask is one entry of the table in `ir/visibility.ts`. What looks at data of the pair is told by each target's
// templates: these tests name the piece that a target lacks.

const MACHINES: readonly (readonly [name: string, machine: Machine])[] = [
  ["webgpu", webgpuMachine(WEBGPU_COMMON_LIMITS)],
  ["cuda", machineFor("sm_80")],
];

/** The text of one function of a target's kernels. */
function functionOf(machine: Machine, mask: readonly MaskTerm[], name: string): string {
  const shape = { B: 1, Lq: 64, Lk: 64, R: 0 };
  const pipeline = resolve(attentionWith({ mask: [...mask] }), "a.mta");
  const [best] = planCandidates(pipeline, { machine, shape, schedule: "single_pass" });
  if (!best?.plan) throw new Error("no plan");
  const text = Object.values(emitKernels(best.plan)).join("\n");
  const found = new RegExp(`^[^\\n]*\\b${name}\\([^{;]*\\{\\n(?:.*\\n)*?\\}`, "m").exec(text);
  return found?.[0] ?? "";
}

function termOf(kind: MaskTerm["kind"]): MaskTerm {
  return kind === "window" ? { kind, size: 5 } : { kind };
}

describe.each(MACHINES)("%s", (_name, machine) => {
  test.each(MASK_ORDER)("%s: kernels test pairs for it", (kind) => {
    const without = functionOf(machine, [], "visible");
    expect(without).toContain("seen");
    expect(functionOf(machine, [termOf(kind)], "visible")).not.toBe(without);
  });

  test.each(MASK_ORDER)("%s: the inside of a tile is what it leaves visible", (kind) => {
    const inside = functionOf(machine, [termOf(kind)], "interior");
    expect(inside).not.toBe(functionOf(machine, [], "interior"));
    if (kind === "documents" || kind === "bias") expect(inside).toContain("return false;");
  });

  test("a causal window: its other side is hidden already", () => {
    const mask: MaskTerm[] = [{ kind: "causal" }, { kind: "window", size: 5 }];
    expect(functionOf(machine, mask, "visible").match(/WINDOW/g)).toHaveLength(1);
    expect(functionOf(machine, mask, "key_range")).toMatch(
      /low = max\(0, batch\.first_position \+ first - \(WINDOW - 1\)\);\n.*high = min\(batch\.keys, batch\.first_position \+ last \+ 1\);/,
    );
    expect(functionOf(machine, [{ kind: "window", size: 5 }], "visible").match(/WINDOW/g)).toHaveLength(2);
  });

  test("rows beyond the filled keys see none", () => {
    expect(functionOf(machine, [{ kind: "lengths" }], "key_range")).toContain(
      "batch.first_position + first < batch.keys",
    );
  });
});
