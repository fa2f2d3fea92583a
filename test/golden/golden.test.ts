import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { compileChecked } from "../../compiler/compile/compile.ts";
import { libraryFor } from "../../compiler/emit/c/library.ts";
import { resolve } from "../../compiler/ir/index.ts";
import { analyse, renderDiagnostics } from "../../compiler/language/index.ts";
import { SCHEDULES, type Schedule } from "../../runtime/contract/index.ts";

// What mtac emits, held against files that people review. `npm run golden:update` writes them anew: read the
// difference before committing it.

const SPECS = fileURLToPath(new URL("./specs/", import.meta.url));
const EXPECTED = fileURLToPath(new URL("./expected/", import.meta.url));

const specs = readdirSync(SPECS).filter((name) => name.endsWith(".mta"));

/** What stands here for what C sources repeat of `templates/c`. */
const LIBRARY = "/* ... the library: templates/c ... */\n";

/** A spec's first comment may name the schedule to hold: `// Schedule: two_pass.` */
function scheduleOf(source: string): Schedule | undefined {
  const name = /^\/\/ Schedule: (\w+)\./.exec(source)?.[1];
  return SCHEDULES.find((schedule) => schedule === name);
}

/** Another one may name the length to plan for: `// Length: 16384.` */
function lengthOf(source: string): number | undefined {
  const length = /^\/\/ Length: (\d+)\./m.exec(source)?.[1];
  return length === undefined ? undefined : Number(length);
}

describe.each(specs)("%s", (name) => {
  const source = readFileSync(`${SPECS}${name}`, "utf8");
  const { spec, diagnostics } = analyse(source, name);
  if (spec === null) throw new Error(renderDiagnostics(diagnostics, { source }));
  const schedule = scheduleOf(source);
  const length = lengthOf(source);
  const options = {
    ...(schedule === undefined ? {} : { schedule }),
    ...(length === undefined ? {} : { shape: { B: 1, Lq: length, Lk: length, R: 0 } }),
  };
  const emitted = compileChecked(spec, options).files;
  const libraries = spec.attentions.map((attention) => libraryFor(resolve(attention, name)).text);
  // The kernels' module repeats plans and kernels: one of them is enough to review.
  const files = Object.fromEntries(
    Object.entries(emitted)
      .filter(([file]) => name === "toy.mta" || !file.endsWith(".kernels.ts"))
      .map(([file, text]) => [
        file,
        libraries.reduce((rest, each) => rest.replace(each, () => LIBRARY), text),
      ]),
  );
  const folder = `${EXPECTED}${name.replace(/\.mta$/, "")}/`;

  test.each(Object.keys(files))("%s", async (file) => {
    await expect(files[file]).toMatchFileSnapshot(`${folder}${file}`);
  });

  test("emits these files and no others", () => {
    const held = existsSync(folder) ? readdirSync(folder) : [];
    expect(held.filter((file) => !Object.hasOwn(files, file))).toEqual([]);
  });

  test("emits the same text every time", () => {
    expect(compileChecked(spec, options).files).toEqual(emitted);
  });
});
