import type { Initializer, Parameter, Pipeline } from "../../../runtime/contract/index.ts";

/** What an emitted interface says of a parameter: its shape, what its axes stand for, how it begins. */
export function describeParameter({ name, shape, init }: Parameter, pipeline: Pipeline): string {
  const axes = axesOf(name, pipeline);
  const sizes = `[${shape.join(", ")}]`;
  return `${sizes}${axes === null ? "" : ` = [${axes}]`}; initially ${describeInitializer(init)}.`;
}

/** What the axes of a parameter stand for. */
function axesOf(name: string, { scores, weights, output }: Pipeline): string | null {
  for (const stage of [...scores, ...weights, ...output])
    switch (stage.kind) {
      case "conv":
        if (stage.weight === name)
          return `${stage.shared ? "head of a group" : "head"}, head read, query row, key`;
        if (stage.bias === name) return stage.shared ? "head of a group" : "head";
        break;
      case "mix":
        if (stage.weight === name) return "group, head written, head read";
        break;
      case "norm":
        if (stage.weight === name) return "channel";
        break;
      case "gate":
        if (stage.weight === name) return "gate, channel";
        if (stage.bias === name) return "gate";
        break;
    }
  return null;
}

function describeInitializer(init: Initializer): string {
  switch (init.kind) {
    case "identity":
      return "the identity";
    case "zeros":
      return "0";
    case "ones":
      return "1";
    case "normal":
      return `normal with standard deviation ${init.std}`;
  }
}
