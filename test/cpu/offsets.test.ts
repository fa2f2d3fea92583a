import { describeOffsets } from "../suite/known.ts";
import { targetsOf } from "../suite/table.ts";

describeOffsets(await targetsOf("cpu"));
