/** What differs between launchers of different runtimes: names, and what a call can do. */
export interface LauncherFlavour {
  /** What the modules import, and all that they import. */
  readonly runtime: string;
  /** Between an attention's name and the ending of its files. */
  readonly suffix: string;
  /** The types that an attention's module imports, in order. It calls the class that it wraps `Launcher`. */
  readonly types: readonly string[];
  /** What it imports beside them where there are gradients; under names that no attention's types have. */
  readonly gradientTypes: readonly string[];
  readonly device: string;
  readonly tensor: string;
  /** Of results: tensors that can be destroyed. */
  readonly ownedTensor: string;
  readonly outputs: string;
  readonly result: string;
  readonly options: string;
  readonly backwardOptions: string;
  readonly createLauncher: string;
  /** Whether calls can be recorded into a command encoder. */
  readonly encodes: boolean;
  /** Where a device comes from. */
  readonly deviceDoc: string;
  /** Whose the results are. */
  readonly ownerDoc: string;
  readonly prepareDoc: string;
}

export const WEBGPU_FLAVOUR: LauncherFlavour = {
  runtime: "mtac/runtime",
  suffix: "",
  types: [
    "AttentionOutputs",
    "DeviceTensor",
    "EncodedCall",
    "ForwardResult",
    "Launcher",
    "LauncherOptions",
    "OwnedTensor",
    "PrepareSize",
    "Timing",
  ],
  gradientTypes: [
    "AttentionBackwardOptions",
    "AttentionGradients as Computed",
    "EncodedGradients as Recorded",
    "SavedCall",
    "SavedResult as Kept",
    "SomeGradients as Asked",
  ],
  // The platform's own.
  device: "GPUDevice",
  tensor: "DeviceTensor",
  ownedTensor: "OwnedTensor",
  outputs: "AttentionOutputs",
  result: "ForwardResult",
  options: "LauncherOptions",
  backwardOptions: "AttentionBackwardOptions",
  createLauncher: "createLauncher",
  encodes: true,
  deviceDoc: "The caller's own, or one from `requestDevice`.",
  ownerDoc: "They stay on the device, and are the caller's to destroy.",
  prepareDoc: "Compiles what calls of this size need, so that `encode` can follow.",
};

export const CUDA_FLAVOUR: LauncherFlavour = {
  runtime: "mtac/runtime/cuda",
  suffix: ".cuda",
  types: [
    "CudaDevice",
    "CudaForwardResult",
    // An attention called "cuda" exports a CudaLauncher.
    "CudaLauncher as Launcher",
    "CudaLauncherOptions",
    "CudaOutputs",
    "CudaTensor",
    "OwnedCudaTensor",
    "PrepareSize",
    "Timing",
  ],
  gradientTypes: [
    "CudaBackwardOptions",
    "CudaGradients as Computed",
    "SavedCall",
    "SavedResult as Kept",
    "SomeGradients as Asked",
  ],
  device: "CudaDevice",
  tensor: "CudaTensor",
  ownedTensor: "OwnedCudaTensor",
  outputs: "CudaOutputs",
  result: "CudaForwardResult",
  options: "CudaLauncherOptions",
  backwardOptions: "CudaBackwardOptions",
  createLauncher: "createCudaLauncher",
  encodes: false,
  deviceDoc: "From `openCuda` or `openEmulatedCuda`.",
  ownerDoc: "They stay on the device, and are the caller's to destroy.",
  prepareDoc: "Compiles what calls of this size need, and checks that they fit the device.",
};

export const CPU_FLAVOUR: LauncherFlavour = {
  runtime: "mtac/runtime/cpu",
  suffix: ".cpu",
  types: [
    "CpuDevice",
    "CpuForwardResult",
    // An attention called "cpu" exports a CpuLauncher.
    "CpuLauncher as Launcher",
    "CpuLauncherOptions",
    "CpuOutputs",
    "CpuTensor",
    "OwnedCpuTensor",
    "PrepareSize",
    "Timing",
  ],
  gradientTypes: [
    "CpuBackwardOptions",
    "CpuGradients as Computed",
    "SavedCall",
    "SavedResult as Kept",
    "SomeGradients as Asked",
  ],
  device: "CpuDevice",
  tensor: "CpuTensor",
  ownedTensor: "OwnedCpuTensor",
  outputs: "CpuOutputs",
  result: "CpuForwardResult",
  options: "CpuLauncherOptions",
  backwardOptions: "CpuBackwardOptions",
  createLauncher: "createCpuLauncher",
  encodes: false,
  deviceDoc: "From `openCpu`.",
  ownerDoc: "They stay in the library's memory, and are the caller's to destroy.",
  prepareDoc: "Checks that calls of this size fit.",
};

/** The same in pages. */
export const WASM_FLAVOUR: LauncherFlavour = {
  ...CPU_FLAVOUR,
  runtime: "mtac/runtime/wasm",
  deviceDoc: "From `openWasm`.",
};

/** Whatever a page has: `CHOICES` names what it chooses from. */
export const AUTO_FLAVOUR: LauncherFlavour = {
  runtime: "mtac/runtime/auto",
  suffix: ".auto",
  types: [
    "AutoDevice",
    "AutoForwardResult",
    // An attention called "auto" exports an AutoLauncher.
    "AutoLauncher as Launcher",
    "AutoLauncherOptions",
    "AutoOutputs",
    "AutoTensor",
    "OwnedAutoTensor",
    "PrepareSize",
    "Timing",
  ],
  gradientTypes: [
    "AutoBackwardOptions",
    "AutoGradients as Computed",
    "SavedCall",
    "SavedResult as Kept",
    "SomeGradients as Asked",
  ],
  device: "AutoDevice",
  tensor: "AutoTensor",
  ownedTensor: "OwnedAutoTensor",
  outputs: "AutoOutputs",
  result: "AutoForwardResult",
  options: "AutoLauncherOptions",
  backwardOptions: "AutoBackwardOptions",
  createLauncher: "createAutoLauncher",
  encodes: false,
  deviceDoc: "From `openDevice`.",
  ownerDoc: "They stay on the device, and are the caller's to destroy.",
  prepareDoc: "Compiles what calls of this size need, and checks that they fit the device.",
};

/** What `AutoArtifact` calls the kernels that a page chooses from. */
export const CHOICES = { webgpu: WEBGPU_FLAVOUR, wasm: WASM_FLAVOUR } as const;
