import * as access from "../machine/access.ts";
import { atomic } from "../machine/atomic.ts";
import * as collective from "../machine/collective.ts";
import * as copy from "../machine/copy.ts";
import { multiplyMatrices } from "../machine/mma.ts";
import * as convert from "../numeric/convert.ts";
import * as float from "../numeric/float.ts";
import * as integer from "../numeric/integer.ts";
import * as narrow from "../numeric/narrow.ts";

/** Everything that generated code may name. */
export const RUNTIME = {
  ...access,
  ...collective,
  ...copy,
  ...convert,
  ...float,
  ...integer,
  ...narrow,
  atomic,
  multiplyMatrices,
  fround: Math.fround,
};

export const RUNTIME_NAMES: readonly string[] = Object.keys(RUNTIME);
