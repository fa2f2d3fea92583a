import type { OutputStage, ScoreStage, WeightStage } from "../contract/index.ts";
import { type Call, type Entry, parameterData } from "./call.ts";
import { conv, convAdjoint } from "./conv.ts";
import { dropout } from "./dropout.ts";
import { mix, mixAdjoint } from "./mix.ts";
import { gate, gateAdjoint, norm, normAdjoint } from "./output.ts";
import { pointwise, pointwiseAdjoint } from "./pointwise.ts";

/** The accumulators of parameter gradients, by name: every parameter of the pipeline has one. */
export type ParameterGradients = ReadonlyMap<string, Float64Array>;

function gradientOf(gradients: ParameterGradients, name: string): Float64Array {
  return gradients.get(name) ?? new Float64Array();
}

/** One stage of `scores` or `weights`, from a map [H, R + Lq, Lk] to another, which is 0 wherever it is not visible. */
export function applyMapStage(
  entry: Entry,
  stage: ScoreStage | WeightStage,
  source: Float64Array,
  target: Float64Array,
): void {
  const { call, sight } = entry;
  switch (stage.kind) {
    case "conv": {
      const bias = stage.bias === null ? null : parameterData(call, stage.bias);
      conv(stage, parameterData(call, stage.weight), bias, source, target, sight);
      break;
    }
    case "mix":
      mix(stage, parameterData(call, stage.weight), source, target, sight);
      break;
    case "dropout":
      dropout(stage, entry, source, target);
      break;
    default:
      pointwise(stage, source, target);
      break;
  }
}

export function mapStageAdjoint(
  entry: Entry,
  stage: ScoreStage | WeightStage,
  source: Float64Array,
  dTarget: Float64Array,
  dSource: Float64Array,
  gradients: ParameterGradients,
): void {
  const { call, sight } = entry;
  switch (stage.kind) {
    case "conv": {
      const weight = parameterData(call, stage.weight);
      const dBias = stage.bias === null ? null : gradientOf(gradients, stage.bias);
      const dWeight = gradientOf(gradients, stage.weight);
      convAdjoint(stage, weight, source, dTarget, dSource, sight, dWeight, dBias);
      break;
    }
    case "mix": {
      const weight = parameterData(call, stage.weight);
      const dWeight = gradientOf(gradients, stage.weight);
      mixAdjoint(stage, weight, source, dTarget, dSource, sight, dWeight);
      break;
    }
    case "dropout":
      dropout(stage, entry, dTarget, dSource);
      break;
    default:
      pointwiseAdjoint(stage, source, dTarget, dSource);
      break;
  }
}

/** One stage of `output`, on o [H, Lq, Dv]. */
export function applyOutputStage(call: Call, stage: OutputStage, o: Float64Array): Float64Array {
  switch (stage.kind) {
    case "norm":
      return norm(stage, parameterData(call, stage.weight), stage.depthScale ? call.depthFactor : 1, o);
    case "gate":
      return gate(stage, parameterData(call, stage.weight), parameterData(call, stage.bias), o);
  }
}

export function outputStageAdjoint(
  call: Call,
  stage: OutputStage,
  o: Float64Array,
  dResult: Float64Array,
  gradients: ParameterGradients,
): Float64Array {
  const weight = parameterData(call, stage.weight);
  const dWeight = gradientOf(gradients, stage.weight);
  switch (stage.kind) {
    case "norm":
      return normAdjoint(stage, weight, stage.depthScale ? call.depthFactor : 1, o, dResult, dWeight);
    case "gate": {
      const bias = parameterData(call, stage.bias);
      return gateAdjoint(stage, weight, bias, o, dResult, dWeight, gradientOf(gradients, stage.bias));
    }
  }
}
