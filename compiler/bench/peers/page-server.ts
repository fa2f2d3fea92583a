import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { extname, join } from "node:path";

const CONTENT_TYPES: Readonly<Record<string, string>> = {
  ".mjs": "text/javascript",
  ".wasm": "application/wasm",
};

const PAGE = `<!doctype html>
<meta charset="utf-8"><title>mtac bench</title><link rel="icon" href="data:,">
<script type="module" src="/peer.mjs"></script>`;

/** A file on this machine for a path, null where the page has no business. */
export type FileFinder = (path: string) => string | null;

export interface PageServer {
  /** Ends with a slash. */
  readonly url: string;
  /** The bytes of the latest POST to /output, once. */
  takeOutput(): Uint8Array | null;
  close(): Promise<void>;
}

/** Serves a page, and the files that `find` knows, to this machine only; takes the page's output. */
export async function servePage(find: FileFinder): Promise<PageServer> {
  let output: Uint8Array | null = null;
  const server = createServer((request, response) => {
    const answered =
      request.method === "POST" && request.url === "/output"
        ? bodyOf(request).then((bytes) => {
            output = bytes;
            response.writeHead(204).end();
          })
        : answer(request.url ?? "", find, response);
    answered.catch(() => response.destroy());
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      if (address === null || typeof address === "string") reject(new Error("the server has no port"));
      else resolve(address.port);
    });
  });
  return {
    url: `http://127.0.0.1:${port}/`,
    takeOutput() {
      const taken = output;
      output = null;
      return taken;
    },
    close() {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

async function answer(url: string, find: FileFinder, response: ServerResponse): Promise<void> {
  // An isolated page may use threads, and has a finer clock.
  response.setHeader("cross-origin-opener-policy", "same-origin");
  response.setHeader("cross-origin-embedder-policy", "require-corp");
  if (url === "/") {
    response.writeHead(200, { "content-type": "text/html" }).end(PAGE);
    return;
  }
  const file = find(url);
  if (file === null) {
    response.writeHead(404).end();
    return;
  }
  const { size } = await stat(file);
  const type = CONTENT_TYPES[extname(file)] ?? "application/octet-stream";
  response.writeHead(200, { "content-type": type, "content-length": size });
  createReadStream(file)
    .on("error", () => response.destroy())
    .pipe(response);
}

async function bodyOf(request: IncomingMessage): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of request) if (chunk instanceof Uint8Array) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Finds `/name` as a file of that name in a folder; names with further slashes are not served. */
export function filesIn(prefix: string, folder: string): FileFinder {
  return (path) => {
    const name = path.startsWith(prefix) ? path.slice(prefix.length) : "";
    return /^[\w-][\w.-]*$/.test(name) ? join(folder, name) : null;
  };
}
