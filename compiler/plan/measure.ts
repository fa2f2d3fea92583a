import { type CallShape, evaluate, type Plan, type Variables } from "../../runtime/contract/index.ts";

/** The variables that a plan's expressions see at a shape, its definitions among them; the call gives no `positions`. */
export function planVariables(plan: Plan, shape: CallShape): Variables {
  const variables: Record<string, number> = { ...shape, H: plan.pipeline.heads, positions: 0 };
  for (const { name, value } of plan.definitions) variables[name] = evaluate(value, variables);
  return variables;
}

/** Bytes of a plan's workspace, where its variables have these values. */
export function workspaceBytes(plan: Plan, variables: Variables): number {
  return plan.workspace.reduce((sum, buffer) => sum + evaluate(buffer.bytes, variables), 0);
}
