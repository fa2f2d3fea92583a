import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
};

export interface StaticServer {
  /** Ends with a slash. */
  readonly url: string;
  close(): void;
}

/**
 * Serves a folder's files on this machine, like a plain server of static files.
 * @param at Where on the server they lie; it begins and ends with a slash.
 * @param headers What every answer has beside its type.
 */
export function serveFolder(
  folder: string,
  at = "/playground/",
  headers: Readonly<Record<string, string>> = {},
): Promise<StaticServer> {
  const server = createServer(({ url = "" }, response) => {
    const path = url.startsWith(at) ? /^([\w./-]*)(?:\?.*)?$/.exec(url.slice(at.length))?.[1] : undefined;
    const file = path?.replace(/(^|\/)$/, "$1index.html");
    try {
      if (file === undefined || normalize(file).startsWith("..")) throw new Error("outside the folder");
      const content = readFileSync(join(folder, file));
      response.writeHead(200, {
        ...headers,
        "content-type": TYPES[extname(file)] ?? "application/octet-stream",
      });
      response.end(content);
    } catch {
      response.writeHead(404, { "content-type": "text/plain" });
      response.end("not found");
    }
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      if (address === null || typeof address === "string") {
        reject(new Error("the server has no port"));
        return;
      }
      resolve({
        url: `http://127.0.0.1:${address.port}${at}`,
        close: () => {
          server.closeAllConnections();
          server.close();
        },
      });
    });
  });
}
