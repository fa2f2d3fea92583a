import { type DeclarationReflection, ReflectionKind } from "typedoc";
import { expect, test } from "vitest";
import { readApi } from "../../docs/.vitepress/scripts/api.ts";

const CHECKED =
  ReflectionKind.Function |
  ReflectionKind.Method |
  ReflectionKind.Class |
  ReflectionKind.Interface |
  ReflectionKind.TypeAlias |
  ReflectionKind.Variable;

/** Whether it says in a sentence what it is, at itself or at one of its signatures. */
function isDescribed({ comment, signatures = [] }: DeclarationReflection): boolean {
  return [comment, ...signatures.map((signature) => signature.comment)].some(
    (each) => each !== undefined && (each.summary.length > 0 || each.blockTags.length > 0),
  );
}

test("everything that the package exports says what it is", async () => {
  const { project } = await readApi();
  const modules = project.children ?? [];
  expect(modules.length).toBeGreaterThan(10);
  expect(modules.filter((module) => !isDescribed(module)).map(({ name }) => name)).toEqual([]);
  const exported = modules.flatMap(({ children = [] }) => children);
  const members = exported.flatMap(({ children = [] }) => children);
  const silent = [...exported, ...members].filter(
    (each) => each.kindOf(CHECKED) && !each.flags.isExternal && !isDescribed(each),
  );
  expect(silent.map((each) => each.getFullName())).toEqual([]);
});
