import { describeFarPositions, describeOffsets } from "../suite/known.ts";
import { describeProperties } from "../suite/properties.ts";
import { targetsOf } from "../suite/table.ts";

const targets = await targetsOf("sanitize");

describeProperties(targets);
describeFarPositions(targets);
describeOffsets(targets);
