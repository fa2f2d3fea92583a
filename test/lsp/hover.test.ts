import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { compulsoryBytes, floorMultiplyAdds, resolve } from "../../compiler/ir/index.ts";
import { analyse } from "../../compiler/language/index.ts";
import { planAhead } from "../../compiler/lsp/plan-ahead.ts";
import { NOMINAL, Predictions } from "../../compiler/lsp/predictions.ts";
import {
  choosePlan,
  cudaArchitecture,
  cudaMachine,
  WEBGPU_COMMON_LIMITS,
  webgpuMachine,
} from "../../compiler/plan/index.ts";
import { formatBytes, formatCount } from "../../compiler/report/units.ts";
import type { Pipeline } from "../../runtime/contract/index.ts";
import { document, hover } from "./marked.ts";

const EXAMPLE = readFileSync(new URL("../../examples/mta_830m.mta", import.meta.url), "utf8");

/** The example with the mark inside the first match. */
function example(pattern: string): string {
  const at = EXAMPLE.indexOf(pattern);
  if (at < 0) throw new RangeError(`the example lacks ${pattern}`);
  return `${EXAMPLE.slice(0, at + 1)}|${EXAMPLE.slice(at + 1)}`;
}

function pipelineOf(name: string) {
  const attention = analyse(EXAMPLE, "x").spec?.attentions.find((each) => each.name === name);
  if (attention === undefined) throw new RangeError(`no ${name}`);
  return resolve(attention, "x");
}

describe("an attention", () => {
  const text = hover(example("mta_830m {"));
  const pipeline = pipelineOf("mta_830m");

  test("shows the pipeline in words, in order", () => {
    const order = [
      "S = scale · q·kᵀ, scale 0.102062",
      "`scores.conv`: 6x11, reads 5 rows back, 5 keys left, 5 right",
      "`scores.mix`: mixes groups of 16 heads",
      "A = softmax of each row over its visible keys: causal",
      "`weights.conv`",
      "o = A·v",
      "`output.norm`",
      "`output.gate`",
    ];
    const places = order.map((part) => text.indexOf(part));
    expect(places.every((place) => place >= 0)).toBe(true);
    expect(places).toEqual(places.toSorted((a, b) => a - b));
    expect(text).toContain("16 heads · head size 96 · f16 · mask causal");
  });

  test("shows every parameter with its shape", () => {
    expect(text).toContain("| `scores.conv.weight` | [16, 1, 6, 11] | identity |");
    expect(text).toContain("| `weights.mix.weight` | [1, 16, 16] | identity |");
    expect(text).toContain("| `output.gate.weight` | [1, 96] | zeros |");
    for (const { name } of pipeline.parameters) expect(text).toContain(`\`${name}\``);
  });

  test("shows the least work and bytes at length 1024", () => {
    expect(text).toContain(`at least ${formatCount(floorMultiplyAdds(pipeline, NOMINAL))} multiply-adds`);
    expect(text).toContain(`${formatBytes(compulsoryBytes(pipeline, NOMINAL))} to move`);
    expect(NOMINAL).toEqual({ B: 1, Lq: 1024, Lk: 1024, R: 0 });
  });

  test("shows what the planner takes for WebGPU and CUDA, and the time over plain attention", () => {
    const architecture = cudaArchitecture("sm_80");
    if (architecture === null) throw new Error("no sm_80");
    const plans = [
      ["WebGPU", choosePlan(pipeline, { machine: webgpuMachine(WEBGPU_COMMON_LIMITS), shape: NOMINAL })],
      ["CUDA, sm_80", choosePlan(pipeline, { machine: cudaMachine(architecture), shape: NOMINAL })],
    ] as const;
    for (const [device, plan] of plans) {
      const row = text.split("\n").find((line) => line.startsWith(`| ${device} |`)) ?? "";
      expect(row).toContain(`${plan.schedule}: `);
      for (const [knob, value] of Object.entries(plan.knobs)) expect(row).toContain(`${knob} ${value}`);
      const [work, time] = [...row.matchAll(/([\d.]+)×/g)].map(([, ratio]) => Number(ratio));
      expect(work).toBeGreaterThanOrEqual(1);
      // Two convolutions and two mixes are not free.
      expect(time).toBeGreaterThan(1);
    }
  });

  test("shows the layers that use it", () => {
    expect(text).toMatch(/6 layers of the 24 in `mta_830m_model`: 2, 6, 10, 14, 18, 22/);
  });

  test("says the same wherever it is named", () => {
    expect(hover(example("mta_830m       at"))).toBe(text);
    expect(
      hover(example("mta_830m {").replace("|", "").replace("extends mta_830m", "extends m|ta_830m")),
    ).toBe(text);
  });

  test("shows what an heir inherits, and changed", () => {
    const heir = hover(
      "attention a { heads 4 head_dim 8 scores { conv 2x3 } }\nattention b| extends a { heads 8 kv_heads 2 mask none }",
    );
    expect(heir).toContain("attention b extends a");
    expect(heir).toContain("8 heads over 2 key/value · head size 8 · f32 · mask none");
    expect(heir).toContain("| `scores.conv.weight` | [8, 1, 2, 3] |");
  });

  test("is shown although another declaration has errors; one with errors says so", () => {
    const broken = "attention good { heads 2 head_dim 8 }\nattention bad { heads 3 kv_heads 2 head_dim 8 }\n";
    expect(hover(broken.replace("good", "go|od"))).toContain("2 heads");
    expect(hover(broken.replace("bad", "ba|d"))).toContain("has errors");
  });

  test("says why no plan exists", () => {
    const text = hover(
      "attention a| { heads 1024 head_dim 512 value_dim 512 scores { mix 64 } weights { conv (64, 63) across 64 } normalize sparsemax }",
    );
    expect(text).toMatch(/\| WebGPU \| (none: |staged: )/);
  });
});

describe("a stage", () => {
  const line = (stage: string) => `attention a { heads 16 head_dim 96 value_dim 32 scores { ${stage} } }`;

  test("fills in the defaults and shows shapes, reach, cost", () => {
    const text = hover(line("co|nv 6x11 bias"));
    expect(text).toContain("conv 6x11 pad_key both pad_query past across 1 dilation 1x1 bias init identity");
    expect(text).toContain("reads 5 rows back, 5 keys left, 5 right");
    expect(text).toContain("| `scores.conv.weight` | [16, 1, 6, 11] | identity |");
    expect(text).toContain("| `scores.conv.bias` | [16] | zeros |");
    // 66 of 96 + 32 + 66 multiply-adds; 16 · 1024 · 1025 / 2 pairs.
    expect(text).toContain(
      `66 multiply-adds for each visible entry of the map: ${formatCount(66 * 16 * 512 * 1025)}`,
    );
    expect(text).toContain("34 % of the attention's work");
    // And the word's own meaning.
    expect(text).toContain("Key-query convolution");
  });

  test("is the right one of two, on its size as well", () => {
    expect(hover(line("conv 2x3 conv 4x|5 dilation 2x1"))).toContain(
      "`scores.conv_2`: 4x5, reads 6 rows back",
    );
    expect(hover(line("mix 4 mi|x 8 init normal 0.02"))).toContain("mix 8 init normal 0.02");
  });

  test.each([
    ["softcap", line("soft|cap 50"), "No multiply-adds: one softcap"],
    ["norm", "attention a { heads 2 head_dim 8 output { no|rm } }", "norm eps 0.00001"],
    [
      "gate",
      "attention a { heads 2 head_dim 8 output { ga|te channel } }",
      "| `output.gate.weight` | [8, 8] | zeros |",
    ],
    [
      "a label",
      "attention a { heads 2 head_dim 8 scores { mix 2 as lo|cal } }",
      "| `scores.local.weight` | [1, 2, 2] |",
    ],
    [
      "inherited values do not matter where the attention has errors",
      "attention a { scores { co|nv 2x3 } }",
      "Key-query convolution",
    ],
  ])("%s", (_, text, part) => {
    expect(hover(text)).toContain(part);
  });
});

describe("words and names", () => {
  test.each([
    ["a property", "attention a { he|ads 2 head_dim 8 }", "an integer from 1 to 1024"],
    ["its default", "attention a { heads 2 head_dim 8 kv_hea|ds 1 }", "Default: `heads`"],
    ["a mask term", "attention a { heads 2 head_dim 8 mask bi|as }", "−∞ hides a key"],
    [
      "the modifier of the same name",
      "attention a { heads 2 head_dim 8 scores { conv 2x3 bi|as } }",
      "Adds a learned number",
    ],
    ["lengths in a mask", "attention a { heads 2 head_dim 8 mask leng|ths }", "int32 input `lengths`"],
    ["lengths in a tune", "tune a { len|gths 128 }", "sequence lengths to tune for"],
    ["both of pad_key", "attention a { scores { conv 2x3 pad_key bo|th } }", "CK must be odd"],
    ["both of pad_query", "attention a { scores { conv 3x3 pad_query bo|th } }", "CQ must be odd"],
    ["the cursor behind a word", "attention a { dtype| f16 }", "How q, k, v and o are stored"],
    ["a declaration", "sta|ck s { layers 2 }", "which layer of a model"],
    ["a constant's value", "const a = 6\nconst b| = a * 2 + 0.5", "= 12.5"],
    ["a constant where it is used", "const a = 6\nattention x { heads (a| + 1) head_dim 4 }", "const a = 6"],
    ["a constant that needs one with an error", "const a = 1 / 0\nconst b| = a", "const b = a"],
    [
      "a stack",
      "attention a { heads 2 head_dim 4 }\nattention b { heads 2 head_dim 4 }\nstack s| { layers 6 use a at 0..1, 5 use b otherwise }",
      "| `a` | 3 | 0–1, 5 |",
    ],
    [
      "a knob",
      "attention a { heads 2 head_dim 4 }\ntune a { sweep sche|dule staged }",
      "`single_pass`, `staged`, `two_pass`",
    ],
  ])("%s", (_, text, part) => {
    expect(hover(text)).toContain(part);
  });

  test.each([
    ["a comment", "// he|ads\n"],
    ["a blank", "attention a { heads 2  |  head_dim 8 }"],
    ["an unknown name", "attention a extends nobo|dy { }"],
    ["a brace", "attention a |{ }"],
  ])("nothing on %s", (_, text) => {
    expect(hover(text)).toBe("");
  });
});

describe("planning ahead", () => {
  const text =
    "attention a { heads 2 head_dim 8 }\nattention bad { heads 0 head_dim 8 }\nattention b { heads 4 head_dim 8 }\n";

  /** The attentions planned when `pauses` pauses have passed and the document then changes. */
  async function planned(pauses: number): Promise<string[]> {
    const names: string[] = [];
    const of = (pipeline: Pipeline) => {
      names.push(pipeline.name);
      return [];
    };
    let left = pauses;
    await planAhead(document(text), { of }, async () => left-- > 0);
    return names;
  }

  test("takes every attention without errors, until the document changes", async () => {
    expect(await planned(10)).toEqual(["a", "b"]);
    expect(await planned(1)).toEqual(["a"]);
    expect(await planned(0)).toEqual([]);
  });

  test("what was planned is remembered by what it computes, and the oldest forgotten", () => {
    const attention = (source: string) => {
      const [first] = document(source).analysis.sound.attentions;
      if (first === undefined) throw new Error("errors");
      return resolve(first, "");
    };
    const remembering = new Predictions(6);
    const best = (source: string) => remembering.of(attention(source))[0]?.best;
    const first = best("attention a { heads 2 head_dim 8 scores { mix 2 } }");
    expect(best("// moved\nattention renamed { head_dim 8 heads 2 scores { mix 2 } }")).toBe(first);
    expect(best("attention a { heads 2 head_dim 16 scores { mix 2 } }")).not.toBe(first);
    best("attention a { heads 2 head_dim 24 scores { mix 2 } }");
    const again = best("attention a { heads 2 head_dim 8 scores { mix 2 } }");
    expect(again).not.toBe(first);
    expect(again?.knobs).toEqual(first?.knobs);
  });
});
