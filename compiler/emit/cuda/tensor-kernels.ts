import type {
  KernelPlan,
  Plan,
  TensorGradientProgram,
  TensorProgram,
} from "../../../runtime/contract/index.ts";
import { render } from "../templates.ts";
import {
  tensorConvGradientModel,
  tensorConvModel,
  tensorKeyProductModel,
  tensorLargestModel,
  tensorMapMixModel,
  tensorMixGradientModel,
  tensorPairsModel,
  tensorRowProductModel,
} from "./tensor/gradients.ts";
import {
  tensorCombineModel,
  tensorFoldModel,
  tensorMixModel,
  tensorProductModel,
  tensorStatisticsModel,
} from "./tensor/maps.ts";
import { tensorTileModel } from "./tensor/tile.ts";

/** The text of one kernel on tensor cores, in a namespace of its own inside the plan's. */
export function tensorKernelText(
  plan: Plan,
  kernel: KernelPlan,
  program: TensorProgram | TensorGradientProgram,
): string {
  switch (program.kind) {
    case "tensor_tile":
      return render("cuda/tensor/tile.cu.hbs", tensorTileModel(plan, kernel, program));
    case "tensor_fold":
      return render("cuda/tensor/fold.cu.hbs", tensorFoldModel(plan, kernel, program));
    case "tensor_mix":
      return render("cuda/tensor/mix.cu.hbs", tensorMixModel(plan, kernel, program));
    case "tensor_combine":
      return render("cuda/tensor/combine.cu.hbs", tensorCombineModel(plan, kernel, program));
    case "tensor_statistics":
      return render("cuda/tensor/statistics.cu.hbs", tensorStatisticsModel(plan, kernel, program));
    case "tensor_pairs":
      return render("cuda/tensor/pairs.cu.hbs", tensorPairsModel(plan, kernel, program));
    case "tensor_row_product":
      return render("cuda/tensor/row_product.cu.hbs", tensorRowProductModel(plan, kernel, program));
    case "tensor_key_product":
      return render("cuda/tensor/key_product.cu.hbs", tensorKeyProductModel(plan, kernel, program));
    case "tensor_conv":
      return render("cuda/tensor/gradient_conv.cu.hbs", tensorConvModel(plan, kernel, program));
    case "tensor_conv_gradient":
      return render("cuda/tensor/conv_gradient.cu.hbs", tensorConvGradientModel(plan, kernel, program));
    case "tensor_map_mix":
      return render("cuda/tensor/gradient_mix.cu.hbs", tensorMapMixModel(plan, kernel, program));
    case "tensor_mix_gradient":
      return render("cuda/tensor/mix_gradient.cu.hbs", tensorMixGradientModel(plan, kernel, program));
    case "tensor_largest":
      return render("cuda/tensor/largest.cu.hbs", tensorLargestModel(plan, kernel, program));
    case "tensor_product":
      return render("cuda/tensor/product.cu.hbs", tensorProductModel(plan, kernel, program));
  }
}
