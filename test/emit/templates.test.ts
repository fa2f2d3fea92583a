import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { ModelTypes } from "./template-types.ts";
import { templateFaults } from "./template-walk.ts";

// Templates and the models that fill them are written apart. Strict templates throw where they print what a model does not have;
// that a condition names nothing, or that a field is read nowhere, is only seen here.

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

test.each(["compiler/emit/", "compiler/emit/launcher/"])(
  "templates and their models in %s name the same fields",
  (folder) => {
    const types = new ModelTypes(ROOT, `${folder}templates.ts`);
    expect(templateFaults(types, `${ROOT}templates/`, folder)).toEqual([]);
  },
);

test("whatever does not fit is told with its place", () => {
  const types = new ModelTypes(ROOT, "test/emit/misfits/templates.ts");
  expect(templateFaults(types, `${ROOT}test/emit/misfits/`, "test/emit/misfits/")).toEqual([
    "templates/some/a.hbs:2: misspelt is not in the model",
    "templates/some/a.hbs:3: missing is not in the model",
    "templates/some/a.hbs:4: comment may be missing: ask for it first",
    "templates/some/a.hbs:5: bias is not in every such model",
    "templates/some/a.hbs:10: bias is not in the model",
    "templates/some/a.hbs:11: ../wrong is not in the model",
    "templates/some/partials/b.hbs:2: gone is not in the model",
    "templates/some/partials/b.hbs:3: ../name leaves its file: give the partial what it needs",
    "templates/some/a.hbs:15: items is no text",
    "templates/some/a.hbs:16: name is no list",
    "templates/some/a.hbs:17: upper is no helper",
    "some/partials/c.hbs: no such template",
    "templates/some/unused.hbs: nothing renders it",
    "test/emit/misfits/templates.ts:8:5: no template reads unread",
  ]);
});
