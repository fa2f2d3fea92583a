import { launchBytes } from "./launch.ts";
import type { KernelPlan } from "./plan.ts";

const POINTER_BYTES = 8;

/** One argument of a CUDA kernel. */
export interface KernelArgument {
  /** Where it lies among the kernel's arguments, in bytes. */
  readonly offset: number;
  readonly bytes: number;
  /** What it points to; null for the launch block, which is given by value. */
  readonly resource: string | null;
}

/** A CUDA kernel's arguments in its own order, and the bytes of all. */
export interface KernelArguments {
  readonly list: readonly KernelArgument[];
  readonly bytes: number;
}

/** How the arguments of a kernel lie: at multiples of their own alignment (PTX ISA, "Kernel Function Parameters"). */
export function kernelArguments({ bindings, launch }: KernelPlan): KernelArguments {
  const list: KernelArgument[] = [];
  let end = 0;
  for (const { access, resource } of bindings.toSorted((a, b) => a.binding - b.binding)) {
    const byValue = access === "uniform";
    const bytes = byValue ? launchBytes(launch) : POINTER_BYTES;
    const align = byValue ? 4 : POINTER_BYTES;
    const offset = Math.ceil(end / align) * align;
    list.push({ offset, bytes, resource: byValue ? null : resource });
    end = offset + bytes;
  }
  return { list, bytes: Math.max(end, POINTER_BYTES) };
}
