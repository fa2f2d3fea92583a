import { writeSafetensors } from "../../../runtime/safetensors/index.ts";
import { readState } from "../../execution/tensor-file.ts";
import { checkWritable, writeAtomically } from "../../files/atomic-write.ts";
import { refuseOverlap } from "../../files/overlap.ts";
import { resolve } from "../../ir/index.ts";
import type { CheckedSpec } from "../../language/attention.ts";
import { plural } from "../../report/units.ts";
import { type Output, openOutput } from "../../terminal/output.ts";
import { inLine, table } from "../../terminal/style.ts";
import {
  type AttentionSlot,
  type Conversion,
  convertState,
  LAYOUTS,
  type Layout,
  reorderedSections,
} from "../../weights/index.ts";
import { chooseAttention, chooseStack } from "../specs/attention-choice.ts";
import { readSpec } from "../specs/spec-file.ts";
import type { WeightsFlags } from "./command.ts";

/** `mtac weights`: everything is checked before anything is written. */
export async function run(file: string, stateFile: string, flags: WeightsFlags): Promise<void> {
  const output = openOutput(flags);
  refuseOverlap(
    [{ name: "`--output`", path: flags.output }],
    [
      { name: "the state dict", path: stateFile },
      { name: "the spec", path: file },
    ],
  );
  const spec = await readSpec(file, output);
  const { slots, stack } = slotsOf(spec, flags);
  const layout = flags.layout === undefined ? null : LAYOUTS[flags.layout];
  const conversion = convertState(readState(stateFile), {
    slots,
    stack,
    layout,
    renamings: flags.map ?? [],
    prefix: flags.prefix ?? null,
  });
  checkWritable(flags.output);
  writeAtomically(flags.output, writeSafetensors(conversion.tensors));
  const warnings = warningsOf(conversion, slots, layout);
  for (const warning of warnings) output.notice({ severity: "warning", message: warning });
  output.text(formatConversion(conversion, stateFile, output));
  output.text(`wrote ${plural(conversion.tensors.size, "parameter")} to ${inLine(flags.output)}`);
  const { prefix, mapped, left } = conversion;
  output.result({ output: flags.output, prefix, mapped, left, warnings });
}

/** Every layer of the stack that `--name` names, where no layer is chosen; else one attention. */
function slotsOf(
  spec: CheckedSpec,
  flags: WeightsFlags,
): { readonly slots: readonly AttentionSlot[]; readonly stack: boolean } {
  const stack = flags.layer === undefined ? chooseStack(spec, flags.name) : null;
  if (stack === null) {
    const { attention, layer } = chooseAttention(spec, flags);
    const pipeline = resolve(attention, spec.file);
    return { slots: [{ pipeline, layer: layer ?? null, target: "" }], stack: false };
  }
  const pipelines = new Map(spec.attentions.map((each) => [each.name, each]));
  const slots = stack.attentions.flatMap((name, layer): readonly AttentionSlot[] => {
    const attention = pipelines.get(name);
    if (attention === undefined) return [];
    return [{ pipeline: resolve(attention, spec.file), layer, target: `layers.${layer}.` }];
  });
  return { slots, stack: true };
}

function warningsOf(
  { left, mapped, tensors }: Conversion,
  slots: readonly AttentionSlot[],
  layout: Layout | null,
): readonly string[] {
  const unused = left.flatMap(({ name, reason }) =>
    reason === null ? [] : [`${inLine(name)} is left: ${reason}`],
  );
  const pipelines = new Map(slots.map(({ pipeline }) => [pipeline.name, pipeline]));
  const reordered = [...pipelines.values()].flatMap((pipeline) =>
    layout === null
      ? []
      : reorderedSections(pipeline, layout).map(
          (section) =>
            `\`${pipeline.name}\` applies the stages of ${section} in another order than ${layout.title}`,
        ),
  );
  const broken = mapped.filter(({ parameter }) => {
    const data = tensors.get(parameter)?.data;
    return data instanceof Float32Array && !data.every(Number.isFinite);
  });
  return [
    ...unused,
    ...reordered,
    ...broken.map(({ from }) => `${inLine(from)} holds NaN or infinite values`),
  ];
}

/** As many left tensors as are named. */
const SHOWN = 8;

function formatConversion({ mapped, left }: Conversion, stateFile: string, { style }: Output): string {
  const head = ["parameter", "shape", "from"].map(style.dim);
  const rows = mapped.map(({ parameter, shape, from, transposed, dtype }) => [
    parameter,
    `[${shape.join(", ")}]`,
    `${inLine(from)}${dtype === "F32" ? "" : ` (${dtype})`}${transposed ? ", transposed" : ""}`,
  ]);
  const text = table([head, ...rows]);
  if (left.length === 0) return text;
  const names = left.slice(0, SHOWN).map(({ name }) => inLine(name));
  const more = left.length > SHOWN ? `, and ${left.length - SHOWN} more` : "";
  return `${text}\nleft ${plural(left.length, "tensor")} of ${inLine(stateFile)}: ${names.join(", ")}${more}`;
}
