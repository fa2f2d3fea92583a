/** The compiler built an impossible pipeline: a defect of mtac, never of a spec. `rule` names the broken rule of the IR. */
export class IrError extends Error {
  override readonly name = "IrError";
  readonly rule: string;

  constructor(rule: string, detail: string, options: { pass?: string } = {}) {
    super(
      `IR rule "${rule}" broken${options.pass === undefined ? "" : ` after pass "${options.pass}"`}: ${detail}`,
    );
    this.rule = rule;
  }
}
