import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { LAUNCH_FIELDS } from "../../runtime/contract/launch-fields.ts";

/** Compiles one of the stand-ins for NVIDIA's libraries into a folder; they are C, so these tests need a C compiler. */
export function compileDouble(name: string, folder: string): string {
  const types = { u32: "unsigned", i32: "int", f32: "float" } as const;
  const fields = LAUNCH_FIELDS.map(([field, type]) => `  ${types[type]} ${field};`).join("\n");
  writeFileSync(join(folder, "launch.h"), `struct Launch {\n${fields}\n};\n`);
  const source = fileURLToPath(new URL(`${name}.c`, import.meta.url));
  const library = join(folder, `lib${name}.so`);
  const { CC = "cc" } = process.env;
  try {
    execFileSync(CC, [
      "-std=gnu11",
      "-Wall",
      "-Werror",
      "-O1",
      "-fPIC",
      "-shared",
      `-I${folder}`,
      "-o",
      library,
      source,
    ]);
  } catch (cause) {
    throw new Error(
      `the tests of the CUDA driver need a C compiler (CC, else cc): ${name}.c was not compiled`,
      {
        cause,
      },
    );
  }
  return library;
}
