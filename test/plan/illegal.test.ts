import { expect, test } from "vitest";
import { resolve } from "../../compiler/ir/index.ts";
import type { Attention } from "../../compiler/language/attention.ts";
import {
  choosePlan,
  planCandidates,
  scheduleIllegal,
  WEBGPU_COMMON_LIMITS,
  webgpuMachine,
} from "../../compiler/plan/index.ts";
import type { Schedule, StorageType } from "../../runtime/contract/index.ts";
import { machineFor } from "../cuda/harness.ts";
import { attentionWith, convStage } from "../support/attentions.ts";

const SHAPE = { B: 1, Lq: 64, Lk: 64, R: 0 };
const MACHINES = [webgpuMachine(WEBGPU_COMMON_LIMITS), machineFor("sm_80")];

// A schedule that cannot compute an attention is refused before anybody asks how its kernels would be lowered: what tensor cores
// want of the spec would not help.
test.each([
  ["stages after the softmax", { weights: [convStage()] }, ["single_pass"]],
  ["sparsemax", { normalize: "sparsemax" }, ["single_pass", "two_pass"]],
] satisfies [string, Partial<Attention>, Schedule[]][])(
  "%s: the schedule's own reason, and no other",
  (_name, changes, schedules) => {
    for (const dtype of ["f32", "f16"] satisfies StorageType[]) {
      const pipeline = resolve(attentionWith({ ...changes, dtype }), "a.mta");
      for (const machine of MACHINES) {
        for (const schedule of schedules) {
          const reason = scheduleIllegal(pipeline, schedule);
          expect(reason).not.toBeNull();
          const request = { machine, shape: SHAPE, schedule };
          expect(planCandidates(pipeline, request).map((each) => each.reason)).toEqual([reason]);
          expect(() => choosePlan(pipeline, request)).toThrow(`${schedule}: ${reason}`);
        }
      }
    }
  },
);
