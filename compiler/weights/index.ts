export { type Conversion, type ConversionRequest, convertState, type MappedTensor } from "./convert.ts";
export { LAYOUT_NAMES, LAYOUTS, type Layout, type LayoutName, layoutOf } from "./layouts.ts";
export type { LeftTensor } from "./left.ts";
export { parseRenaming, type Renaming } from "./renaming.ts";
export { type AttentionSlot, reorderedSections } from "./sources.ts";
export type { StateDict } from "./state.ts";
