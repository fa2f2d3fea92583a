import type { Artifact, KernelPlan, Plan } from "../../runtime/contract/index.ts";
import { tensorKernelText } from "./cuda/tensor-kernels.ts";
import type { Dialect } from "./dialect/dialect.ts";
import { dialectOf } from "./dialect/index.ts";
import { combineModel, fusedModel } from "./model/fused.ts";
import {
  biasGradientModel,
  clearModel,
  convGradientModel,
  keyProductModel,
  mixGradientModel,
  normalizeAdjointModel,
  outputAdjointModel,
  pointwiseKernelModel,
  rowProductModel,
  sumModel,
} from "./model/gradients.ts";
import { planSource } from "./model/source.ts";
import {
  convKernelModel,
  dropoutModel,
  mixKernelModel,
  normalizeModel,
  productModel,
  scoresModel,
} from "./model/staged.ts";
import { render } from "./templates.ts";
import { finishText, markStage } from "./text/index.ts";

/** Kernels' texts, and the stages in them, by file name. */
export type Emission = Required<Pick<Artifact, "sources" | "traces">>;

/** The text of a plan's kernels, by file name. */
export function emitKernels(plan: Plan): Readonly<Record<string, string>> {
  return emitPlans([plan]).sources;
}

/** The kernels of plans whose files differ. */
export function emitPlans(plans: readonly Plan[]): Emission {
  const files = plans.flatMap((plan) =>
    rendered(plan).map(([file, text]) => [file, finishText(text)] as const),
  );
  return {
    sources: Object.fromEntries(files.map(([file, { text }]) => [file, text])),
    traces: Object.fromEntries(files.map(([file, { stages }]) => [file, stages])),
  };
}

/** A plan's files, as templates yield them. */
function rendered(plan: Plan): readonly (readonly [file: string, text: string])[] {
  const dialect = dialectOf(plan.target);
  if (dialect === null) return [];
  const kernels = plan.kernels.map((kernel) => [kernel, kernelText(plan, kernel, dialect)] as const);
  const { sharing } = dialect;
  if (sharing === null) return kernels.map(([{ file }, text]) => [file, text]);
  const [first] = kernels;
  if (first === undefined) throw new RangeError("the plan has no kernels");
  const model = planSource(plan, dialect);
  const shared = render(`${sharing}/preamble.hbs`, model);
  const texts = kernels.map(([{ source }, text]) => markStage(source?.line ?? null, text));
  const source = render(`${sharing}/source.hbs`, { shared, kernels: texts, namespace: model.namespace });
  return [[first[0].file, source]];
}

function kernelText(plan: Plan, kernel: KernelPlan, dialect: Dialect): string {
  const { program } = kernel;
  if (program === undefined)
    throw new RangeError(`the plan of "${kernel.name}" has no program: shipped artifacts leave it out`);
  const { language } = dialect;
  switch (program.kind) {
    case "fused":
      return render(`${language}/kernels/fused.hbs`, fusedModel(plan, kernel, program, dialect));
    case "combine":
      return render("wgsl/kernels/combine.hbs", combineModel(plan, kernel, program, dialect));
    case "scores":
      return render(`${language}/kernels/scores.hbs`, scoresModel(plan, kernel, program, dialect));
    case "conv":
      return render(`${language}/kernels/conv.hbs`, convKernelModel(plan, kernel, program, dialect));
    case "mix":
      return render(`${language}/kernels/mix.hbs`, mixKernelModel(plan, kernel, program, dialect));
    case "normalize":
      return render(`${language}/kernels/normalize.hbs`, normalizeModel(plan, kernel, program, dialect));
    case "dropout":
      return render(`${language}/kernels/dropout.hbs`, dropoutModel(plan, kernel, program, dialect));
    case "product":
      return render(`${language}/kernels/product.hbs`, productModel(plan, kernel, program, dialect));
    case "pointwise":
      return render(
        `${language}/kernels/pointwise.hbs`,
        pointwiseKernelModel(plan, kernel, program, dialect),
      );
    case "normalize_adjoint":
      return render(
        `${language}/kernels/normalize_adjoint.hbs`,
        normalizeAdjointModel(plan, kernel, program, dialect),
      );
    case "row_product":
      return render(`${language}/kernels/row_product.hbs`, rowProductModel(plan, kernel, program, dialect));
    case "key_product":
      return render(`${language}/kernels/key_product.hbs`, keyProductModel(plan, kernel, program, dialect));
    case "conv_gradient":
      return render(
        `${language}/kernels/conv_gradient.hbs`,
        convGradientModel(plan, kernel, program, dialect),
      );
    case "mix_gradient":
      return render(`${language}/kernels/mix_gradient.hbs`, mixGradientModel(plan, kernel, program, dialect));
    case "bias_gradient":
      return render(
        `${language}/kernels/bias_gradient.hbs`,
        biasGradientModel(plan, kernel, program, dialect),
      );
    case "output_adjoint":
      return render(
        `${language}/kernels/output_adjoint.hbs`,
        outputAdjointModel(plan, kernel, program, dialect),
      );
    case "sum":
      return render(`${language}/kernels/sum.hbs`, sumModel(plan, kernel, program, dialect));
    case "clear":
      return render(`${language}/kernels/clear.hbs`, clearModel(plan, kernel, dialect));
    case "library":
      throw new RangeError(`"${kernel.name}" is a library's: nothing is written for it`);
    default:
      return tensorKernelText(plan, kernel, program);
  }
}
