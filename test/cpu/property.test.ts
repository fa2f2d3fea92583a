import { describeProperties } from "../suite/properties.ts";
import { targetsOf } from "../suite/table.ts";

describeProperties(await targetsOf("cpu"));
