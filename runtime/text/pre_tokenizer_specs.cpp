// The regex chains of the supported model families, and the names they go by.
//
// The patterns are those of each family's published tokenizer. Two things are respelled for PCRE2: \s is
// written as the code points of the Unicode White_Space property, because PCRE2's \s also takes U+180E; and `$`
// is \z. Case folding ('S, 'LL) is PCRE2's, which like the original also folds U+017F to s.
#include "runtime/text/pre_tokenizer.h"

namespace ktrt {

namespace {

// clang-format off
#define WS "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"
#define WS_TAIL "[" WS "]*[\\r\\n]+|[" WS "]+(?![^" WS "])|[" WS "]+"
#define CONTRACTION "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define WORD "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+"
#define SYMBOLS " ?[^" WS "\\p{L}\\p{N}]+[\\r\\n]*"
#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^" WS "\\p{L}\\p{N}]+|[" WS "]+(?![^" WS "])"
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define CJK_WIDE "[\\x{4e00}-\\x{9fa5}\\x{800}-\\x{4e00}\\x{ac00}-\\x{d7ff}]+"

// The cased letters as deepseek-llm lists them: neither \p{L} nor \p{Latin}, so it stays a list.
#define DEEPSEEK_LETTERS \
  "A-Za-z\\x{b5}\\x{c0}-\\x{d6}\\x{d8}-\\x{f6}\\x{f8}-\\x{1ba}\\x{1bc}-\\x{1bf}\\x{1c4}-\\x{293}" \
  "\\x{295}-\\x{2af}\\x{370}-\\x{373}\\x{376}\\x{377}\\x{37b}-\\x{37d}\\x{37f}\\x{386}\\x{388}-\\x{38a}" \
  "\\x{38c}\\x{38e}-\\x{3a1}\\x{3a3}-\\x{3f5}\\x{3f7}-\\x{481}\\x{48a}-\\x{52f}\\x{531}-\\x{556}" \
  "\\x{10a0}-\\x{10c5}\\x{13a0}-\\x{13f5}\\x{13f8}-\\x{13fd}\\x{1c90}-\\x{1cba}\\x{1cbd}-\\x{1cbf}" \
  "\\x{1d00}-\\x{1d2b}\\x{1d6b}-\\x{1d77}\\x{1d79}-\\x{1d9a}\\x{1e00}-\\x{1f15}\\x{1f18}-\\x{1f1d}" \
  "\\x{1f20}-\\x{1f45}\\x{1f48}-\\x{1f4d}\\x{1f50}-\\x{1f57}\\x{1f59}\\x{1f5b}\\x{1f5d}\\x{1f5f}-\\x{1f7d}" \
  "\\x{1f80}-\\x{1fb4}\\x{1fb6}-\\x{1fbc}\\x{1fbe}\\x{1fc2}-\\x{1fc4}\\x{1fc6}-\\x{1fcc}\\x{1fd0}-\\x{1fd3}" \
  "\\x{1fd6}-\\x{1fdb}\\x{1fe0}-\\x{1fec}\\x{1ff2}-\\x{1ff4}\\x{1ff6}-\\x{1ffc}\\x{2102}\\x{2107}" \
  "\\x{210a}-\\x{2113}\\x{2115}\\x{2119}-\\x{211d}\\x{2124}\\x{2126}\\x{2128}\\x{212a}-\\x{212d}" \
  "\\x{212f}-\\x{2134}\\x{2139}\\x{213c}-\\x{213f}\\x{2145}-\\x{2149}\\x{214e}\\x{2183}\\x{2184}" \
  "\\x{2c00}-\\x{2c7b}\\x{2c7e}-\\x{2ce4}\\x{2ceb}-\\x{2cee}\\x{2cf2}\\x{2cf3}\\x{a640}-\\x{a66d}" \
  "\\x{a680}-\\x{a69b}\\x{a722}-\\x{a76f}\\x{a771}-\\x{a787}\\x{a78b}-\\x{a78e}\\x{ab70}-\\x{abbf}" \
  "\\x{fb00}-\\x{fb06}\\x{fb13}-\\x{fb17}\\x{ff21}-\\x{ff3a}\\x{ff41}-\\x{ff5a}\\x{10400}-\\x{1044f}" \
  "\\x{104b0}-\\x{104d3}\\x{104d8}-\\x{104fb}\\x{10c80}-\\x{10cb2}\\x{10cc0}-\\x{10cf2}\\x{118a0}-\\x{118df}" \
  "\\x{1e900}-\\x{1e943}"

const char *const llama3[] = {CONTRACTION "|" WORD "|\\p{N}{1,3}|" SYMBOLS "|" WS_TAIL, nullptr};
const char *const qwen2[] = {CONTRACTION "|" WORD "|\\p{N}|" SYMBOLS "|" WS_TAIL, nullptr};
const char *const gpt4o[] = {
    "[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+" CONTRACTION "?|[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER "*" CONTRACTION "?"
    "|\\p{N}{1,3}| ?[^" WS "\\p{L}\\p{N}]+[\\r\\n/]*|" WS_TAIL, nullptr};
const char *const gpt2[] = {GPT2 "|[" WS "]+", nullptr};
const char *const deepseekV3[] = {
    "\\p{N}{1,3}", "[\\x{4e00}-\\x{9fa5}\\x{3040}-\\x{309f}\\x{30a0}-\\x{30ff}]+",
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
    "| ?[\\p{P}\\p{S}]+[\\r\\n]*|" WS_TAIL, nullptr};
const char *const deepseekLlm[] = {
    "[\\r\\n]", "[" WS "]?[" DEEPSEEK_LETTERS "]+",
    "[" WS "]?[!-/:-~\\x{ff01}-\\x{ff0f}\\x{ff1a}-\\x{ff5e}\\x{2018}-\\x{201f}\\x{3000}-\\x{3002}]+",
    "[" WS "]+\\z", CJK_WIDE, "\\p{N}", nullptr};
const char *const deepseekCoder[] = {"[\\r\\n]", "[" WS "]?\\p{L}+", "[" WS "]?\\p{P}+", CJK_WIDE, "\\p{N}", nullptr};
// What files without a name were converted with: the chain of llama.cpp's fallback.
const char *const fallback[] = {"[\\p{P}\\$\\+<=>\\^~\\|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]", nullptr};

// o200k and llama3 come from tiktoken, which looks a whole piece up before it merges.
const PreTokenizerSpec specs[] = {
    {"deepseek-v3", deepseekV3, false, false},   {"deepseek-llm", deepseekLlm, false, false},
    {"deepseek-coder", deepseekCoder, false, false}, {"qwen2", qwen2, false, false},
    {"llama-bpe", llama3, true, true},           {"chatglm-bpe", llama3, false, false},
    {"gpt-4o", gpt4o, true, false},              {"gpt-2", gpt2, false, false},
    {"default", fallback, false, false},
};

// Names in files -> canonical names; the same regex under another label.
const char *const aliases[][2] = {
    {"llama3", "llama-bpe"},      {"llama-v3", "llama-bpe"},   {"falcon3", "llama-bpe"},   {"smaug-bpe", "chatglm-bpe"},
    {"dbrx", "chatglm-bpe"},      {"glm4", "chatglm-bpe"},     {"qwen3", "qwen2"},
    {"deepseek-r1-qwen", "qwen2"}, {"stablelm2", "qwen2"},     {"hunyuan", "qwen2"},       {"megrez", "qwen2"},
    {"joyai-llm", "deepseek-v3"}, {"hunyuan-dense", "deepseek-v3"}, {"hy_v4", "deepseek-v3"},
    {"o200k", "gpt-4o"},          {"gpt-oss", "gpt-4o"},       {"llama4", "gpt-4o"},       {"minimax-m2", "gpt-4o"},
    {"gpt2", "gpt-2"},            {"phi-2", "gpt-2"},          {"mpt", "gpt-2"},           {"olmo", "gpt-2"},
    {"jais", "gpt-2"},            {"gigachat", "gpt-2"},       {"roberta-bpe", "gpt-2"},   {"jina-v2-code", "gpt-2"},
};
// clang-format on

} // namespace

const PreTokenizerSpec *findPreTokenizer(std::string_view pre) {
  if (pre.empty())
    pre = "default";
  for (const auto &alias : aliases)
    if (pre == alias[0]) {
      pre = alias[1];
      break;
    }
  for (const PreTokenizerSpec &spec : specs)
    if (pre == spec.name)
      return &spec;
  return nullptr;
}

} // namespace ktrt
