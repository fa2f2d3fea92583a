import type { KernelPlan, Plan } from "../../runtime/contract/index.ts";
import { tensorKernelText } from "./cuda/tensor-kernels.ts";
import type { Dialect } from "./dialect/dialect.ts";
import { dialectOf } from "./dialect/index.ts";
import { fusedModel } from "./model/fused.ts";
import { planSource } from "./model/source.ts";
import {
  convKernelModel,
  mixKernelModel,
  normalizeModel,
  productModel,
  scoresModel,
} from "./model/staged.ts";
import { render } from "./templates.ts";

/** The text of a plan's kernels, by file name. */
export function emitKernels(plan: Plan): Readonly<Record<string, string>> {
  const dialect = dialectOf(plan.target);
  const kernels = plan.kernels.map((kernel) => ({
    file: kernel.file,
    text: dialect.prune(kernelText(plan, kernel, dialect)),
  }));
  const { sharing } = dialect;
  if (sharing === null) return Object.fromEntries(kernels.map(({ file, text }) => [file, text]));
  const [first] = kernels;
  if (first === undefined) throw new RangeError("the plan has no kernels");
  const texts = kernels.map(({ text }) => text.trimEnd());
  const model = planSource(plan, dialect);
  const shared = dialect.prune(render(`${sharing}/preamble.hbs`, model), texts.join("\n")).trimEnd();
  const { namespace } = model;
  return { [first.file]: render(`${sharing}/source.hbs`, { shared, kernels: texts, namespace }) };
}

function kernelText(plan: Plan, kernel: KernelPlan, dialect: Dialect): string {
  const { program } = kernel;
  if (program === undefined)
    throw new RangeError(`the plan of "${kernel.name}" has no program: shipped artifacts leave it out`);
  const { language } = dialect;
  switch (program.kind) {
    case "fused":
      return render(`${language}/kernels/fused.hbs`, fusedModel(plan, kernel, program, dialect));
    case "scores":
      return render(`${language}/kernels/scores.hbs`, scoresModel(plan, kernel, program, dialect));
    case "conv":
      return render(`${language}/kernels/conv.hbs`, convKernelModel(plan, kernel, program, dialect));
    case "mix":
      return render(`${language}/kernels/mix.hbs`, mixKernelModel(plan, kernel, program, dialect));
    case "normalize":
      return render(`${language}/kernels/normalize.hbs`, normalizeModel(plan, kernel, program, dialect));
    case "product":
      return render(`${language}/kernels/product.hbs`, productModel(plan, kernel, program, dialect));
    default:
      return tensorKernelText(plan, kernel, program);
  }
}
