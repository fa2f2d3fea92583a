import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "vitest";
import { DRIVER_FUNCTIONS } from "../../runtime/cuda/driver/library.ts";
import {
  ATTRIBUTE,
  CU,
  EVENT_DEFAULT,
  EVENT_DISABLE_TIMING,
  FUNCTION_ATTRIBUTE,
  JIT,
  STREAM_NON_BLOCKING,
} from "../../runtime/cuda/driver/results.ts";
import type { ForeignType } from "../../runtime/foreign/library.ts";
import { temporaryFolder } from "./doubles.ts";

/** The driver's stand-in is ours; the header is NVIDIA's. So numbers and signatures are checked against it, by a compiler. */

const WIDTHS = {
  int: "INTEGER",
  uint: "INTEGER",
  uint64: "WORD",
  "void *": "WORD",
  str: "WORD",
} as const satisfies Record<ForeignType, string>;

const PRELUDE = `#include <cuda.h>
#include <cstddef>
enum Width { INTEGER = 4, WORD = 8 };
template <class... A>
constexpr bool fits(CUresult (*)(A...), const Width (&widths)[sizeof...(A)]) {
  const std::size_t sizes[] = {sizeof(A)...};
  // An integer narrower than 32 bits travels in a whole register.
  for (std::size_t i = 0; i < sizeof...(A); i++)
    if (widths[i] == WORD ? sizes[i] != 8 : sizes[i] > 4) return false;
  return true;
}
`;

function numbers(prefix: string, values: Readonly<Record<string, number>>): string[] {
  return Object.entries(values).map(
    ([name, value]) => `static_assert(${prefix}${name} == ${value}, "${prefix}${name}");`,
  );
}

test("numbers and signatures are those of cuda.h", () => {
  const { SUCCESS, ...errors } = CU;
  const lines = [
    ...numbers("CUDA_", { SUCCESS }),
    ...numbers("CUDA_ERROR_", errors),
    ...numbers("CU_DEVICE_ATTRIBUTE_", ATTRIBUTE),
    ...numbers("CU_FUNC_ATTRIBUTE_", FUNCTION_ATTRIBUTE),
    ...numbers("CU_JIT_", JIT),
    ...numbers("CU_", {
      STREAM_NON_BLOCKING,
      EVENT_DEFAULT,
      EVENT_DISABLE_TIMING,
    }),
    ...Object.entries(DRIVER_FUNCTIONS).map(
      ([name, parameters]) =>
        `static_assert(fits(&${name}, {${parameters.map((type) => WIDTHS[type]).join(", ")}}), "${name}");`,
    ),
  ];
  const folder = temporaryFolder();
  writeFileSync(join(folder, "check.cpp"), `${PRELUDE}${lines.join("\n")}\n`);
  // nvcc knows where its headers lie.
  execFileSync("nvcc", ["-std=c++17", "-c", "-o", "check.o", "check.cpp"], { cwd: folder });
});
