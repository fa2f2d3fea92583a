import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { withFolder } from "../support/folder.ts";
import { packageOf, python, writeFiles } from "./python.ts";

const SPEC = "attention toy { heads 2 head_dim 16 mask causal scores { conv 2x9 } }";

function layoutOf(file = "toy.mta", cuda = false): Readonly<Record<string, string>> {
  return packageOf(SPEC, file, cuda, "kernel-builder");
}

test("kernel-builder's layout holds the package whole, and what kernel-builder reads", () => {
  const layout = layoutOf("toy.mta", true);
  const inPackage = Object.entries(packageOf(SPEC, "toy.mta", true));
  for (const [name, text] of inPackage.filter(
    ([file]) => file.startsWith("toy/") && file !== "toy/__init__.py",
  ))
    expect(layout[`torch-ext/${name}`], name).toBe(text);
  const endings = new Set(
    Object.keys(layout).flatMap((file) => /^torch-ext\/.*\.(\w+)$/.exec(file)?.[1] ?? []),
  );
  const [, copied = ""] = /^pyext = \[(.*)\]$/m.exec(layout["build.toml"] ?? "") ?? [];
  for (const ending of endings) expect(copied).toContain(`"${ending}"`);
  expect(layout["build.toml"]).toContain('name = "toy"\nversion = 0\n');
  expect(layout["build.toml"]).toContain('backends = ["cpu", "cuda"]');
  // A build fills the card in, and fails without the repository's name.
  expect(layout["build.toml"]).toContain('[general.hub]\nrepo-id = "OWNER/toy"\n');
  expect(layout["CARD.md"]).toContain('toy = get_kernel("{{ repo_id }}", version=0, trust_remote_code=True)');
  expect(Object.keys(layout)).toEqual(expect.arrayContaining(["flake.nix", "tests/test_toy.py"]));
});

test("modules of the package import each other by relative names only", () => {
  for (const [name, text] of Object.entries(layoutOf()))
    if (name.startsWith("torch-ext/")) expect(text.match(/^\s*(?:from|import) toy\b.*/gm), name).toBe(null);
});

test("two builds of it are loaded into one process, each under a name and with operators of its own", async () => {
  await withFolder(async (folder) => {
    writeFiles(folder, layoutOf());
    const program = fileURLToPath(new URL("kernel_builder.py", import.meta.url));
    const found = JSON.parse(await python([program, folder, "Toy"], folder));
    expect(found).toMatchObject({
      namespaces: ["_toy_cpu_1a2b3c4", "_toy_cpu_5d6e7f8"],
      same: true,
      exported: [],
      others: [],
    });
    expect(found.ownNames).toContain("_toy_cpu_1a2b3c4._runtime.ops");
  });
});

test("its tests pass", async () => {
  await withFolder(async (folder) => {
    writeFiles(folder, layoutOf());
    const said = await python(["-m", "unittest", "discover", "tests"], folder, true, {
      PYTHONPATH: "torch-ext",
    });
    expect(said).toContain("Ran 21 tests");
    expect(said).toContain("OK");
  });
});

test("its Python passes ruff", async () => {
  await withFolder(async (folder) => {
    writeFiles(folder, layoutOf());
    const lint = ["--select", "E,F,I,UP,B,SIM,RUF", "--line-length", "120"];
    await python(["-m", "ruff", "check", "--isolated", ...lint, "torch-ext"], folder);
    await python(
      ["-m", "ruff", "format", "--isolated", "--line-length", "120", "--check", "torch-ext"],
      folder,
    );
  });
});

test("names that kernel-builder does not take are refused", () => {
  for (const file of ["Toy.mta", "toy_.mta", "9.mta", "a.mta", "class.mta", "kernels.mta"])
    expect(() => layoutOf(file), file).toThrow(
      new RegExp(`^kernel-builder takes no kernel that is called as ${file}`),
    );
});

test("the card is a template that has nothing in it but the repository", () => {
  const { "CARD.md": card = "" } = layoutOf("x{{y}}{%z.mta");
  expect(card.match(/\{[{%#].*?[}%#]\}/g)).toEqual(["{{ repo_id }}"]);
});
