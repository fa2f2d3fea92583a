import { describeValue } from "../contract/arguments.ts";
import { GpuError } from "./errors.ts";

/** How to wait for a promise that the device resolves; Node's Dawn needs more than an `await` (see `dawn-wait.ts`). */
export type Waiter = <T>(promise: Promise<T>) => Promise<T>;

const plainWait: Waiter = (promise) => promise;
const waiters = new WeakMap<GPUAdapter | GPUDevice, Waiter>();

/** Makes every wait on this adapter's devices, or on this device, go through `waiter`. */
export function setWaiter(owner: GPUAdapter | GPUDevice, waiter: Waiter): void {
  waiters.set(owner, waiter);
}

const dependencies = new WeakMap<object, object>();

/**
 * Keeps `dependency` from being collected before `dependent` is. Dawn in Node frees an instance whose GPU object was
 * collected, though adapters and devices of it are still in use, and then crashes.
 */
export function keepAlive(dependent: object, dependency: object): void {
  dependencies.set(dependent, dependency);
}

export function waiterOf(owner: GPUAdapter | GPUDevice): Waiter {
  return waiters.get(owner) ?? plainWait;
}

const LOSS_GRACE_MS = 20;

/**
 * What the runtime knows about one device: whether it is lost, and who waits for it. A list of rejections instead of
 * Promise.race with `device.lost`, which would gather one reaction a call for as long as the device lives.
 */
class DeviceState {
  #lost: GPUDeviceLostInfo | null = null;
  /** Who waits; the device is the value so that it is not collected meanwhile. */
  readonly #pending = new Map<(error: GpuError) => void, GPUDevice>();

  constructor(device: GPUDevice) {
    void device.lost.then((info) => {
      this.#lost = info;
      for (const reject of this.#pending.keys()) reject(lostError(info));
      this.#pending.clear();
    });
  }

  check(): void {
    if (this.#lost !== null) throw lostError(this.#lost);
  }

  guard<T>(device: GPUDevice, promise: Promise<T>): Promise<T> {
    const waiter = waiterOf(device);
    return new Promise<T>((resolve, reject) => {
      if (this.#lost !== null) {
        promise.catch(() => undefined);
        reject(lostError(this.#lost));
        return;
      }
      this.#pending.set(reject, device);
      waiter(promise).then(
        (value) => {
          this.#pending.delete(reject);
          resolve(value);
        },
        (error: unknown) => this.#explain(device, error, reject),
      );
    });
  }

  /** What was pending on a lost device may fail before `device.lost` tells why: give it a moment to. */
  #explain(device: GPUDevice, error: unknown, reject: (error: unknown) => void): void {
    if (this.#lost !== null) {
      reject(lostError(this.#lost));
      return;
    }
    const timer = setTimeout(() => {
      this.#pending.delete(settle);
      reject(error);
    }, LOSS_GRACE_MS);
    const settle = (lost: GpuError): void => {
      clearTimeout(timer);
      reject(lost);
    };
    this.#pending.delete(reject);
    this.#pending.set(settle, device);
  }
}

const states = new WeakMap<GPUDevice, DeviceState>();

function stateOf(device: GPUDevice): DeviceState {
  let state = states.get(device);
  if (state === undefined) {
    state = new DeviceState(device);
    states.set(device, state);
  }
  return state;
}

function lostError(info: GPUDeviceLostInfo): GpuError {
  const destroyed = info.reason === "destroyed";
  return new GpuError(
    "MTA705",
    `the GPU device was lost (${destroyed ? "destroyed by the program" : "reason unknown"}): ${info.message || "no details from the driver"}`,
    { remedy: "request a new device and call launcher.rebuild(device); tensors on the lost device are gone" },
  );
}

/**
 * Starts to watch the device and throws if it is none, or lost.
 *
 * @throws GpuError MTA705 when the device was lost, MTA742 when it is no device.
 */
export function checkDevice(device: GPUDevice): void {
  if (!isDevice(device)) {
    const isAdapter = hasMethod(device, "requestDevice");
    throw new GpuError(
      "MTA742",
      `a GPUDevice is needed, not ${isAdapter ? "its adapter" : describeValue(device)}`,
      {
        remedy: isAdapter
          ? "await requestDevice(adapter) first, and pass what it gives"
          : "pass the GPUDevice that requestDevice(adapter) gives",
      },
    );
  }
  stateOf(device).check();
}

/** @throws GpuError MTA742 when it is no command encoder. */
export function checkEncoder(encoder: unknown): void {
  if (hasMethod(encoder, "beginComputePass") && hasMethod(encoder, "copyBufferToBuffer")) return;
  throw new GpuError("MTA742", `a GPUCommandEncoder is needed, not ${describeValue(encoder)}`, {
    remedy: "pass what device.createCommandEncoder() gives, with no pass open",
  });
}

/** By what it can do: a device may come from any implementation of WebGPU. */
function isDevice(value: unknown): boolean {
  return hasMethod(value, "createBuffer") && typeof value === "object" && value !== null && "queue" in value;
}

export function hasMethod(value: unknown, name: string): boolean {
  return typeof value === "object" && value !== null && typeof Reflect.get(value, name) === "function";
}

/**
 * Waits for what the device promised; a device that is lost meanwhile rejects at once.
 *
 * @throws GpuError MTA705 when the device is lost before the promise settles.
 */
export function waitFor<T>(device: GPUDevice, promise: Promise<T>): Promise<T> {
  return stateOf(device).guard(device, promise);
}
