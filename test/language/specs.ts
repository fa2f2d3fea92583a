import fc from "fast-check";

/** The example of the language's description. */
export const EXAMPLE = `// The 830M configuration of "Multi-Token Attention" (arXiv 2504.00927).
attention mta_830m {
  heads     16
  head_dim  96
  mask      causal
  dtype     f16

  scores   { conv 6x11   mix 16 }     // before the softmax, in this order
  weights  { conv 6x11   mix 16 }     // after the softmax, in this order
  output   { norm   gate }            // after the product with V
}

attention mta_heads extends mta_830m { scores { mix 16 }  weights { mix 16 } }   // no key-query conv

stack mta_830m_model {                 // which layer uses which attention
  layers 24
  use mta_830m  at 2, 6, 10, 14, 18, 22
  use mta_heads otherwise
}
`;

/** A copy without places: what two sources that mean the same have in common. */
export function withoutPlaces(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutPlaces);
  if (typeof value !== "object" || value === null) return value;
  const kept = Object.entries(value).filter(([key]) => !["span", "nameSpan", "file"].includes(key));
  return Object.fromEntries(kept.map(([key, inner]) => [key, withoutPlaces(inner)]));
}

// Generated specs: correct syntax, as lists of tokens, so that comments and blanks can be put between any two of them.
type Tokens = readonly string[];

const identifier = fc.stringMatching(/^[a-z][a-z0-9]{0,6}(_[a-z0-9]{1,5})?$/).map((name) => `v${name}`);
const numeral = fc.oneof(
  fc.nat(5000).map(String),
  fc.constantFrom("0.5", "1e-5", "2.25", "1E+3", "10000000000000000000000"),
);
const size = fc.tuple(fc.nat(70), fc.nat(70)).map(([query, key]) => `${query}x${key}`);

function sequence(...parts: readonly fc.Arbitrary<Tokens>[]): fc.Arbitrary<Tokens> {
  return fc.tuple(...parts).map((all) => all.flat());
}

const fixed = (...tokens: readonly string[]): fc.Arbitrary<Tokens> => fc.constant(tokens);
const one = (token: fc.Arbitrary<string>): fc.Arbitrary<Tokens> => token.map((text) => [text]);
const many = (part: fc.Arbitrary<Tokens>, maxLength = 4): fc.Arbitrary<Tokens> =>
  fc.array(part, { maxLength }).map((all) => all.flat());
const list = (part: fc.Arbitrary<Tokens>): fc.Arbitrary<Tokens> =>
  fc
    .array(part, { minLength: 1, maxLength: 30 })
    .map((all) => all.flatMap((item, index) => (index > 0 ? [",", ...item] : item)));

const expression: fc.Arbitrary<Tokens> = fc.letrec<{ expression: Tokens }>((tie) => ({
  expression: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    one(numeral),
    one(identifier),
    sequence(fixed("-"), tie("expression")),
    sequence(fixed("("), tie("expression"), fixed(")")),
    sequence(tie("expression"), one(fc.constantFrom("+", "-", "*", "/")), tie("expression")),
  ),
})).expression;

const value = fc.oneof(one(numeral), one(identifier), sequence(fixed("("), expression, fixed(")")));
const pair = fc.oneof(one(size), sequence(fixed("("), expression, fixed(","), expression, fixed(")")));
const init = fc.oneof(
  fixed("init", "identity"),
  fixed("init", "zeros"),
  sequence(fixed("init", "normal"), value),
);
const label = sequence(fixed("as"), one(identifier));

const modifier = fc.oneof(
  sequence(fixed("pad_key"), one(fc.constantFrom("both", "left", "right"))),
  sequence(fixed("pad_query"), one(fc.constantFrom("past", "both"))),
  sequence(fixed("across"), value),
  sequence(fixed("dilation"), pair),
  one(fc.constantFrom("bias", "shared", "depth_scale", "scalar", "channel")),
  sequence(fixed("eps"), value),
  init,
  label,
);

const stage = fc.oneof(
  sequence(fixed("conv"), pair, many(modifier, 8)),
  sequence(one(fc.constantFrom("mix", "softcap")), value, many(modifier, 2)),
  sequence(one(fc.constantFrom("norm", "gate")), many(modifier, 2)),
);

const section = sequence(
  one(fc.constantFrom("scores", "weights", "output")),
  fixed("{"),
  many(stage),
  fixed("}"),
);
const term = fc.oneof(
  one(fc.constantFrom("causal", "documents", "lengths", "bias", "none")),
  sequence(fixed("window"), value),
);

const property = fc.oneof(
  sequence(one(fc.constantFrom("heads", "kv_heads", "head_dim", "value_dim", "scale")), value),
  fixed("scale", "rsqrt", "(", "head_dim", ")"),
  sequence(fixed("dtype"), one(fc.constantFrom("f32", "f16", "bf16"))),
  sequence(fixed("mask"), term, many(term)),
  sequence(fixed("normalize"), one(fc.constantFrom("softmax", "sparsemax"))),
);

const layers = fc.oneof(
  value,
  sequence(value, fixed(".."), value),
  sequence(fixed("every"), value, fixed("from"), value),
);
const use = sequence(
  fixed("use"),
  one(identifier),
  fc.oneof(fixed("otherwise"), sequence(fixed("at"), list(layers))),
);

const declaration = fc.oneof(
  sequence(
    fixed("attention"),
    one(identifier),
    fc.oneof(fixed(), sequence(fixed("extends"), one(identifier))),
    fixed("{"),
    many(fc.oneof(property, section), 8),
    fixed("}"),
  ),
  sequence(fixed("const"), one(identifier), fixed("="), expression),
  sequence(
    fixed("stack"),
    one(identifier),
    fixed("{"),
    many(fc.oneof(use, sequence(fixed("layers"), value))),
    fixed("}"),
  ),
  sequence(
    fixed("tune"),
    one(identifier),
    fixed("{"),
    many(
      fc.oneof(
        sequence(one(fc.constantFrom("lengths", "batch")), list(value)),
        sequence(fixed("sweep"), one(identifier), list(value)),
      ),
    ),
    fixed("}"),
  ),
);

const comment = fc.oneof(
  fc.constantFrom(
    "// a line\n",
    "//\n",
    "/* short */",
    "/**/",
    "/* two\n   lines */",
    "// ends with * /\n",
    "/* // { } */",
  ),
  fc.stringMatching(/^[ -)+-.0-~äλ]{0,30}$/).map((text) => `//${text}\n`),
);
const blank = fc.constantFrom(" ", "  ", "\n", "\n\n", "\n\n\n\n", "\t", ";", " ;\n", "\r\n");
const gap = fc.oneof(
  { weight: 8, arbitrary: blank },
  { weight: 2, arbitrary: fc.tuple(blank, comment, blank).map((parts) => parts.join("")) },
  { weight: 1, arbitrary: fc.tuple(comment, comment, blank).map((parts) => ` ${parts.join("")}`) },
);

/** Specs of correct syntax, whatever they mean, with blanks and comments anywhere. */
export const generatedSpec: fc.Arbitrary<string> = many(declaration, 5).chain((tokens) =>
  fc
    .array(gap, { minLength: tokens.length + 1, maxLength: tokens.length + 1 })
    .map((gaps) => tokens.map((token, index) => (gaps[index] ?? " ") + token).join("") + (gaps.at(-1) ?? "")),
);
