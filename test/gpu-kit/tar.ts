/** Sizes of ustar (POSIX.1-1988): blocks, and the fields of a header. */
const BLOCK = 512;
const NAME_LENGTH = 100;

/**
 * Files as a tar archive (ustar), in the order given, readable by all, of no date.
 *
 * @param files By path, with `/` between folders.
 * @throws RangeError for a path of more than 100 bytes
 */
export function tarOf(files: ReadonlyMap<string, Uint8Array>): Buffer {
  const blocks: Uint8Array[] = [];
  for (const [path, content] of files) {
    blocks.push(header(path, content.length), content, new Uint8Array(-content.length & (BLOCK - 1)));
  }
  // Two empty blocks are an archive's end.
  return Buffer.concat([...blocks, new Uint8Array(2 * BLOCK)]);
}

function header(path: string, length: number): Uint8Array {
  if (Buffer.byteLength(path) > NAME_LENGTH) throw new RangeError(`the path ${path} is too long for ustar`);
  const bytes = Buffer.alloc(BLOCK);
  const octal = (value: number, digits: number): string => `${value.toString(8).padStart(digits, "0")}\0`;
  bytes.write(path, 0);
  bytes.write(octal(0o644, 7), 100);
  bytes.write(octal(0, 7), 108);
  bytes.write(octal(0, 7), 116);
  bytes.write(octal(length, 11), 124);
  bytes.write(octal(0, 11), 136);
  bytes.write("        0", 148);
  bytes.write("ustar\u000000", 257);
  const sum = bytes.reduce((total, byte) => total + byte, 0);
  bytes.write(`${octal(sum, 6)} `, 148);
  return bytes;
}
