import { writeFileSync } from "node:fs";
import { randomCall } from "../../compiler/execution/random-call.ts";
import { openWebGpuMeter } from "../../compiler/execution/webgpu-meter.ts";
import { planCandidates } from "../../compiler/plan/index.ts";
import { pipelineOf } from "../support/pipelines.ts";
import { QUALITY_LENGTHS, QUALITY_SPECS } from "./specs.ts";

const meter = await openWebGpuMeter();
console.log(meter.identity, meter.description);
const out: object[] = [];
const N = Number(process.argv[2] ?? 32),
  S = Number(process.argv[3] ?? 5);
for (const [name, text] of Object.entries(QUALITY_SPECS))
  for (const L of QUALITY_LENGTHS) {
    const pipeline = pipelineOf(text, "a");
    const shape = { B: 1, Lq: L, Lk: L, R: 0 };
    const legal = planCandidates(pipeline, { target: "webgpu", limits: meter.limits, shape }).filter(
      (c) => c.reason === null,
    );
    const counts: Record<string, number> = {};
    for (const c of legal) counts[c.schedule] = (counts[c.schedule] ?? 0) + 1;
    const call = randomCall(pipeline, shape, { seed: 1, layer: undefined, grad: false });
    const placed = meter.place(pipeline, call);
    const rows: { s: string; k: object; model: number; compile: number; warm: number; times: number[] }[] =
      [];
    const t0 = performance.now();
    const plans = [];
    for (const c of legal.slice(0, N)) {
      const b = performance.now();
      const plan = await meter.open(c.plan!, call);
      const compile = performance.now() - b;
      const w = performance.now();
      await plan.sample(placed);
      const warm = performance.now() - w;
      plans.push(plan);
      rows.push({ s: c.schedule, k: c.knobs, model: c.cost!.time, compile, warm, times: [] });
    }
    for (let s = 0; s < S; s++)
      for (const [i, p] of plans.entries()) rows[i]!.times.push((await p.sample(placed)).time / 1e6);
    const med = (x: number[]) => [...x].sort((a, b) => a - b)[x.length >> 1]!;
    const best = Math.min(...rows.map((r) => med(r.times)));
    const rank = rows.findIndex((r) => med(r.times) === best);
    const within = rows.map((r, i) => (med(r.times) <= best * 1.1 ? i : -1)).filter((i) => i >= 0);
    console.log(
      name,
      L,
      JSON.stringify(counts),
      "n",
      rows.length,
      "best",
      best.toFixed(2),
      "ms rank",
      rank,
      "first/best",
      (med(rows[0]!.times) / best).toFixed(2),
      "worst/best",
      (Math.max(...rows.map((r) => med(r.times))) / best).toFixed(1),
      "within10",
      within.length,
      within.slice(0, 8).join(","),
      "compile sum",
      rows.reduce((s, r) => s + r.compile, 0).toFixed(0),
      "total",
      (performance.now() - t0).toFixed(0),
    );
    out.push({ name, L, rows });
    writeFileSync("/tmp/quality.json", JSON.stringify(out));
    for (const p of plans) p.release();
    placed.release();
  }
await meter.close();
