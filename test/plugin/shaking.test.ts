import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { BUNDLERS, project } from "./hosts.ts";

/** Minified and compressed: what a page pays for a name that it imports from `mtac/runtime`, alone or with the launcher. */
const LIMITS: Readonly<Record<string, number>> = {
  upload: 4 * 1024,
  GpuError: 4 * 1024,
  openBrowserGpu: 4 * 1024,
  parseSafetensors: 4 * 1024,
  readParameters: 4.5 * 1024,
  createLauncher: 20.25 * 1024,
};

test.each(Object.entries(BUNDLERS))(
  "%s takes from mtac/runtime what is used, and no more",
  async (_, bundle) => {
    const folder = project();
    for (const [name, limit] of Object.entries(LIMITS)) {
      const text = `import { ${name} } from "mtac/runtime";\nglobalThis.${name} = ${name};\n`;
      writeFileSync(join(folder, "main.js"), text);
      const { code, warnings } = await bundle(folder, { types: false });
      expect(warnings).toEqual([]);
      const bytes = gzipSync(code).length;
      expect(bytes, `${name} alone`).toBeLessThanOrEqual(limit);
    }
  },
);
