import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, describe, expect, test, vi } from "vitest";
import type { KernelImage } from "../../runtime/contract/index.ts";
import { type BuildRequest, KernelBuilder } from "../../runtime/cuda/compile/builder.ts";
import { type CacheKey, entryName, KernelCache } from "../../runtime/cuda/compile/cache.ts";
import { chooseImage } from "../../runtime/cuda/compile/images.ts";
import { findNvcc } from "../../runtime/cuda/compile/nvcc.ts";
import { nvrtcDouble, temporaryFolder } from "./doubles.ts";

const nvrtc = nvrtcDouble();
const AMPERE = { name: "an A100", architecture: "sm_80", computeCapability: 80 };

const TINY = 'extern "C" __global__ void tiny(int* a) { a[threadIdx.x] = 1; }\n';

function request(changes: Partial<BuildRequest> = {}): BuildRequest {
  return {
    file: "tiny.cu",
    text: TINY,
    images: [],
    subject: "attention",
    properties: AMPERE,
    accepts: ["cubin", "ptx"],
    ...changes,
  };
}

function textOf({ bytes }: { bytes: Uint8Array }): string {
  return Buffer.from(bytes).toString("utf8");
}

afterEach(() => {
  vi.unstubAllEnvs();
});

describe("NVRTC", () => {
  test("comes first, and gets the options that kernels need", async () => {
    const builder = new KernelBuilder({ nvrtc: nvrtc.path, cache: null });
    expect(await builder.compiler()).toMatchObject({
      kind: "nvrtc",
      version: "13.1",
      capabilities: [75, 80, 90],
    });
    const image = await builder.build(request());
    expect(image.kind).toBe("cubin");
    expect(textOf(image).split("\n").slice(0, 4)).toEqual([
      "// --std=c++17",
      "// --generate-line-info",
      "// -DMTAC_KERNELS_ONLY",
      "// --gpu-architecture=sm_80",
    ]);
    expect(nvrtc.programs()).toBe(0);
  });

  test("tells what does not compile, with its log", async () => {
    const builder = new KernelBuilder({ nvrtc: nvrtc.path, cache: null });
    await expect(builder.build(request({ text: "#error no such thing\n" }))).rejects.toMatchObject({
      code: "MTA813",
      message: expect.stringMatching(/tiny\.cu does not compile for sm_80.*tiny\.cu\(1\): error: #error no/s),
    });
    expect(nvrtc.programs()).toBe(0);
  });

  test("makes PTX for a device that is newer than it", async () => {
    const builder = new KernelBuilder({ nvrtc: nvrtc.path, cache: null });
    const properties = { name: "a later device", architecture: "sm_103", computeCapability: 103 };
    const image = await builder.build(request({ properties }));
    expect(image.kind).toBe("ptx");
    expect(textOf(image)).toContain("--gpu-architecture=sm_90\n");
  });

  test("is found through the environment; a path that leads nowhere is an error", async () => {
    vi.stubEnv("MTAC_LIBNVRTC", nvrtc.path);
    expect((await new KernelBuilder().compiler())?.kind).toBe("nvrtc");
    vi.stubEnv("MTAC_LIBNVRTC", "/nowhere/libnvrtc.so");
    await expect(new KernelBuilder().compiler()).rejects.toMatchObject({
      code: "MTA817",
      message: expect.stringContaining("/nowhere/libnvrtc.so"),
    });
  });
});

describe("nvcc", () => {
  const folder = temporaryFolder();

  function fakeNvcc(name: string, body: string): string {
    const path = join(folder, name);
    writeFileSync(path, `#!/bin/sh\n${body}\n`);
    chmodSync(path, 0o755);
    return path;
  }

  test("is found on the PATH or under CUDA_HOME", async () => {
    const home = join(folder, "home");
    mkdirSync(join(home, "bin"), { recursive: true });
    const path = fakeNvcc("home/bin/nvcc", 'echo "release 12.4, V12.4.131"; echo sm_80 sm_90');
    vi.stubEnv("PATH", "/nowhere");
    vi.stubEnv("CUDA_HOME", "");
    vi.stubEnv("CUDA_PATH", "");
    expect(await findNvcc()).toBeNull();
    vi.stubEnv("CUDA_HOME", home);
    expect(await findNvcc()).toMatchObject({
      version: "12.4.131",
      capabilities: [80, 90],
      description: `nvcc 12.4.131 (${path})`,
    });
    vi.stubEnv("CUDA_HOME", "");
    vi.stubEnv("PATH", `/nowhere:${join(home, "bin")}`);
    expect(await findNvcc()).toMatchObject({ version: "12.4.131" });
  });

  test("gets a folder of its own, which is gone afterwards", async () => {
    const seen = join(folder, "seen");
    const path = fakeNvcc(
      "recording",
      `case "$1" in --version) echo V1.2.3;; --list*) echo sm_80;; *) pwd >${seen}; echo "$@" >>${seen}; printf code >kernels.cubin;; esac`,
    );
    const builder = new KernelBuilder({ nvcc: path, cache: null });
    expect(textOf(await builder.build(request({ file: "-weird name.cu" })))).toBe("code");
    const [where = "", args] = readFileSync(seen, "utf8").split("\n");
    expect(args).toBe(
      "-cubin -std=c++17 -lineinfo -DMTAC_KERNELS_ONLY -arch=sm_80 -o kernels.cubin _weird_name.cu",
    );
    expect(() => readdirSync(where)).toThrow("ENOENT");
  });

  test("says what goes wrong", async () => {
    const silent = fakeNvcc("silent", "echo hello");
    await expect(findNvcc(silent)).rejects.toMatchObject({ code: "MTA817" });
    await expect(findNvcc(join(folder, "absent"))).rejects.toMatchObject({
      code: "MTA817",
      message: expect.stringContaining("ENOENT"),
    });
    const path = fakeNvcc(
      "failing",
      'case "$1" in --version) echo V1.2.3;; --list*) echo sm_80;; *) echo "tiny.cu(3): error: oops" >&2; exit 2;; esac',
    );
    await expect(new KernelBuilder({ nvcc: path, cache: null }).build(request())).rejects.toMatchObject({
      code: "MTA813",
      message: expect.stringContaining("tiny.cu(3): error: oops"),
    });
  });
});

describe("precompiled images", () => {
  const image = (architecture: string, kind: KernelImage["kind"]): KernelImage => ({
    architecture,
    kind,
    file: "tiny.cu",
    data: Buffer.from(`${kind} ${architecture}`).toString("base64"),
  });
  const all = [
    image("sm_70", "ptx"),
    image("sm_80", "cubin"),
    image("sm_86", "cubin"),
    image("sm_80", "ptx"),
    image("sm_90a", "cubin"),
    image("sm_90", "cubin"),
    image("sm_90a", "ptx"),
  ];

  test.each([
    ["sm_75", 75, "ptx sm_70"],
    ["sm_80", 80, "cubin sm_80"],
    ["sm_87", 87, "cubin sm_86"],
    ["sm_89", 89, "cubin sm_86"],
    ["sm_90", 90, "cubin sm_90a"],
    ["sm_90a", 90, "cubin sm_90a"],
    ["sm_100", 100, "ptx sm_80"],
  ])("for %s", (architecture, computeCapability, expected) => {
    const found = chooseImage(all, { architecture, computeCapability }, ["cubin", "ptx"]);
    expect(found === null ? null : textOf(found)).toBe(expected);
  });

  test("none that suits", async () => {
    expect(chooseImage(all, { architecture: "sm_60", computeCapability: 60 }, ["cubin", "ptx"])).toBeNull();
    const builder = new KernelBuilder({ compiler: "images", cache: null });
    await expect(
      builder.build(request({ text: undefined, images: [image("sm_90", "cubin")] })),
    ).rejects.toMatchObject({ code: "MTA812" });
    await expect(builder.build(request({ images: [image("sm_90", "cubin")] }))).rejects.toMatchObject({
      code: "MTA815",
      message: expect.stringContaining("do not suit (cubin for sm_90)"),
    });
  });
});

describe("the cache", () => {
  const key: CacheKey = {
    text: TINY,
    options: ["-a"],
    compiler: "nvcc",
    version: "13.0.88",
    architecture: "sm_80",
    output: "cubin",
  };

  test("keeps what differs apart", () => {
    const changes: Partial<CacheKey>[] = [
      {},
      { text: `${TINY} ` },
      { options: ["-a", "-b"] },
      { options: ["-a-b"] },
      { compiler: "nvrtc" },
      { version: "13.0.89" },
      { architecture: "sm_90" },
      { output: "ptx" },
    ];
    const names = changes.map((change) => entryName({ ...key, ...change }));
    expect(new Set(names).size).toBe(changes.length);
  });

  test("gives back what was put in, and nothing that was damaged", async () => {
    const folder = join(temporaryFolder(), "deep", "cuda");
    const cache = new KernelCache(folder);
    const bytes = Uint8Array.of(0, 10, 255, 10, 3);
    expect(await cache.read(key)).toBeNull();
    await cache.write(key, bytes);
    expect(readdirSync(folder)).toEqual([entryName(key)]);
    expect(Uint8Array.from((await cache.read(key)) ?? [])).toEqual(bytes);
    const entry = join(folder, entryName(key));
    const whole = readFileSync(entry);
    for (let length = whole.length - 1; length >= 0; length -= 7) {
      truncateSync(entry, length);
      expect(await cache.read(key)).toBeNull();
    }
    for (const at of [0, 20, whole.length - 1]) {
      const flipped = Buffer.from(whole);
      flipped[at] = (flipped[at] ?? 0) ^ 1;
      writeFileSync(entry, flipped);
      expect(await cache.read(key)).toBeNull();
    }
    await cache.write(key, bytes);
    expect(Uint8Array.from((await cache.read(key)) ?? [])).toEqual(bytes);
  });

  test("a damaged entry is compiled again", async () => {
    const folder = temporaryFolder();
    const build = () => new KernelBuilder({ nvrtc: nvrtc.path, cache: folder }).build(request());
    const first = textOf(await build());
    const [name = ""] = readdirSync(folder);
    const poisoned = readFileSync(join(folder, name), "utf8").replace("tiny", "evil");
    writeFileSync(join(folder, name), poisoned);
    expect(textOf(await build())).toBe(first);
    expect(readFileSync(join(folder, name), "utf8")).not.toContain("evil");
  });

  test("spares the compiler", async () => {
    const folder = temporaryFolder();
    await new KernelBuilder({ nvrtc: nvrtc.path, cache: folder }).build(request());
    const [name = ""] = readdirSync(folder);
    const bytes = Buffer.from("from the cache");
    await new KernelCache(folder).write(
      {
        text: TINY,
        options: ["--std=c++17", "--generate-line-info", "-DMTAC_KERNELS_ONLY"],
        compiler: "nvrtc",
        version: "13.1",
        architecture: "sm_80",
        output: "cubin",
      },
      bytes,
    );
    expect(readdirSync(folder)).toEqual([name]);
    const image = await new KernelBuilder({ nvrtc: nvrtc.path, cache: folder }).build(request());
    expect(textOf(image)).toBe("from the cache");
  });

  test("does without a folder that it cannot use", async () => {
    const file = join(temporaryFolder(), "a-file");
    writeFileSync(file, "");
    // Works for root too, whom permissions do not stop.
    for (const cache of [join(file, "cuda"), "/proc/mtac-cache", "/dev/null"]) {
      const image = await new KernelBuilder({ nvrtc: nvrtc.path, cache }).build(request());
      expect(textOf(image)).toContain("tiny");
    }
  });

  test("serves processes that compile the same source at once", async () => {
    const folder = temporaryFolder();
    const program = join(folder, "program.mts");
    const builder = pathToFileURL(join(import.meta.dirname, "../../runtime/cuda/compile/builder.ts"));
    writeFileSync(
      program,
      `import { KernelBuilder } from ${JSON.stringify(builder.href)};
const builder = new KernelBuilder({ compiler: "nvcc", cache: ${JSON.stringify(join(folder, "cache"))} });
const { bytes } = await builder.build(${JSON.stringify(request())});
console.log(Buffer.from(bytes).toString("base64"));
`,
    );
    const tsx = createRequire(import.meta.url).resolve("tsx/cli");
    const compile = () => finished(spawn(process.execPath, [tsx, program], { cwd: import.meta.dirname }));
    const outputs = await Promise.all([compile(), compile(), compile()]);
    for (const output of outputs) expect(output.length).toBeGreaterThan(1000);
    expect(readdirSync(join(folder, "cache"))).toHaveLength(1);
    // Line information names each process's own folder: whichever was last stays, whole.
    expect(outputs).toContain(await compile());
  });
});

function finished(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let output = "";
    child.stdout?.on("data", (data) => {
      output += String(data);
    });
    child.stderr?.pipe(process.stderr);
    child.on("error", reject);
    child.on("close", (code) => (code === 0 ? resolve(output) : reject(new Error(`exit code ${code}`))));
  });
}
