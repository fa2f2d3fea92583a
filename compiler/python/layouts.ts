/**
 * How a package lies in its folder: as `pip install` takes it, or as a source of Hugging Face's kernel-builder, which puts what it
 * builds of it onto the Hub for `kernels.get_kernel`.
 */
export const PACKAGE_LAYOUTS = ["package", "kernel-builder"] as const;
export type PackageLayout = (typeof PACKAGE_LAYOUTS)[number];
