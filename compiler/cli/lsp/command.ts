import { command } from "../command.ts";
import { type FlagsOf, given, hidden, text } from "../flag.ts";

export const LSP = command({
  name: "lsp",
  summary: "serve editors: diagnostics, hover, completion and more",
  description: "Speak the Language Server Protocol with an editor, which starts this command itself.",
  arguments: [],
  flags: {
    stdio: given("over stdin and stdout, the only way there is"),
    // Clients give it; the server takes the id from the protocol's first message.
    clientProcessId: hidden("clientProcessId", text("<id>", "")),
  },
});

export type LspFlags = FlagsOf<typeof LSP.flags>;
