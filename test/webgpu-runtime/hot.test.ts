import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import type { Artifact, Pipeline } from "../../runtime/contract/index.ts";
import type { SpecVersion as AnySpecVersion } from "../../runtime/hot/specs.ts";
import { createLauncher, publish } from "../../runtime/hot.ts";
import { download } from "../../runtime/index.ts";
import { Launcher } from "../../runtime/webgpu/launcher.ts";
import { openDevice, scaled, tinyInputs, WEIGHT } from "./device-fixture.ts";
import { ramp, scaleArtifact, tinyPipeline, workspaceArtifact } from "./tiny-plans.ts";

type SpecVersion = AnySpecVersion<Artifact>;

let device: GPUDevice;
beforeAll(async () => {
  device = await openDevice();
});

const swapped = vi.fn<(event: CustomEvent) => boolean>();
beforeEach(() => {
  // Pages and workers have it, Node does not.
  vi.stubGlobal("dispatchEvent", swapped);
  vi.spyOn(console, "info").mockImplementation(() => undefined);
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
  swapped.mockReset();
});

const SIZE = { B: 1, Lq: 5, Lk: 5 };
/** What the kernels of `scaleArtifact` and of `workspaceArtifact` make of `tinyInputs`. */
const SCALED = scaled(40);
const WORKSPACE = ramp(40).map((value) => 2 * (value + 1));

function version(artifact: Artifact, changes: Partial<SpecVersion> = {}, pipeline?: Pipeline): SpecVersion {
  return {
    stacks: [],
    kernels: [{ artifact, pipeline: pipeline ?? tinyPipeline() }],
    exports: { createTiny: artifact },
    follow: () => undefined,
    ...changes,
  };
}

async function results(launcher: Launcher): Promise<Float32Array | Int32Array> {
  return download(device, (await launcher.forward(tinyInputs(device, SIZE))).o);
}

/** Waits for the swap that a publication has begun. */
async function swapEnd(): Promise<void> {
  await vi.waitFor(() => expect(swapped).toHaveBeenCalledTimes(1));
}

let specs = 0;
/** A spec that no other test has published. */
function newSpec(): string {
  return `spec-${++specs}.mta`;
}

describe("a changed spec", () => {
  it("gives live launchers new kernels, in place, with their parameters, and says so", async () => {
    const spec = newSpec();
    const first = scaleArtifact();
    expect(publish(spec, version(first))).toBe(true);
    const launcher = await createLauncher(device, first, WEIGHT);
    expect(launcher).toBeInstanceOf(Launcher);
    expect(await results(launcher)).toEqual(SCALED);
    expect(publish(spec, version(workspaceArtifact()))).toBe(true);
    await swapEnd();
    expect(await results(launcher)).toEqual(WORKSPACE);
    expect(launcher.parameters.get("output.norm.weight")?.data).toEqual(Float32Array.of(1, 2, 3, 4));
    expect(swapped.mock.calls[0]?.[0]).toMatchObject({ type: "mtac:swap", detail: { names: ["tiny"] } });
  });

  it("lets calls that have begun end on the old kernels, then frees those", async () => {
    const spec = newSpec();
    const first = scaleArtifact();
    publish(spec, version(first));
    const destroy = vi.spyOn(Launcher.prototype, "destroy");
    const launcher = await createLauncher(device, first, WEIGHT, { submissionBudget: 1 });
    const begun = launcher.forward(tinyInputs(device, SIZE));
    publish(spec, version(workspaceArtifact()));
    expect(await download(device, (await begun).o)).toEqual(SCALED);
    await swapEnd();
    await vi.waitFor(() => expect(destroy).toHaveBeenCalledTimes(1));
    expect(await results(launcher)).toEqual(WORKSPACE);
  });

  it("frees the old kernels where no call needs them", async () => {
    const spec = newSpec();
    const first = scaleArtifact();
    publish(spec, version(first));
    const launcher = await createLauncher(device, first, WEIGHT);
    const destroy = vi.spyOn(Launcher.prototype, "destroy");
    publish(spec, version(workspaceArtifact()));
    await swapEnd();
    expect(destroy).toHaveBeenCalledTimes(1);
    expect(await results(launcher)).toEqual(WORKSPACE);
  });

  it("is what references to older modules create from", async () => {
    const spec = newSpec();
    const [first, second] = [scaleArtifact(), workspaceArtifact()];
    publish(spec, version(first));
    publish(spec, version(second));
    expect(await results(await createLauncher(device, first, WEIGHT))).toEqual(WORKSPACE);
    expect(await results(await createLauncher(device, second, WEIGHT))).toEqual(WORKSPACE);
  });

  it("prepares new kernels for the sizes that the old ones were used with", async () => {
    const spec = newSpec();
    const first = scaleArtifact();
    publish(spec, version(first));
    const launcher = await createLauncher(device, first, WEIGHT);
    await launcher.prepare(SIZE);
    publish(spec, version(scaleArtifact({}, { overrides: { factor: ["add", "Lq", 1] } })));
    await swapEnd();
    const encoder = device.createCommandEncoder();
    const { o, release } = launcher.encode(encoder, tinyInputs(device, SIZE));
    device.queue.submit([encoder.finish()]);
    release();
    expect(await download(device, o)).toEqual(scaled(40, 6));
  });

  it("starts parameters anew whose shape has changed, and names them", async () => {
    const spec = newSpec();
    const first = scaleArtifact();
    publish(spec, version(first));
    const launcher = await createLauncher(
      device,
      first,
      new Map([["output.norm.weight", Float32Array.of(9, 9, 9, 9)]]),
    );
    const pipeline = tinyPipeline({
      parameters: [{ name: "output.norm.weight", shape: [2, 2], init: { kind: "ones" } }],
    });
    publish(spec, version(scaleArtifact({ pipeline }), {}, pipeline));
    await swapEnd();
    expect(launcher.parameters.get("output.norm.weight")).toMatchObject({
      shape: [2, 2],
      data: Float32Array.of(1, 1, 1, 1),
    });
    expect(console.info).toHaveBeenCalledWith(expect.stringContaining("output.norm.weight"));
  });

  it("keeps parameters that were set while new kernels were compiled", async () => {
    const spec = newSpec();
    const first = scaleArtifact();
    publish(spec, version(first));
    const launcher = await createLauncher(device, first, WEIGHT);
    publish(spec, version(scaleArtifact({}, { overrides: { factor: 2 } })));
    launcher.setParameters(new Map([["output.norm.weight", Float32Array.of(2, 4, 6, 8)]]));
    await swapEnd();
    expect(await results(launcher)).toEqual(scaled(40, 4));
  });

  it("changes nothing where the device refuses its kernels, and says why", async () => {
    const complain = vi.spyOn(console, "error").mockImplementation(() => undefined);
    const spec = newSpec();
    const first = scaleArtifact();
    publish(spec, version(first));
    const launcher = await createLauncher(device, first, WEIGHT);
    const broken = { ...first, sources: { "tiny.scale.wgsl": "fn main() { nonsense }" } };
    publish(spec, version(broken));
    await vi.waitFor(() => expect(complain).toHaveBeenCalledTimes(1));
    expect(await results(launcher)).toEqual(SCALED);
  });

  it("frees new kernels that cannot be prepared for a size in use", async () => {
    const complain = vi.spyOn(console, "error").mockImplementation(() => undefined);
    const spec = newSpec();
    const first = scaleArtifact();
    publish(spec, version(first));
    const launcher = await createLauncher(device, first, WEIGHT);
    await launcher.prepare(SIZE);
    const destroy = vi.spyOn(Launcher.prototype, "destroy");
    vi.spyOn(Launcher.prototype, "prepare").mockRejectedValueOnce(new Error("too long"));
    publish(spec, version(workspaceArtifact()));
    await vi.waitFor(() => expect(complain).toHaveBeenCalledTimes(1));
    expect(destroy).toHaveBeenCalledTimes(1);
    expect(await results(launcher)).toEqual(SCALED);
  });

  it("is not kept back by a size that `encode` refused", async () => {
    const spec = newSpec();
    const first = scaleArtifact();
    publish(spec, version(first));
    const launcher = await createLauncher(device, first, WEIGHT);
    const { q, k, v } = tinyInputs(device, SIZE);
    const none = { ...q, shape: [1, 2, 0, 4] };
    expect(() => launcher.encode(device.createCommandEncoder(), { q: none, k, v })).toThrow("[1, 2, 0, 4]");
    publish(spec, version(workspaceArtifact()));
    await swapEnd();
    expect(await results(launcher)).toEqual(WORKSPACE);
  });

  it("swaps nothing where the kernels are the same", async () => {
    const spec = newSpec();
    publish(spec, version(scaleArtifact()));
    publish(spec, version(scaleArtifact()));
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(swapped).not.toHaveBeenCalled();
  });

  it("leaves launchers of other specs alone", async () => {
    const [spec, other] = [newSpec(), newSpec()];
    const [first, second] = [scaleArtifact(), scaleArtifact()];
    publish(spec, version(first));
    publish(other, version(second));
    const launcher = await createLauncher(device, second, WEIGHT);
    publish(spec, version(workspaceArtifact()));
    await swapEnd();
    expect(await results(launcher)).toEqual(SCALED);
  });
});

describe("older loads of a spec's module", () => {
  it("follow the newest, all of them", () => {
    const spec = newSpec();
    const follow = [vi.fn(), vi.fn(), vi.fn()];
    const loads = follow.map((each) => version(scaleArtifact(), { follow: each }));
    for (const load of loads) publish(spec, load);
    expect(follow[0]).toHaveBeenLastCalledWith(loads[2]?.exports);
    expect(follow[1]).toHaveBeenLastCalledWith(loads[2]?.exports);
    expect(follow[2]).not.toHaveBeenCalled();
  });

  it.each([
    ["exports", { exports: { createOther: null } }],
    ["layers of stacks", { stacks: [{ name: "s", digest: "0f" }] }],
  ])("must be loaded again where %s differ", async (_what, changes) => {
    const spec = newSpec();
    const first = scaleArtifact();
    publish(spec, version(first));
    const launcher = await createLauncher(device, first, WEIGHT);
    expect(publish(spec, version(workspaceArtifact(), changes))).toBe(false);
    expect(await results(launcher)).toEqual(SCALED);
    expect(swapped).not.toHaveBeenCalled();
  });

  it("that exports something else follows newer ones, those before it do not", () => {
    const spec = newSpec();
    const follow = [vi.fn(), vi.fn()];
    const [before, renamed] = follow.map((each, index) =>
      version(scaleArtifact(), { exports: { [`createTiny${index}`]: null }, follow: each }),
    );
    if (before === undefined || renamed === undefined) throw new Error("two versions");
    publish(spec, before);
    expect(publish(spec, renamed)).toBe(false);
    const newest = { exports: { createTiny1: 1 } };
    expect(publish(spec, version(scaleArtifact(), newest))).toBe(true);
    expect(follow[0]).not.toHaveBeenCalled();
    expect(follow[1]).toHaveBeenCalledExactlyOnceWith(newest.exports);
  });
});

describe("a launcher", () => {
  it("moves to another device and still takes new kernels", async () => {
    const spec = newSpec();
    const first = scaleArtifact();
    publish(spec, version(first));
    const launcher = await createLauncher(device, first, WEIGHT);
    const moved = await launcher.rebuild(device);
    publish(spec, version(workspaceArtifact()));
    await swapEnd();
    expect(await results(moved)).toEqual(WORKSPACE);
  });

  it("that was destroyed stays so", async () => {
    const spec = newSpec();
    const first = scaleArtifact();
    publish(spec, version(first));
    const launcher = await createLauncher(device, first, WEIGHT);
    launcher.destroy();
    publish(spec, version(workspaceArtifact()));
    await swapEnd();
    await expect(launcher.forward(tinyInputs(device, SIZE))).rejects.toMatchObject({ code: "MTA741" });
  });

  it("of no spec is an ordinary one", async () => {
    expect(await results(await createLauncher(device, scaleArtifact(), WEIGHT))).toEqual(SCALED);
  });
});
