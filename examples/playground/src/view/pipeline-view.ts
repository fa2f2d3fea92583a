import {
  describeInitializer,
  describeMask,
  describeSizes,
  describeStage,
  formatLayers,
} from "../../../../compiler/report/describe.ts";
import type { LayerUse } from "../../../../compiler/report/explain.ts";
import { formatBytes, formatCount, plural } from "../../../../compiler/report/units.ts";
import {
  elementCount,
  type OutputStage,
  type Parameter,
  type Pipeline,
  type ScoreStage,
  type SourceLine,
  type WeightStage,
} from "../../../../runtime/contract/index.ts";
import { fill, h } from "../dom.ts";
import type { CompileReply } from "../worker/protocol.ts";
import { bar, type Follow, section, specLink, table, tile } from "./parts.ts";

export interface View {
  readonly element: HTMLElement;
  show(reply: CompileReply): void;
}

/** What the attention computes: its stages with shapes and work, and its parameters. */
export function createPipelineView(follow: Follow): View {
  const element = h("div", { class: "view" });
  return {
    element,
    show: ({ pipeline, webgpu }) => {
      const { shape, visiblePairs, operations, compulsoryBytes, stacks } = webgpu;
      const pairs = shape.B * pipeline.heads * shape.Lq * shape.Lk;
      fill(
        element,
        h(
          "header",
          { class: "view-head" },
          h("h1", {}, pipeline.name),
          h("p", { class: "sizes" }, describeSizes(pipeline).join(" · ")),
          ...stacks.map(describeUse),
        ),
        section(
          "Work",
          `at length ${shape.Lq}, batch ${shape.B}`,
          h(
            "div",
            { class: "tiles" },
            tile("visible pairs", formatCount(visiblePairs), `${percent(visiblePairs / pairs)} of all`),
            tile("operations", formatCount(operations), "at least, forward"),
            tile("bytes to move", formatBytes(compulsoryBytes), "q, k, v, o, parameters"),
            tile("one full map", formatBytes(pairs * 4), "never stored whole"),
          ),
        ),
        section(
          "Pipeline",
          "multiply-adds for each visible pair of row and key",
          drawPipeline(pipeline, follow),
        ),
        section(
          "Parameters",
          plural(
            pipeline.parameters.reduce((sum, { shape: own }) => sum + elementCount(own), 0),
            "value",
          ),
          pipeline.parameters.length === 0
            ? h("p", { class: "muted" }, "None: it is plain attention.")
            : parameterTable(pipeline.parameters),
        ),
      );
    },
  };
}

function describeUse({ stack, of, layers }: LayerUse): HTMLElement {
  return h(
    "p",
    { class: "muted" },
    `${plural(layers.length, "layer")} of the ${of} in ${stack}: ${formatLayers(layers)}`,
  );
}

function percent(share: number): string {
  return `${Number((100 * share).toPrecision(3))} %`;
}

interface Step {
  readonly name: string;
  readonly remark: string;
  readonly kind: "product" | "normalize" | "stage";
  readonly shape: string;
  /** Multiply-adds for each visible pair. */
  readonly work: number;
  readonly source: SourceLine | null;
}

function stepsOf(pipeline: Pipeline): readonly Step[] {
  const { heads, headDim, valueDim, scale, normalize, mask } = pipeline;
  const map = `[B, ${heads}, Lq, Lk]`;
  const output = `[B, ${heads}, Lq, ${valueDim}]`;
  const stage = (each: ScoreStage | WeightStage | OutputStage, shape: string): Step => ({
    name: each.name,
    remark: describeStage(each),
    kind: "stage",
    shape,
    work: workOf(each),
    source: each.source,
  });
  const whole = pipeline.source;
  return [
    {
      name: "S = scale · q·kᵀ",
      remark: `scale ${Number(scale.toPrecision(6))}`,
      kind: "product",
      shape: map,
      work: headDim,
      source: whole,
    },
    ...pipeline.scores.map((each) => stage(each, map)),
    {
      name: `A = ${normalize}(S)`,
      remark: `each row over its visible keys: ${describeMask(mask)}`,
      kind: "normalize",
      shape: map,
      work: 0,
      source: whole,
    },
    ...pipeline.weights.map((each) => stage(each, map)),
    { name: "o = A·v", remark: "", kind: "product", shape: output, work: valueDim, source: whole },
    ...pipeline.output.map((each) => stage(each, output)),
  ];
}

function workOf(stage: ScoreStage | WeightStage | OutputStage): number {
  switch (stage.kind) {
    case "conv":
      return stage.kernel.query * stage.kernel.key * stage.across;
    case "mix":
      return stage.group;
    default:
      return 0;
  }
}

function drawPipeline(pipeline: Pipeline, follow: Follow): HTMLElement {
  const steps = stepsOf(pipeline);
  const most = Math.max(...steps.map(({ work }) => work));
  return h(
    "ol",
    { class: "pipeline" },
    ...steps.map(({ name, remark, kind, shape, work, source }) =>
      h(
        "li",
        { class: `step step-${kind}` },
        h(
          "div",
          { class: "step-text" },
          h("span", { class: "step-name" }, name),
          remark === "" ? null : h("span", { class: "step-remark" }, remark),
        ),
        h(
          "div",
          { class: "step-side" },
          h("code", { class: "shape" }, shape),
          h(
            "span",
            { class: "work" },
            work === 0 ? h("span", { class: "bar" }) : bar(work / most),
            h("span", { class: "work-number" }, work === 0 ? "–" : String(work)),
          ),
          specLink(source, follow),
        ),
      ),
    ),
  );
}

function parameterTable(parameters: readonly Parameter[]): HTMLElement {
  return table(
    "parameters",
    ["parameter (f32)", "shape", "values", "bytes", "init"],
    parameters.map(({ name, shape, init }) => [
      h("code", {}, name),
      h("code", { class: "shape" }, `[${shape.join(", ")}]`),
      formatCount(elementCount(shape)),
      formatBytes(4 * elementCount(shape)),
      describeInitializer(init),
    ]),
    [2, 3],
  );
}
