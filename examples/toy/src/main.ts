import { type AutoOptions, openDevice } from "mtac/runtime/auto";
import { Finder, KINDS } from "./finder.ts";
import { drawSample } from "./text.ts";
import { Page } from "./view.ts";

/** `?device=webgpu` and `?device=wasm` ask for one; else the page takes the GPU if there is one. */
function wanted(asked: string | null): AutoOptions {
  return asked === "webgpu" || asked === "wasm" ? { kind: asked } : {};
}

const query = new URLSearchParams(location.search);
const page = new Page();
document.getElementById("app")?.replaceWith(page.element);
try {
  const device = await openDevice(wanted(query.get("device")));
  const finders: Finder[] = [];
  for (const kind of KINDS) finders.push(await Finder.open(device, kind));
  await page.start(device, finders, query.get("text") ?? drawSample());
} catch (error) {
  page.fail(error);
}
