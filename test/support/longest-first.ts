import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Files that take long, the longest first: begun last, one of them would run on while the other worker has nothing to do. */
const LONG = [
  "test/docs/pages",
  "test/numeric/vectors",
  "test/numeric/property",
  "test/numeric/isolation",
  "test/package/package",
  "test/numeric/tune",
  "test/plugin/types",
  "test/cpu/c-cmake",
];

/** Begins with the longest files, where vitest goes by their size or by what it remembers, which a fresh clone lacks. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const index = LONG.findIndex((name) => moduleId.includes(name));
      return index < 0 ? LONG.length : index;
    };
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b));
  }
}
