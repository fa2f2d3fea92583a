import { openDevice, runAttention } from "./gpu.ts";
import { mapsOf } from "./maps.ts";
import type { NumericMethods } from "./protocol.ts";
import { serve } from "./rpc.ts";

serve<NumericMethods>({
  open: () => openDevice(),
  run: (request, progress) => runAttention(request, progress),
  maps: (request) => mapsOf(request),
});
