import { openDevice, runAttention } from "./device.ts";
import { mapsOf } from "./maps.ts";
import type { NumericMethods } from "./protocol.ts";
import { serve } from "./rpc.ts";

serve<NumericMethods>({
  open: (choice) => openDevice(choice),
  run: (request, progress) => runAttention(request, progress),
  maps: (request) => mapsOf(request),
});
