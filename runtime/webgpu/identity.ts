/**
 * A device and its driver as one text, as far as WebGPU tells: results that were measured on one device are not used on another.
 * Browsers say less than Dawn; what they leave out stays empty.
 */
export function deviceIdentity({
  adapterInfo,
  features,
}: Pick<GPUDevice, "adapterInfo"> & { readonly features: { has(feature: string): boolean } }): string {
  const { vendor, architecture, device, description } = adapterInfo;
  const halves = features.has("shader-f16") ? "shader-f16" : "";
  return [vendor, architecture, device, description, halves].join("|");
}
