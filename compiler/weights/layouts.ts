/** Where a tensor of another framework's attention belongs. */
export interface LayoutRule {
  /** The tensor's name, without what stands before it in a whole model. */
  readonly from: string;
  readonly section: "scores" | "weights" | "output";
  /** The section's first stage of this kind has the parameter. */
  readonly stage: "conv" | "mix" | "norm" | "gate";
  readonly parameter: "weight" | "bias";
  /** Its last two axes change places. */
  readonly transpose: boolean;
}

/** How a framework names and stores the parameters of an attention; rules stand in the order in which it applies the stages. */
export interface Layout {
  readonly name: LayoutName;
  readonly title: string;
  readonly rules: readonly LayoutRule[];
}

export const LAYOUT_NAMES = ["ram"] as const;
export type LayoutName = (typeof LAYOUT_NAMES)[number];

/**
 * The authors' implementation of "Multi-Token Attention" (arXiv 2504.00927). `wpsm` and `wposm` are `nn.Linear`, stored [out, in] as `mix`
 * is; `head_kernel` is multiplied from the right, and so is stored [group, in, out].
 */
const RAM: Layout = {
  name: "ram",
  title: "the authors' MTA",
  rules: [
    rule("mta_kernel", "scores", "conv", "weight"),
    rule("wpsm.weight", "scores", "mix", "weight"),
    rule("mta_kernel_after_sm", "weights", "conv", "weight"),
    rule("wposm.weight", "weights", "mix", "weight"),
    { ...rule("head_kernel", "weights", "mix", "weight"), transpose: true },
    rule("subln.weight", "output", "norm", "weight"),
    rule("gate.weight", "output", "gate", "weight"),
    rule("gate.bias", "output", "gate", "bias"),
  ],
};

export const LAYOUTS: Readonly<Record<LayoutName, Layout>> = { ram: RAM };

/** The layout that knows a tensor of this name, whatever stands before it in a whole model: null where none does. */
export function layoutOf(tensor: string): Layout | null {
  const known = ({ rules }: Layout): boolean =>
    rules.some(({ from }) => tensor === from || tensor.endsWith(`.${from}`));
  return LAYOUT_NAMES.map((name) => LAYOUTS[name]).find(known) ?? null;
}

function rule(
  from: string,
  section: LayoutRule["section"],
  stage: LayoutRule["stage"],
  parameter: LayoutRule["parameter"],
): LayoutRule {
  return { from, section, stage, parameter, transpose: false };
}
