/** One line for people: `SwiftShader driver 5.0.0 (google swiftshader)`; browsers, which say less, give `nvidia ampere`. */
export function describeAdapter({ vendor, architecture, device, description }: GPUAdapterInfo): string {
  const name = description || device;
  const maker = [vendor, architecture].filter((part) => part !== "").join(" ");
  if (name === "") return maker === "" ? "unnamed adapter" : maker;
  return maker === "" ? name : `${name} (${maker})`;
}
