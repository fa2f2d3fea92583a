import type { fusedModel as directFusedModel } from "./cuda/direct/fused.ts";
import type {
  convKernelModel as directConvModel,
  mixKernelModel as directMixModel,
  normalizeModel as directNormalizeModel,
  productModel as directProductModel,
  scoresModel as directScoresModel,
} from "./cuda/direct/staged.ts";
import type { headerModel, hostModel } from "./cuda/host/model.ts";
import type { sharedModel } from "./cuda/shared-model.ts";
import type {
  tensorCombineModel,
  tensorFoldModel,
  tensorMixModel,
  tensorProductModel,
  tensorStatisticsModel,
} from "./cuda/tensor-map-model.ts";
import type { tensorTileModel } from "./cuda/tensor-model.ts";
import type { fusedModel } from "./fused-model.ts";
import type {
  convKernelModel,
  mixKernelModel,
  normalizeModel,
  productModel,
  scoresModel,
} from "./staged-model.ts";
import { openTemplates, type Template, type TemplateLibrary } from "./template-library.ts";

/** What each template is filled with, by its path in the package's folder `templates`. */
export interface Templates {
  "wgsl/fused.wgsl.hbs": ReturnType<typeof fusedModel>;
  "wgsl/scores.wgsl.hbs": ReturnType<typeof scoresModel>;
  "wgsl/conv.wgsl.hbs": ReturnType<typeof convKernelModel>;
  "wgsl/mix.wgsl.hbs": ReturnType<typeof mixKernelModel>;
  "wgsl/normalize.wgsl.hbs": ReturnType<typeof normalizeModel>;
  "wgsl/product.wgsl.hbs": ReturnType<typeof productModel>;
  "cuda/direct/fused.cu.hbs": ReturnType<typeof directFusedModel>;
  "cuda/direct/scores.cu.hbs": ReturnType<typeof directScoresModel>;
  "cuda/direct/conv.cu.hbs": ReturnType<typeof directConvModel>;
  "cuda/direct/mix.cu.hbs": ReturnType<typeof directMixModel>;
  "cuda/direct/normalize.cu.hbs": ReturnType<typeof directNormalizeModel>;
  "cuda/direct/product.cu.hbs": ReturnType<typeof directProductModel>;
  "cuda/tensor/tile.cu.hbs": ReturnType<typeof tensorTileModel>;
  "cuda/tensor/fold.cu.hbs": ReturnType<typeof tensorFoldModel>;
  "cuda/tensor/mix.cu.hbs": ReturnType<typeof tensorMixModel>;
  "cuda/tensor/combine.cu.hbs": ReturnType<typeof tensorCombineModel>;
  "cuda/tensor/statistics.cu.hbs": ReturnType<typeof tensorStatisticsModel>;
  "cuda/tensor/product.cu.hbs": ReturnType<typeof tensorProductModel>;
  "cuda/preamble.cu.hbs": ReturnType<typeof sharedModel>;
  "cuda/source.cu.hbs": {
    readonly shared: string;
    readonly kernels: readonly string[];
    readonly namespace: string;
  };
  "cuda/host.cu.hbs": ReturnType<typeof hostModel>;
  "cuda/header.h.hbs": ReturnType<typeof headerModel> & { readonly header: readonly string[] };
  "cuda/library.cmake.hbs": {
    readonly header: readonly string[];
    readonly name: string;
    readonly files: readonly string[];
    readonly architectures: string;
  };
}

/** Templates are compiled once a process, each when it is first used. */
const compiled = new Map<string, Template>();
const libraries = new Map<string, TemplateLibrary>();

/** Fills a template in. `test/emit/templates.test.ts` holds that templates and models name the same fields. */
export function render<Name extends keyof Templates>(name: Name, model: Templates[Name]): string {
  let template = compiled.get(name);
  if (template === undefined) {
    template = openTemplate(name);
    compiled.set(name, template);
  }
  return template(model);
}

function openTemplate(name: string): Template {
  const folder = name.indexOf("/");
  const language = name.slice(0, folder);
  let library = libraries.get(language);
  if (library === undefined) {
    library = openTemplates(language);
    libraries.set(language, library);
  }
  return library.template(name.slice(folder + 1));
}
