import { CALL_FIELDS, DISPATCH_FIELDS } from "./launch.ts";

/** All fields that a launch block may have, in the order in which one has them: a call's, then a dispatch's. */
export const LAUNCH_FIELDS = [...CALL_FIELDS, ...DISPATCH_FIELDS];
