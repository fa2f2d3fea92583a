import { describeDropouts } from "../suite/known.ts";
import { targetsOf } from "../suite/table.ts";

describeDropouts(await targetsOf("cuda"));
