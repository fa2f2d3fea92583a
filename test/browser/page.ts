// What runs in the page. main.ts bundles it with emitted modules and the built `mtac/runtime`, hence only types are imported
// here: whatever executes is what a user's page would execute.
import type {
  AttentionInputs,
  DeviceTensor,
  EncodedCall,
  ForwardResult,
  Launcher,
  LauncherOptions,
  PrepareSize,
} from "../../runtime/index.ts";

type Runtime = typeof import("../../runtime/index.ts");

/** Plain numbers, as they come from and go to the test's process. */
export interface PlainTensor {
  readonly shape: readonly number[];
  readonly data: readonly number[];
}

export interface AttentionCall {
  /** The module's name. */
  readonly attention: string;
  readonly storage: "f32" | "f16" | "bf16";
  readonly parameters: Readonly<Record<string, PlainTensor>>;
  readonly inputs: { readonly q: PlainTensor; readonly k: PlainTensor; readonly v: PlainTensor };
}

interface Parameters {
  readonly [name: string]: { readonly shape: readonly number[]; readonly data: Float32Array };
}

type Inputs = AttentionInputs<DeviceTensor>;

/** What emitted modules have in common. */
interface EmittedLauncher {
  readonly launcher: Launcher;
  forward(inputs: Inputs): Promise<ForwardResult>;
  encode(encoder: GPUCommandEncoder, inputs: Inputs): EncodedCall;
  prepare(size: PrepareSize): Promise<void>;
  rebuild(device: GPUDevice): Promise<EmittedLauncher>;
  destroy(): void;
}

export interface EmittedModule {
  create(device: GPUDevice, parameters: Parameters, options?: LauncherOptions): Promise<EmittedLauncher>;
  initParameters(seed: number): Parameters;
}

export interface Outcome {
  /** Schedule and storage of the plan that was run. */
  readonly plan: string;
  readonly o: PlainTensor;
  readonly lse: PlainTensor | null;
}

/** A plan that the device cannot run, and why. */
export interface Misfit {
  readonly plan: string;
  readonly code: string;
}

export interface Loss {
  /** `reason` of `device.lost`. */
  readonly reason: string;
  /** Codes of the errors of a call in progress, of a later one, and of an upload; null where there was none. */
  readonly pending: string | null;
  readonly later: string | null;
  readonly upload: string | null;
  /** On a new device. */
  readonly rebuilt: Outcome;
}

export type PageChecks = ReturnType<typeof pageChecks>;

declare global {
  var checks: PageChecks;
}

export function pageChecks(runtime: Runtime, modules: Readonly<Record<string, EmittedModule>>) {
  const { download, requestDevice, upload } = runtime;
  let awaited: Promise<Loss> | null = null;

  function moduleOf({ attention }: AttentionCall): EmittedModule {
    const found = modules[attention];
    if (found === undefined) throw new Error(`the page has no module ${attention}`);
    return found;
  }

  async function adapter(): Promise<GPUAdapter> {
    // While the process that died is started again, there is none.
    for (let attempt = 0; attempt < 50; attempt++) {
      const found = await navigator.gpu?.requestAdapter();
      if (found) return found;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error("navigator.gpu has no adapter");
  }

  async function open(): Promise<GPUDevice> {
    return requestDevice(await adapter());
  }

  function put(device: GPUDevice, { inputs, storage }: AttentionCall): Inputs {
    const one = ({ shape, data }: PlainTensor) =>
      upload(device, { shape, data: Float32Array.from(data) }, storage);
    return { q: one(inputs.q), k: one(inputs.k), v: one(inputs.v) };
  }

  function parametersOf({ parameters }: AttentionCall): Parameters {
    return Object.fromEntries(
      Object.entries(parameters).map(([name, { shape, data }]) => [
        name,
        { shape, data: Float32Array.from(data) },
      ]),
    );
  }

  function labelOf({ schedule, storage }: { readonly schedule: string; readonly storage: string }): string {
    return `${schedule} ${storage}`;
  }

  async function read(device: GPUDevice, tensor: DeviceTensor): Promise<PlainTensor> {
    return { shape: tensor.shape, data: [...(await download(device, tensor))] };
  }

  async function forward(
    device: GPUDevice,
    launcher: EmittedLauncher,
    call: AttentionCall,
  ): Promise<Outcome> {
    const { o, lse } = await launcher.forward(put(device, call));
    return {
      plan: labelOf(launcher.launcher.plan),
      o: await read(device, o),
      lse: lse === null ? null : await read(device, lse),
    };
  }

  /** Null where nothing is thrown. */
  async function codeOf(work: () => unknown): Promise<string | null> {
    try {
      await work();
      return null;
    } catch (error) {
      return error instanceof runtime.MtacError ? error.code : String(error);
    }
  }

  /** Loses a device amid a call, then asks for another one. `lose` resolves once the device is told to go. */
  async function outlive(call: AttentionCall, device: GPUDevice, lose: () => void): Promise<Loss> {
    const launcher = await moduleOf(call).create(device, parametersOf(call));
    const inputs = put(device, call);
    await launcher.forward(inputs);
    const pending = codeOf(async () => {
      // One call after the other, so that one is in progress whenever the device goes.
      for (;;) {
        const { o, lse } = await launcher.forward(inputs);
        o.buffer.destroy();
        lse?.buffer.destroy();
      }
    });
    lose();
    const { reason } = await device.lost;
    const loss = {
      reason,
      pending: await pending,
      later: await codeOf(() => launcher.forward(inputs)),
      upload: await codeOf(() => put(device, call)),
    };
    const fresh = await open();
    const rebuilt = await launcher.rebuild(fresh);
    const outcome = await forward(fresh, rebuilt, call);
    rebuilt.destroy();
    fresh.destroy();
    return { ...loss, rebuilt: outcome };
  }

  return {
    async describeAdapter() {
      const { info, features } = await adapter();
      return {
        description: [info.vendor, info.architecture, info.description].filter(Boolean).join(" "),
        shaderF16: features.has("shader-f16"),
      };
    },

    /** Parameters as the module draws them. */
    initialParameters(call: AttentionCall, seed: number): Record<string, PlainTensor> {
      return Object.fromEntries(
        Object.entries(moduleOf(call).initParameters(seed)).map(([name, { shape, data }]) => [
          name,
          { shape, data: [...data] },
        ]),
      );
    },

    /** Every plan of the module that the device can run. */
    async everyPlan(call: AttentionCall): Promise<{ outcomes: Outcome[]; misfits: Misfit[] }> {
      const device = await open();
      const { create } = moduleOf(call);
      const parameters = parametersOf(call);
      const first = await create(device, parameters);
      const outcomes: Outcome[] = [];
      const misfits: Misfit[] = [];
      for (const plan of first.launcher.artifact.plans) {
        try {
          const launcher = await create(device, parameters, { plan });
          outcomes.push(await forward(device, launcher, call));
          launcher.destroy();
        } catch (error) {
          if (!(error instanceof runtime.MtacError) || error.code !== "MTA710") throw error;
          misfits.push({ plan: labelOf(plan), code: error.code });
        }
      }
      device.destroy();
      return { outcomes, misfits };
    },

    /** A device that the page requested by itself, with the limits that WebGPU promises everywhere. */
    async plainDevice(call: AttentionCall): Promise<Outcome> {
      const device = await (await adapter()).requestDevice();
      const launcher = await moduleOf(call).create(device, parametersOf(call));
      const outcome = await forward(device, launcher, call);
      device.destroy();
      return outcome;
    },

    /** The page's own encoder: the attention, and a copy of its result after it. */
    async encoded(call: AttentionCall): Promise<Outcome> {
      const device = await open();
      const launcher = await moduleOf(call).create(device, parametersOf(call));
      const inputs = put(device, call);
      const [B = 0, , Lq = 0] = inputs.q.shape;
      await launcher.prepare({ B, Lq, Lk: inputs.k.shape[2] ?? 0, R: 0 });
      const encoder = device.createCommandEncoder();
      const { o, lse, checked, release } = launcher.encode(encoder, inputs);
      const copy = runtime.allocate(device, o.shape, o.storage);
      encoder.copyBufferToBuffer(o.buffer, o.offset, copy.buffer, 0, copy.buffer.size);
      device.queue.submit([encoder.finish()]);
      release();
      await checked;
      const outcome = {
        plan: labelOf(launcher.launcher.plan),
        o: await read(device, copy),
        lse: lse === null ? null : await read(device, lse),
      };
      device.destroy();
      return outcome;
    },

    /** `GPUDevice.destroy` amid a call. */
    async destroyed(call: AttentionCall): Promise<Loss> {
      const device = await open();
      return outlive(call, device, () => device.destroy());
    },

    /** Gets ready for a device that dies by itself; resolves when it may die. `crashed` tells what came of it. */
    async awaitCrash(call: AttentionCall): Promise<void> {
      const device = await open();
      await new Promise<void>((resolve, reject) => {
        awaited = outlive(call, device, resolve);
        awaited.catch(reject);
      });
    },

    async crashed(): Promise<Loss> {
      if (awaited === null) throw new Error("awaitCrash first");
      return awaited;
    },
  };
}
