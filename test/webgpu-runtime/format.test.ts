import { expect, test } from "vitest";
import type { Artifact } from "../../runtime/contract/index.ts";
import { createLauncher } from "../../runtime/index.ts";
import { openDevice } from "./device-fixture.ts";
import { scaleArtifact } from "./tiny-plans.ts";

test("artifacts of an older mtac are refused, with what to do", async () => {
  const { plans, ...rest } = scaleArtifact();
  const older: Artifact = JSON.parse(
    JSON.stringify({ ...rest, plans: plans.map((plan) => ({ ...plan, format: 1 })) }),
  );
  await expect(createLauncher(await openDevice(), older, new Map())).rejects.toMatchObject({
    code: "MTA710",
    message: expect.stringContaining(
      "it is of format 1, and this version of mtac reads 2: compile the spec again",
    ),
  });
});
