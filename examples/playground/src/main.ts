import { App } from "./app.ts";
import { EXAMPLES } from "./state/examples.ts";
import { DEFAULTS, type Settings } from "./state/settings.ts";
import { decodeFragment, LinkError } from "./state/share.ts";

/** What the address asks for; the first example where it asks for nothing, or for something that cannot be read. */
async function readAddress(): Promise<{ readonly settings: Settings; readonly trouble: string | null }> {
  const fragment = location.hash.slice(1);
  const example = { ...DEFAULTS, spec: EXAMPLES[0].text };
  if (fragment === "") return { settings: example, trouble: null };
  try {
    return { settings: await decodeFragment(fragment), trouble: null };
  } catch (error) {
    const why = error instanceof LinkError ? error.message : "this browser cannot unpack it";
    return { settings: example, trouble: `The link cannot be read: ${why}. This is an example instead.` };
  }
}

const { settings, trouble } = await readAddress();
const app = new App(settings, trouble);
document.getElementById("app")?.replaceWith(app.element);
app.start();
addEventListener("hashchange", async () => {
  const address = await readAddress();
  app.load(address.settings, address.trouble);
});
