/** What a system's own Vulkan drivers, and Dawn refusing one of them, print: not ours to silence. */
const DRIVER_NOISE =
  /^(error: XDG_RUNTIME_DIR .*|Warning: Vulkan .* required\.| - While initializing adapter .*| +at InitializeImpl .*)$/;

/** A program's output without what drivers print into it. */
export function withoutDriverNoise(text: string): string {
  return text
    .split("\n")
    .filter((line) => !DRIVER_NOISE.test(line))
    .join("\n");
}
