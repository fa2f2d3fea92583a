/** A kernel for C = A·B over square f32 matrices, row-major; their size is a multiple of its tile's. */
export interface ProductKernel {
  readonly name: string;
  /** Rows and columns of C that one workgroup computes. */
  readonly tile: { readonly rows: number; readonly columns: number };
  readonly code: string;
}

const BINDINGS = `@group(0) @binding(0) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> b: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> c: array<vec4<f32>>;
// Vectors of four in one row of a matrix.
override quads: u32;`;

/** Names of the sums of one thread: rows × quads of C. */
function sumsOf(rows: number, quads: number): readonly { row: number; quad: number; name: string }[] {
  return Array.from({ length: rows * quads }, (_, index) => {
    const [row, quad] = [Math.floor(index / quads), index % quads];
    return { row, quad, name: `sum_${row}_${quad}` };
  });
}

function range(count: number): readonly number[] {
  return Array.from({ length: count }, (_, index) => index);
}

/** Each thread keeps rows × columns of C in registers and reads A and B from memory: what suits processors with caches. */
function registerKernel(rows: number, columns: number): ProductKernel {
  const quads = columns / 4;
  const sums = sumsOf(rows, quads);
  const side = 8;
  const code = `${BINDINGS}

@compute @workgroup_size(${side}, ${side})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let row = id.y * ${rows}u;
  let column = id.x * ${quads}u;
${sums.map(({ name }) => `  var ${name} = vec4<f32>();`).join("\n")}
  for (var k = 0u; k < quads; k += 1u) {
${range(rows)
  .map((r) => `    let a_${r} = a[(row + ${r}u) * quads + k];`)
  .join("\n")}
${range(4)
  .flatMap((i) => [
    ...range(quads).map((q) => `    let b_${i}_${q} = b[(4u * k + ${i}u) * quads + column + ${q}u];`),
    ...sums.map(({ row, quad, name }) => `    ${name} += a_${row}[${i}] * b_${i}_${quad};`),
  ])
  .join("\n")}
  }
${sums.map(({ row, quad, name }) => `  c[(row + ${row}u) * quads + column + ${quad}u] = ${name};`).join("\n")}
}
`;
  return {
    name: `registers ${rows}×${columns}`,
    tile: { rows: side * rows, columns: side * columns },
    code,
  };
}

/** Tiles of A and B go through workgroup memory, each thread keeps 4×4 of C: what suits GPUs. */
function tiledKernel(): ProductKernel {
  const rows = range(4);
  const code = `${BINDINGS}
// 64 rows of 4 vectors, 16 rows of 16 vectors.
var<workgroup> tile_a: array<vec4<f32>, 256>;
var<workgroup> tile_b: array<vec4<f32>, 256>;

@compute @workgroup_size(16, 16)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_id) thread: vec3<u32>,
  @builtin(local_invocation_index) index: u32,
) {
  let first_row = group.y * 64u;
  let first_quad = group.x * 16u;
${rows.map((r) => `  var sum_${r} = vec4<f32>();`).join("\n")}
  for (var k = 0u; k < quads; k += 4u) {
    tile_a[index] = a[(first_row + index / 4u) * quads + k + index % 4u];
    tile_b[index] = b[(4u * k + index / 16u) * quads + first_quad + index % 16u];
    workgroupBarrier();
    for (var quad = 0u; quad < 4u; quad += 1u) {
${rows.map((r) => `      let a_${r} = tile_a[(thread.y * 4u + ${r}u) * 4u + quad];`).join("\n")}
${range(4)
  .flatMap((i) => [
    `      let b_${i} = tile_b[(quad * 4u + ${i}u) * 16u + thread.x];`,
    ...rows.map((r) => `      sum_${r} += a_${r}[${i}] * b_${i};`),
  ])
  .join("\n")}
    }
    workgroupBarrier();
  }
${rows.map((r) => `  c[(first_row + thread.y * 4u + ${r}u) * quads + first_quad + thread.x] = sum_${r};`).join("\n")}
}
`;
  return { name: "tiles 64×64 in workgroup memory", tile: { rows: 64, columns: 64 }, code };
}

/** Each is the best somewhere; which one tells the run. */
export const PRODUCT_KERNELS: readonly ProductKernel[] = [
  registerKernel(4, 4),
  registerKernel(4, 8),
  registerKernel(8, 8),
  tiledKernel(),
];
