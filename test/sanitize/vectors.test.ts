import { targetsOf } from "../suite/table.ts";
import { describeVectors } from "../suite/vectors.ts";

describeVectors(await targetsOf("sanitize"));
