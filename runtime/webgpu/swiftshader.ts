import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import zlib from "node:zlib";
import { cacheFolder } from "../contract/cache-folder.ts";
import { GpuError } from "./errors.ts";

const PACKAGE = "@sparticuz/chromium";
const DRIVER_FILES = ["libvk_swiftshader.so", "libvulkan.so.1", "vk_swiftshader_icd.json"];

/** Where the fallback driver lies on this machine. */
export interface SwiftShaderFiles {
  /** The Vulkan loader. */
  readonly loader: string;
  /** The driver's manifest, for VK_DRIVER_FILES. */
  readonly manifest: string;
}

/**
 * Unpacks SwiftShader and the Vulkan loader from the package into `folder`/swiftshader-<version>, unless they are there.
 * The whole folder appears by one rename, so that processes which start together never see half of it.
 *
 * @throws GpuError MTA702 (package missing), MTA703 (another platform than Linux x64, or an unreadable archive).
 */
export function unpackSwiftShader(folder: string = cacheFolder()): SwiftShaderFiles {
  if (process.platform !== "linux" || process.arch !== "x64") {
    throw new GpuError(
      "MTA703",
      `the SwiftShader fallback is built for Linux x64, not for ${process.platform} ${process.arch}`,
      {
        remedy: "install a Vulkan driver (or use a machine with a GPU)",
      },
    );
  }
  const root = packageRoot();
  const target = path.join(folder, `swiftshader-${packageVersion(root)}`);
  const files = {
    loader: path.join(target, "libvulkan.so.1"),
    manifest: path.join(target, "vk_swiftshader_icd.json"),
  };
  if (!fs.existsSync(files.manifest)) install(path.join(root, "bin", "swiftshader.tar.br"), target);
  return files;
}

function packageRoot(): string {
  try {
    let folder = path.dirname(createRequire(import.meta.url).resolve(PACKAGE));
    while (!fs.existsSync(path.join(folder, "bin", "swiftshader.tar.br"))) {
      const parent = path.dirname(folder);
      if (parent === folder) throw new Error("the package holds no bin/swiftshader.tar.br");
      folder = parent;
    }
    return folder;
  } catch (cause) {
    throw new GpuError(
      "MTA702",
      `there is no GPU, and the package ${PACKAGE}, which carries a software one, is not installed`,
      {
        remedy: `npm install ${PACKAGE}@147.0.0`,
        cause,
      },
    );
  }
}

function packageVersion(root: string): string {
  const parsed: unknown = JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8"));
  const version =
    typeof parsed === "object" && parsed !== null && "version" in parsed ? parsed.version : null;
  return typeof version === "string" ? version : "unknown";
}

function install(archive: string, target: string): void {
  const parent = path.dirname(target);
  let temporary: string | null = null;
  try {
    fs.mkdirSync(parent, { recursive: true });
    temporary = fs.mkdtempSync(path.join(parent, "unpack-"));
    const wanted = new Set(DRIVER_FILES);
    for (const entry of tarEntries(zlib.brotliDecompressSync(fs.readFileSync(archive)))) {
      const name = path.posix.basename(entry.name);
      if (wanted.delete(name)) fs.writeFileSync(path.join(temporary, name), entry.data, { mode: 0o755 });
    }
    if (wanted.size > 0) throw new Error(`the archive lacks ${[...wanted].join(", ")}`);
    rename(temporary, target);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new GpuError("MTA703", `SwiftShader could not be unpacked into ${target}: ${reason}`, {
      remedy: "set XDG_CACHE_HOME to a writable folder",
      cause,
    });
  } finally {
    if (temporary !== null) fs.rmSync(temporary, { recursive: true, force: true });
  }
}

function rename(from: string, to: string): void {
  try {
    fs.renameSync(from, to);
  } catch (error) {
    // Another process was first: its folder is complete, and ours is removed.
    if (!fs.existsSync(path.join(to, "vk_swiftshader_icd.json"))) throw error;
  }
}

/** Regular entries of a tar archive (POSIX ustar: 512-byte header, name at 0, octal size at 124, padded data). */
function* tarEntries(archive: Buffer): Generator<{ readonly name: string; readonly data: Buffer }> {
  const field = (at: number, length: number): string =>
    archive.toString("latin1", at, at + length).split("\0")[0] ?? "";
  let at = 0;
  while (at + 512 <= archive.length) {
    const name = field(at, 100);
    if (name === "") return;
    const size = Number.parseInt(field(at + 124, 12), 8) || 0;
    yield { name, data: archive.subarray(at + 512, at + 512 + size) };
    at += 512 + Math.ceil(size / 512) * 512;
  }
}
