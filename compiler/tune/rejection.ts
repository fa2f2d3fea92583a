import { MtacError } from "../../runtime/contract/index.ts";
import type { Rejection } from "./record.ts";

type Reason = Rejection["reason"];

/** What an error of a device or of its compiler says about the candidate that met it, by the error's code. */
const REASONS: Readonly<Record<string, Reason>> = {
  // WebGPU: lost; no plan fits; kernels that do not compile; limits; refused commands.
  MTA705: "device-lost",
  MTA710: "limit",
  MTA713: "compile",
  MTA714: "compile",
  MTA730: "limit",
  MTA731: "limit",
  MTA732: "limit",
  MTA733: "limit",
  MTA734: "device-lost",
  // CUDA: a broken context; no plan fits; kernels that do not compile or load; limits; launches that fail.
  MTA805: "device-lost",
  MTA810: "limit",
  MTA813: "compile",
  MTA815: "compile",
  MTA816: "compile",
  MTA830: "limit",
  MTA831: "limit",
  MTA832: "limit",
  MTA834: "device-lost",
  // The emulator found a fault in the kernel.
  MTA850: "compile",
  MTA851: "compile",
  MTA852: "wrong",
  MTA853: "wrong",
  MTA854: "wrong",
  MTA855: "wrong",
  MTA856: "wrong",
  MTA857: "wrong",
  MTA859: "wrong",
  MTA860: "timeout",
  MTA861: "wrong",
};

export interface Refusal {
  readonly reason: Reason;
  readonly code: string;
  readonly message: string;
}

/** Why a candidate is out; null where the error is none of the candidate's. */
export function refusalOf(error: unknown): Refusal | null {
  if (!(error instanceof MtacError)) return null;
  const reason = REASONS[error.code];
  return reason === undefined ? null : { reason, code: error.code, message: error.message };
}
