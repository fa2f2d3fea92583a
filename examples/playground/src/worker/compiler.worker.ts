import { compileAttention, emitForDevice } from "./compile.ts";
import { analyseSpec, completeSpec, formatSpec, hoverSpec } from "./language.ts";
import type { CompilerMethods } from "./protocol.ts";
import { serve } from "./rpc.ts";

serve<CompilerMethods>({
  analyse: (text) => analyseSpec(text),
  complete: ({ text, offset }) => completeSpec(text, offset),
  hover: ({ text, offset }) => hoverSpec(text, offset),
  format: (text) => formatSpec(text),
  compile: (request) => compileAttention(request, MTAC_VERSION),
  emit: (request) => emitForDevice(request),
});
