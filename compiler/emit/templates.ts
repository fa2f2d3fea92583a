import type { launchModel } from "./c/model.ts";
import type { headerModel } from "./capi/header.ts";
import type { hostModel } from "./cuda/host/model.ts";
import type {
  tensorConvGradientModel,
  tensorConvModel,
  tensorKeyProductModel,
  tensorLargestModel,
  tensorMapMixModel,
  tensorMixGradientModel,
  tensorPairsModel,
  tensorRowProductModel,
} from "./cuda/tensor/gradients.ts";
import type {
  tensorCombineModel,
  tensorFoldModel,
  tensorMixModel,
  tensorProductModel,
  tensorStatisticsModel,
} from "./cuda/tensor/maps.ts";
import type { tensorTileModel } from "./cuda/tensor/tile.ts";
import type { combineModel, fusedModel } from "./model/fused.ts";
import type {
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
import type { planSource } from "./model/source.ts";
import type {
  convKernelModel,
  dropoutModel,
  mixKernelModel,
  normalizeModel,
  productModel,
  scoresModel,
} from "./model/staged.ts";
import { rendererOf } from "./renderer.ts";
import { type Language, openTemplates, type SharingLanguage } from "./template-library.ts";

/** What the templates of scalar kernels are filled with: one model each, whatever the language. */
interface ScalarKernels {
  readonly fused: ReturnType<typeof fusedModel>;
  readonly scores: ReturnType<typeof scoresModel>;
  readonly conv: ReturnType<typeof convKernelModel>;
  readonly mix: ReturnType<typeof mixKernelModel>;
  readonly dropout: ReturnType<typeof dropoutModel>;
  readonly normalize: ReturnType<typeof normalizeModel>;
  readonly product: ReturnType<typeof productModel>;
  readonly pointwise: ReturnType<typeof pointwiseKernelModel>;
  readonly normalize_adjoint: ReturnType<typeof normalizeAdjointModel>;
  readonly row_product: ReturnType<typeof rowProductModel>;
  readonly key_product: ReturnType<typeof keyProductModel>;
  readonly conv_gradient: ReturnType<typeof convGradientModel>;
  readonly mix_gradient: ReturnType<typeof mixGradientModel>;
  readonly bias_gradient: ReturnType<typeof biasGradientModel>;
  readonly output_adjoint: ReturnType<typeof outputAdjointModel>;
  readonly sum: ReturnType<typeof sumModel>;
  readonly clear: ReturnType<typeof clearModel>;
}

type ScalarTemplates = {
  readonly [Kind in keyof ScalarKernels as `${Language}/kernels/${Kind}.hbs`]: ScalarKernels[Kind];
};

type SharedTemplates = {
  readonly [Path in `${SharingLanguage}/preamble.hbs`]: ReturnType<typeof planSource>;
} & {
  readonly [Path in `${SharingLanguage}/source.hbs`]: {
    readonly shared: string;
    readonly kernels: readonly string[];
    readonly namespace: string;
  };
};

/** What each template is filled with, by its path in the package's folder `templates`. */
export interface Templates extends ScalarTemplates, SharedTemplates {
  "wgsl/kernels/combine.hbs": ReturnType<typeof combineModel>;
  "cuda/tensor/tile.cu.hbs": ReturnType<typeof tensorTileModel>;
  "cuda/tensor/fold.cu.hbs": ReturnType<typeof tensorFoldModel>;
  "cuda/tensor/mix.cu.hbs": ReturnType<typeof tensorMixModel>;
  "cuda/tensor/combine.cu.hbs": ReturnType<typeof tensorCombineModel>;
  "cuda/tensor/statistics.cu.hbs": ReturnType<typeof tensorStatisticsModel>;
  "cuda/tensor/product.cu.hbs": ReturnType<typeof tensorProductModel>;
  "cuda/tensor/pairs.cu.hbs": ReturnType<typeof tensorPairsModel>;
  "cuda/tensor/row_product.cu.hbs": ReturnType<typeof tensorRowProductModel>;
  "cuda/tensor/key_product.cu.hbs": ReturnType<typeof tensorKeyProductModel>;
  "cuda/tensor/gradient_conv.cu.hbs": ReturnType<typeof tensorConvModel>;
  "cuda/tensor/conv_gradient.cu.hbs": ReturnType<typeof tensorConvGradientModel>;
  "cuda/tensor/gradient_mix.cu.hbs": ReturnType<typeof tensorMapMixModel>;
  "cuda/tensor/mix_gradient.cu.hbs": ReturnType<typeof tensorMixGradientModel>;
  "cuda/tensor/largest.cu.hbs": ReturnType<typeof tensorLargestModel>;
  "capi/launch.cu.hbs": ReturnType<typeof hostModel>;
  "capi/conv-taps.h.hbs": { readonly taps: readonly number[] };
  "capi/launch.c.hbs": ReturnType<typeof launchModel>;
  "capi/backward.c.hbs": ReturnType<typeof launchModel>;
  "capi/header.h.hbs": ReturnType<typeof headerModel> & { readonly header: readonly string[] };
  "capi/library.cmake.hbs": {
    readonly header: readonly string[];
    readonly name: string;
    readonly cuda: boolean;
    readonly files: readonly string[];
    readonly architectures: string;
  };
}

/** Fills a template in. `test/emit/templates.test.ts` holds that templates and models name the same fields. */
export const render = rendererOf<Templates>(openTemplates);
