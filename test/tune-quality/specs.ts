/** Small enough for SwiftShader, and unlike each other: plain and wide heads, convolutions before and after, mixes, masks. */
export const QUALITY_SPECS = {
  plain: "attention a { heads 4 head_dim 64 dtype f32 }",
  pre: "attention a { heads 4 head_dim 64 dtype f32 scores { conv 6x11 } }",
  post: "attention a { heads 4 head_dim 32 dtype f16 weights { conv 3x7 } output { norm } }",
  mixed: "attention a { heads 8 head_dim 32 dtype f32 scores { mix 8 } weights { mix 8 } }",
  layer:
    "attention a { heads 8 head_dim 48 dtype f16 scores { conv 6x11 mix 8 } weights { conv 6x11 mix 8 } output { norm gate } }",
  windowed:
    "attention a { heads 8 kv_heads 2 head_dim 32 dtype f32 mask causal window 96 scores { conv 4x5 } }",
} as const;

export const QUALITY_LENGTHS = [64, 128, 192] as const;
