import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import type { PluginOptions } from "../../compiler/plugin/options.ts";
import { SpecLoader } from "../../compiler/plugin/spec-loader.ts";
import { project } from "./hosts.ts";

// A spec below the folder of its project's config. Unlike a mask, a schedule changes nothing but the plan.
const SPEC = "attention only { heads 2 head_dim 8 }\n";
const folder = project();
const config = join(folder, "mtac.config.mjs");
const spec = join(folder, "src/only.mta");

beforeAll(() => {
  mkdirSync(join(folder, "src"));
  writeFileSync(join(folder, "package.json"), "{}");
});

async function scheduleOf(options: PluginOptions): Promise<string | undefined> {
  const specs = new SpecLoader({ cache: false, ...options });
  const loaded = await specs.build(SPEC, spec);
  const { code } = specs.moduleOf(loaded, { file: spec, part: "only.kernels" });
  return /schedule: "(\w+)"/.exec(code)?.[1];
}

describe("the config of a spec's project", () => {
  test("counts where the plugin's options say nothing, and is watched", async () => {
    writeFileSync(config, 'export default { schedule: "staged", types: false };\n');
    expect(await scheduleOf({})).toBe("staged");
    expect(await scheduleOf({ schedule: "two_pass" })).toBe("two_pass");
    const specs = new SpecLoader({ cache: false });
    expect((await specs.build(SPEC, spec)).types).toBeNull();
    expect(await specs.watchedFiles(spec)).toContain(config);
  });

  test("is read again when it changes", async () => {
    const specs = new SpecLoader({ cache: false });
    writeFileSync(config, 'export default { types: "arbitrary-extensions" };\n');
    expect((await specs.build(SPEC, spec)).types).toBe("arbitrary-extensions");
    writeFileSync(config, "export default { length: 0 };\n");
    await expect(specs.build(SPEC, spec)).rejects.toMatchObject({ code: "MTA926" });
    // So that mending it builds again.
    expect(await specs.watchedFiles(spec)).toContain(config);
  });
});
