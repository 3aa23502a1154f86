/* The C API of ktrt: load a plan made by ktc, turn text into tokens and back, generate, measure.
 *
 * Everything the `ktrt` program does goes through this header, so whatever embeds the library can do the same.
 *
 * Sizes are bytes, times are seconds, rates are per second.
 *
 * Conventions
 * - Functions that can fail return a KtrtStatus. The sentence that explains a failure is ktrtLastError(), kept
 *   per thread. Nothing is thrown across this interface and nothing aborts on bad input.
 * - Structs begin with `size`: set it to sizeof the struct, and everything you do not use to zero (or start
 * from KTRT_INIT). Fields are only ever added at the end, so programs built against an older header keep
 * working.
 * - Strings are UTF-8. Input strings that come without a length are zero-terminated. Returned `const char *`
 * belong to the handle and live until ktrtClose().
 * - Functions that fill a buffer take its capacity and always report the size needed; if it does not fit they
 *   return KTRT_BUFFER_TOO_SMALL and the contents are undefined. Capacity 0 with a NULL buffer asks for the
 * size.
 * - A model is one sequence with one KV cache, used by one thread at a time. Different models are independent.
 * - Long calls can be stopped with ktrtSetStop() from a signal handler or another thread.
 */
#ifndef KTRT_H
#define KTRT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KTRT_API_VERSION 1u

#if defined(__GNUC__)
#define KTRT_API __attribute__((visibility("default")))
#else
#define KTRT_API
#endif

/* A zeroed struct with its size set: `KtrtOpenOptions options = KTRT_INIT(KtrtOpenOptions);` */
#ifdef __cplusplus
#define KTRT_INIT(Type) ::ktrtInit<Type>()
#else
#define KTRT_INIT(Type) ((Type){.size = sizeof(Type)})
#endif

typedef enum KtrtStatus {
  KTRT_OK = 0,
  KTRT_ERROR = 1,            /* the input or the machine does not allow it */
  KTRT_INVALID_ARGUMENT = 2, /* the caller's mistake: a NULL, a missing size, an option out of its range */
  KTRT_BUFFER_TOO_SMALL = 3, /* see the conventions above */
  KTRT_NO_VOCABULARY = 4,    /* text was asked of a model that has no tokenizer (or no chat template) */
  KTRT_CONTEXT_FULL = 5,     /* the tokens do not fit the KV cache that the plan was compiled with */
  KTRT_CANCELLED = 6         /* ktrtSetStop() or a callback ended it */
} KtrtStatus;

/* A loaded plan with its weights, threads and KV cache. */
typedef struct KtrtModel KtrtModel;

/* ---- library ---- */

/* KTRT_API_VERSION of the library that is linked. */
KTRT_API uint32_t ktrtApiVersion(void);

/* Version of the library, "0.1.0". */
KTRT_API const char *ktrtVersion(void);

/* Source revision the library was built from, or "unknown". */
KTRT_API const char *ktrtCommit(void);

/* Why the last failing call of this thread failed: one sentence, valid until this thread's next call. Never
 * NULL. */
KTRT_API const char *ktrtLastError(void);

/* ---- models ---- */

enum {
  KTRT_VERIFY_WEIGHTS = 1, /* hash packed weights while opening: reads all of them */
  KTRT_POPULATE = 2,       /* read all weights into memory while opening instead of at first use */
  KTRT_NO_PINNING = 4,     /* leave the placement of the worker threads to the system */
  KTRT_PIN_CALLER = 8, /* bind the calling thread to a core too: right for a program that does nothing else */
  KTRT_PERF_MAP = 16   /* write a perf map file, so that `perf` shows the names of kernels */
};

typedef struct KtrtOpenOptions {
  size_t size;
  const char *isa;       /* use at most this level: "avx2", "avx2vnni", "avx512", "amx"; NULL = the best */
  uint32_t threads;      /* size of the CPU team; 0 = physical cores this process may use */
  uint32_t contextLimit; /* positions to use; 0 = all the plan was compiled for */
  uint32_t flags;
} KtrtOpenOptions;

/* Opens, checks and loads the plan at `path`; `options` may be NULL. On success *model is a handle that the
 * caller releases with ktrtClose(); otherwise it is NULL. Fails for damaged plans, missing or changed weight
 * files, a CPU that no code variant fits, and too little memory. */
KTRT_API KtrtStatus ktrtOpen(const char *path, const KtrtOpenOptions *options, KtrtModel **model);

/* Releases the model; NULL is allowed. */
KTRT_API void ktrtClose(KtrtModel *model);

/* Sets the model's stop flag (1) or clears it (0); may be called from signal handlers and other threads. While
 * it is set, evaluation ends after the replay in progress (one token, or one chunk of a prompt): generation
 * finishes with KTRT_FINISH_STOPPED, everything else returns KTRT_CANCELLED. The flag stays set until it is
 * cleared. */
KTRT_API void ktrtSetStop(KtrtModel *model, int stop);

typedef struct KtrtInfo {
  size_t size;
  const char *name;
  const char *architecture;
  const char *isa;          /* code variant in use */
  const char *devices;      /* names joined with ',' */
  const char *chatTemplate; /* "" if the model has none */
  uint32_t threads;
  uint32_t context;        /* positions of the KV cache */
  uint32_t trainedContext; /* positions the model was trained for */
  uint32_t vocabulary;     /* length of a row of logits */
  uint32_t embedding;
  uint32_t layers;
  uint32_t hasTokenizer;        /* 0 or 1 */
  uint32_t addsBos;             /* 1 if text is tokenised with a begin-of-text token in front */
  int32_t bos;                  /* -1 if the model has none */
  int32_t eos;                  /* -1 if the model has none */
  uint64_t weightBytes;         /* all weights */
  uint64_t weightBytesPerToken; /* weights read for one decoded token */
  uint64_t kvBytesPerToken;
  double loadSeconds;                    /* time ktrtOpen() took */
  double predictedDecodeTokensPerSecond; /* by the compiler, 0 if unknown */
  double predictedPrefillTokensPerSecond;
  const char *transforms; /* what was compiled to change outputs, names joined with ','; "": nothing */
} KtrtInfo;

/* Fills *info (whose size field is set). */
KTRT_API KtrtStatus ktrtGetInfo(const KtrtModel *model, KtrtInfo *info);

/* ---- tokens ---- */

enum {
  KTRT_ADD_BOS = 1,       /* put the begin-of-text token in front if the model wants one */
  KTRT_PARSE_SPECIAL = 2, /* recognise special tokens such as <|user|> inside the text */
  KTRT_SHOW_SPECIAL = 4   /* detokenize: write special tokens instead of leaving them out */
};

/* Text to tokens. `flags`: KTRT_ADD_BOS | KTRT_PARSE_SPECIAL. *count receives the number of tokens. */
KTRT_API KtrtStatus ktrtTokenize(const KtrtModel *model, const char *text, size_t bytes, uint32_t flags,
                                 int32_t *tokens, size_t capacity, size_t *count);

/* Tokens to text, not zero-terminated; may begin or end inside a character when the tokens do. `flags`:
 * KTRT_SHOW_SPECIAL. *bytes receives the length. Fails for ids outside the vocabulary. */
KTRT_API KtrtStatus ktrtDetokenize(const KtrtModel *model, const int32_t *tokens, size_t count, uint32_t flags,
                                   char *text, size_t capacity, size_t *bytes);

typedef struct KtrtMessage {
  const char *role; /* "system", "user", "assistant" */
  const char *content;
} KtrtMessage;

/* Writes the conversation as the model's chat template spells it; not zero-terminated. With
 * `addGenerationPrompt` the text ends where the assistant's answer begins. For showing; to generate, use
 * ktrtTokenizeChat(). */
KTRT_API KtrtStatus ktrtApplyChatTemplate(const KtrtModel *model, const KtrtMessage *messages, size_t count,
                                          int addGenerationPrompt, char *text, size_t capacity, size_t *bytes);

/* The tokens of the conversation in the model's chat template, begin-of-text token included. Special tokens are
 * recognised in what the template writes only, so that nobody can forge a turn inside a message. */
KTRT_API KtrtStatus ktrtTokenizeChat(const KtrtModel *model, const KtrtMessage *messages, size_t count,
                                     int addGenerationPrompt, int32_t *tokens, size_t capacity,
                                     size_t *tokenCount);

/* ---- evaluation ---- */

/* Evaluates `count` tokens at positions past .. past + count - 1 over the KV cache's first `past` positions
 * (which must have been filled before) and copies the logits of the last one to logits[vocabulary]; NULL leaves
 * them. */
KTRT_API KtrtStatus ktrtEvaluate(KtrtModel *model, const int32_t *tokens, size_t count, uint32_t past,
                                 float *logits);

/* Receives logits[rows][vocabulary] of tokens firstRow .. firstRow + rows - 1; valid during the call. A result
 * other than 0 ends the evaluation with KTRT_CANCELLED. */
typedef int (*KtrtLogitsFn)(void *user, size_t firstRow, size_t rows, const float *logits);

/* Like ktrtEvaluate(), but hands out the logits of all tokens, in order, in chunks of rows. */
KTRT_API KtrtStatus ktrtEvaluateAll(KtrtModel *model, const int32_t *tokens, size_t count, uint32_t past,
                                    KtrtLogitsFn onLogits, void *user);

/* ---- generation ---- */

/* How the next token is chosen from the logits, in this order. ktrtDefaultSampling() gives the model's
 * defaults. */
typedef struct KtrtSampling {
  size_t size;
  float repeatPenalty;  /* divides positive and multiplies negative logits of recent tokens; 1 = off */
  uint32_t repeatLastN; /* how many recent tokens that concerns */
  uint32_t topK;        /* keep the k best; 0 = all */
  float topP;           /* keep the best that together reach this probability; 1 = off */
  float minP;           /* keep those with at least this share of the best one's probability; 0 = off */
  float temperature;    /* 0 = always the best token */
  uint64_t seed;        /* same seed, same text */
} KtrtSampling;

/* Fills *sampling (whose size field is set) with the defaults stored in the plan and seed 0. */
KTRT_API KtrtStatus ktrtDefaultSampling(const KtrtModel *model, KtrtSampling *sampling);

typedef enum KtrtFinish {
  KTRT_FINISH_END = 0,     /* the model ended its text */
  KTRT_FINISH_LENGTH = 1,  /* maxTokens reached */
  KTRT_FINISH_STRING = 2,  /* a stop string appeared */
  KTRT_FINISH_CONTEXT = 3, /* the KV cache is full */
  KTRT_FINISH_STOPPED = 4  /* ktrtSetStop() or callback */
} KtrtFinish;

/* Receives the next piece of text: whole UTF-8 characters, never a part of a stop string. Not zero-terminated.
 * A result other than 0 ends the generation. */
typedef int (*KtrtTextFn)(void *user, const char *text, size_t bytes);

/* Progress of something long: `done` of `total`. */
typedef void (*KtrtProgressFn)(void *user, size_t done, size_t total);

typedef struct KtrtGenerateOptions {
  size_t size;
  const KtrtSampling *sampling; /* NULL = the plan's defaults */
  uint32_t maxTokens;           /* 0 = until the model ends or the context is full */
  uint32_t ignoreEnd;           /* 1 = never choose an end-of-text token */
  const char *const *stops;     /* stop strings; they and what follows are not part of the text */
  size_t stopCount;
  KtrtTextFn onText;       /* may be NULL */
  KtrtProgressFn onPrompt; /* prompt tokens evaluated; may be NULL */
  void *user;              /* first argument of the callbacks */
} KtrtGenerateOptions;

typedef struct KtrtGenerateResult {
  size_t size;
  KtrtFinish finish;
  uint32_t promptTokens;    /* evaluated: without the reused ones */
  uint32_t reusedTokens;    /* prompt tokens that were still in the KV cache */
  uint32_t generatedTokens; /* chosen, without the end-of-text token */
  double promptSeconds;
  double decodeSeconds; /* everything after the prompt: evaluating, sampling, callbacks */
  uint32_t
      decodeSteps; /* tokens evaluated in that time: the last chosen one is not, nobody needs what follows it */
} KtrtGenerateResult;

/* Continues the prompt. The longest common prefix of the prompt and what the KV cache holds is not evaluated
 * again, which is what makes conversations cheap. `result` may be NULL; it is filled on KTRT_OK only. Fails
 * with KTRT_CONTEXT_FULL if the prompt does not fit, and with KTRT_NO_VOCABULARY if text is asked
 * for (onText or stops) of a model without one. */
KTRT_API KtrtStatus ktrtGenerate(KtrtModel *model, const int32_t *prompt, size_t count,
                                 const KtrtGenerateOptions *options, KtrtGenerateResult *result);

/* ---- measurements ---- */

/* Called after each window; a result other than 0 cancels. */
typedef int (*KtrtPerplexityFn)(void *user, uint32_t done, uint32_t total, double perplexity);

typedef struct KtrtPerplexityOptions {
  size_t size;
  uint32_t window;    /* tokens per window; 0 = 512 */
  uint32_t maxChunks; /* windows at most; 0 = all */
  KtrtPerplexityFn onChunk;
  void *user;
} KtrtPerplexityOptions;

typedef struct KtrtPerplexityResult {
  size_t size;
  double perplexity;
  double uncertainty; /* standard error of the perplexity */
  uint64_t tokens;    /* scored tokens */
  uint32_t chunks;
  double seconds;
} KtrtPerplexityResult;

/* Perplexity of the tokens by llama.cpp's protocol: consecutive windows, each on an empty KV cache, with its
 * first token replaced by the begin-of-text token if the model adds one; positions window/2 .. window-2 are
 * scored on the token that follows. Tokens after the last whole window are not used. */
KTRT_API KtrtStatus ktrtPerplexity(KtrtModel *model, const int32_t *tokens, size_t count,
                                   const KtrtPerplexityOptions *options, KtrtPerplexityResult *result);

typedef struct KtrtBenchOptions {
  size_t size;
  uint32_t promptTokens;     /* tokens per prefill measurement; 0 = none */
  uint32_t decodeTokens;     /* tokens per decode measurement; 0 = none */
  uint32_t depth;            /* tokens in the KV cache before either */
  uint32_t batch;            /* tokens per decode step; 0 = 1 */
  uint32_t repetitions;      /* 0 = 3 */
  uint64_t seed;             /* of the random token ids */
  KtrtProgressFn onProgress; /* measurements done, of all */
  void *user;
} KtrtBenchOptions;

typedef struct KtrtRate {
  double min, median, max; /* tokens per second unless it says otherwise; 0 if not measured */
} KtrtRate;

/* What a device reads for one decoded token. */
typedef struct KtrtDeviceRead {
  const char *name;     /* "cpu", "cuda:0" */
  double bytesPerToken; /* weights and KV, as KtrtBenchResult.bytesPerToken, of which these are parts */
  double
      readBandwidth; /* bytes per second, measured in this call: of a GPU while it copies within its memory */
} KtrtDeviceRead;

typedef struct KtrtBenchResult {
  size_t size;
  KtrtRate prefill;
  KtrtRate decode;
  double readBandwidth; /* bytes per second that the team's cores read from memory: mean of all measurements of
                           this call, which alternate with the repetitions */
  double bytesPerToken; /* weights and KV read for one decoded token, mean over the measured depths */
  double boundTokensPerSecond; /* of the slowest device: its readBandwidth / its bytesPerToken; the others read
                                  meanwhile */
  double shareOfBound;         /* decode rate / bound, median of the repetitions, each beside the read bandwidth
                                  right before and after it; 0 if not measured */
  /* What the compiler predicted for these options on the machine it compiled for, with a thread on every core;
   * 0 if the plan does not say or it was not measured here. */
  double predictedDecodeTokensPerSecond;
  double predictedPrefillTokensPerSecond;
  const KtrtDeviceRead
      *devices; /* that read anything, as in the plan; valid until the next call with the model */
  size_t deviceCount;
  double leastReadBandwidth, mostReadBandwidth; /* of the measurements whose mean is readBandwidth */
  KtrtRate shares;                              /* of the bound, of each repetition; median: shareOfBound */
  double predictedDecodeHere; /* the prediction for memory of the CPU that reads as fast as readBandwidth */
} KtrtBenchResult;

/* Measures tokens per second with random token ids, after one unmeasured run. Needs no vocabulary. */
KTRT_API KtrtStatus ktrtBench(KtrtModel *model, const KtrtBenchOptions *options, KtrtBenchResult *result);

/* Time one kernel family took in one entry, see ktrtSetProfiling(). */
typedef struct KtrtProfileRow {
  size_t size;
  const char *entry;       /* "decode_1", "prefill", … */
  const char *family;      /* kernel family, or the kind of another command: "copy", "wait", … */
  uint64_t commands;       /* replayed, all together */
  double seconds;          /* all together, on the first thread, with its wait at the next barrier */
  uint64_t bytesRead;      /* weight bytes read, all together, as the compiler counts them */
  uint64_t expertsChosen;  /* where experts were guessed beforehand: those that were chosen in the end */
  uint64_t expertsGuessed; /* of those, how many were in the guess */
  uint64_t hintedBytes;    /* that the first thread prefetched because of a guess */
  double busySeconds;      /* of `seconds`, mean over the threads, without waiting for each other; 0 on a GPU */
} KtrtProfileRow;

/* Receives one row; the row lives during the call. */
typedef void (*KtrtProfileFn)(void *user, const KtrtProfileRow *row);

/* Switches timing per command on (forgetting earlier numbers) or off. Costs two clock reads per command while
 * on. */
KTRT_API KtrtStatus ktrtSetProfiling(KtrtModel *model, int on);

/* Hands out what was timed since profiling was switched on, by entry and descending time. */
KTRT_API KtrtStatus ktrtProfile(const KtrtModel *model, KtrtProfileFn onRow, void *user);

/* A command of the last replay, or a signal from one lane to another. All lanes are on one clock. */
typedef struct KtrtTimelineRow {
  size_t size;
  const char *entry;
  const char *lane;   /* where the command ran, or that raised the signal */
  const char *toLane; /* that waited for the signal; NULL for a command */
  const char *kind;   /* "dispatch", "copy", "fill", "wait", "signal" */
  const char *family; /* of the kernel; "" unless a dispatch */
  const char *path;   /* module path; "" unless a dispatch */
  double begin, end;  /* seconds since the first command began; of a signal: when it was raised and noticed */
} KtrtTimelineRow;

/* Receives one row; the row lives during the call. */
typedef void (*KtrtTimelineFn)(void *user, const KtrtTimelineRow *row);

/* Hands out the last replay, which must have been timed (ktrtSetProfiling()): commands lane by lane, then
 * signals. Of a GPU only kernels are timed. */
KTRT_API KtrtStatus ktrtTimeline(const KtrtModel *model, KtrtTimelineFn onRow, void *user);

/* ---- plans ---- */

/* Writes the text form of the plan at `path` through `onText`. The weights are not opened. */
KTRT_API KtrtStatus ktrtDumpPlan(const char *path, KtrtTextFn onText, void *user);

/* Checks the plan at `path` completely: structure, hashes of all sections, presence and hashes of weight files.
 */
KTRT_API KtrtStatus ktrtVerifyPlan(const char *path);

#ifdef __cplusplus
}

template <typename T> inline T ktrtInit() {
  T value{};
  value.size = sizeof(T);
  return value;
}
#endif

#endif
