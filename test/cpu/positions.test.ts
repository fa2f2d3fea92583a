import { describeFarPositions } from "../suite/known.ts";
import { targetsOf } from "../suite/table.ts";

describeFarPositions(await targetsOf("cpu"));
