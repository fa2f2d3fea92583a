import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { withFolder } from "../support/folder.ts";
import { packageOf, python, writeFiles } from "./python.ts";

// A model of Hugging Face's transformers with the package's attentions.

const SPEC = `
attention mta {
  heads 4
  kv_heads 2
  head_dim 16
  mask causal documents
  scores { conv 3x5 }
  weights { mix 2 }
}

attention mta_keys {
  heads 4
  kv_heads 2
  head_dim 16
  mask causal documents
  scores { conv 1x5 }
}

attention mta_dropping extends mta {
  scores { conv 2x3 }
  weights { dropout 0.2 }
}

attention mta_plain {
  heads 4
  kv_heads 2
  head_dim 16
  mask causal
  scores { conv 2x3 }
}

attention mta_near {
  heads 4
  kv_heads 2
  head_dim 16
  mask causal window 6
}

attention mta_all {
  heads 4
  head_dim 16
  mask none
}

attention mta_earlier {
  heads 4
  head_dim 16
  mask causal
}
`;

const PROGRAM = fileURLToPath(new URL("huggingface.py", import.meta.url));

const FOUND = `identity:
True True
True
padding:
True True
True True
packed:
True
generation:
True
MTA692
True
MTA692
training:
True
[] []
True
torch.bfloat16
True
dropping:
True
True
True
MTA691
masks:
True
True
MTA691
errors:
MTA690
MTA691
MTA691
MTA691
MTA691
none MTA691
none
MTA691
none
MTA690
`;

test("a Llama with the attentions of a package", async () => {
  await withFolder(async (folder) => {
    writeFiles(folder, packageOf(SPEC, "mta_llama.mta"));
    copyFileSync(PROGRAM, join(folder, "llama.py"));
    expect(await python(["llama.py"], folder)).toBe(FOUND);
  });
});
