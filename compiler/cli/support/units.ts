export * from "../../describe/units.ts";
