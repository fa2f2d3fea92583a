import { StreamLanguage, type StringStream } from "@codemirror/language";

/** Colours for emitted WGSL, CUDA and CMake: enough to read by, from a handful of words. */

interface Place {
  comment: boolean;
}

interface Words {
  readonly keywords: ReadonlySet<string>;
  readonly types: RegExp;
  /** What begins a comment that ends with its line. */
  readonly lineComment: string;
}

const WGSL: Words = {
  keywords: new Set(
    "fn let var const override struct if else for while loop return break continue switch case default enable diagnostic alias true false".split(
      " ",
    ),
  ),
  types: /^(f16|f32|i32|u32|bool|vec[234]\w*|mat\dx\d\w*|array|atomic|ptr|[A-Z][a-z]\w*)$/,
  lineComment: "//",
};

const CUDA: Words = {
  keywords: new Set(
    "namespace template typename class struct if else for while do return break continue switch case default using static const constexpr inline extern volatile asm true false nullptr sizeof __global__ __device__ __host__ __shared__ __forceinline__ __launch_bounds__ __restrict__ __align__ __syncthreads".split(
      " ",
    ),
  ),
  types:
    /^(void|bool|char|int|unsigned|long|float|double|size_t|u?int\d+_t|__half2?|__nv_bfloat162?|float[234]|u?int[234]|cuda\w+_t|[A-Z][a-z]\w*)$/,
  lineComment: "//",
};

const CMAKE: Words = {
  keywords: new Set(
    "if else elseif endif foreach endforeach function endfunction macro endmacro include set add_library target_include_directories target_compile_features set_target_properties target_link_libraries".split(
      " ",
    ),
  ),
  types: /^[A-Z][A-Z_]+$/,
  lineComment: "#",
};

export const wgslLanguage = languageOf("wgsl", WGSL);
export const cudaLanguage = languageOf("cuda", CUDA);
export const cmakeLanguage = languageOf("cmake", CMAKE);

function languageOf(name: string, words: Words): StreamLanguage<Place> {
  return StreamLanguage.define<Place>({
    name,
    startState: () => ({ comment: false }),
    token: (stream, place) => readToken(stream, place, words),
  });
}

function readToken(stream: StringStream, place: Place, words: Words): string | null {
  if (place.comment || stream.match("/*")) {
    place.comment = !stream.skipTo("*/");
    if (place.comment) stream.skipToEnd();
    else stream.match("*/");
    return "comment";
  }
  if (stream.eatSpace()) return null;
  if (stream.match(words.lineComment)) {
    stream.skipToEnd();
    return "comment";
  }
  if (stream.match(/^"(\\.|[^"\\])*"?/)) return "string";
  if (stream.match(/^#\s*\w+/) || stream.match(/^@\w+/)) return "meta";
  if (stream.match(/^(0x[\da-fA-F]+|\d+\.?\d*([eE][-+]?\d+)?)[a-zA-Z]*/)) return "number";
  const word = stream.match(/^[A-Za-z_]\w*/);
  if (word === null || word === true) {
    stream.next();
    return null;
  }
  const text = String(word);
  if (words.keywords.has(text)) return "keyword";
  if (words.types.test(text)) return "typeName";
  return stream.peek() === "(" ? "variableName.function" : null;
}
