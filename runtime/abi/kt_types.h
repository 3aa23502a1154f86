/* Element types of GGUF tensors, with the size of their blocks.
 *
 * Standalone C header, shared by the compiler, the kernel templates and the runtime. Ids are the ids of the
 * GGUF file format. A tensor row of `ne` elements takes ne / block_elements * block_bytes bytes, and `ne` must
 * be a multiple of block_elements. Formats in KT_FOR_EACH_TYPE are those that kernels exist for; other ids may
 * appear in files, and the reader knows their size only if they are listed in KT_FOR_EACH_UNSUPPORTED_TYPE.
 */
#ifndef KT_ABI_TYPES_H
#define KT_ABI_TYPES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* X(enumerator suffix, id, lower-case name, elements per block, bytes per block) */
#define KT_FOR_EACH_TYPE(X)                                                                                    \
  X(F32, 0, "f32", 1, 4)                                                                                       \
  X(F16, 1, "f16", 1, 2)                                                                                       \
  X(Q4_0, 2, "q4_0", 32, 18)                                                                                   \
  X(Q4_1, 3, "q4_1", 32, 20)                                                                                   \
  X(Q5_0, 6, "q5_0", 32, 22)                                                                                   \
  X(Q5_1, 7, "q5_1", 32, 24)                                                                                   \
  X(Q8_0, 8, "q8_0", 32, 34)                                                                                   \
  X(Q2_K, 10, "q2_k", 256, 84)                                                                                 \
  X(Q3_K, 11, "q3_k", 256, 110)                                                                                \
  X(Q4_K, 12, "q4_k", 256, 144)                                                                                \
  X(Q5_K, 13, "q5_k", 256, 176)                                                                                \
  X(Q6_K, 14, "q6_k", 256, 210)                                                                                \
  X(IQ4_NL, 20, "iq4_nl", 32, 18)                                                                              \
  X(IQ4_XS, 23, "iq4_xs", 256, 136)                                                                            \
  X(BF16, 30, "bf16", 1, 2)                                                                                    \
  X(MXFP4, 39, "mxfp4", 32, 17)

/* Known to the file format, not to the kernels: `ktc inspect` shows them, `ktc compile` refuses them. */
#define KT_FOR_EACH_UNSUPPORTED_TYPE(X)                                                                        \
  X(IQ2_XXS, 16, "iq2_xxs", 256, 66)                                                                           \
  X(IQ2_XS, 17, "iq2_xs", 256, 74)                                                                             \
  X(IQ3_XXS, 18, "iq3_xxs", 256, 98)                                                                           \
  X(IQ1_S, 19, "iq1_s", 256, 50)                                                                               \
  X(IQ3_S, 21, "iq3_s", 256, 110)                                                                              \
  X(IQ2_S, 22, "iq2_s", 256, 82)                                                                               \
  X(I8, 24, "i8", 1, 1)                                                                                        \
  X(I16, 25, "i16", 1, 2)                                                                                      \
  X(I32, 26, "i32", 1, 4)                                                                                      \
  X(I64, 27, "i64", 1, 8)                                                                                      \
  X(F64, 28, "f64", 1, 8)                                                                                      \
  X(IQ1_M, 29, "iq1_m", 256, 56)                                                                               \
  X(TQ1_0, 34, "tq1_0", 256, 54)                                                                               \
  X(TQ2_0, 35, "tq2_0", 256, 66)                                                                               \
  X(NVFP4, 40, "nvfp4", 64, 36)

typedef enum KtType {
#define KT_ENUMERATOR(suffix, id, name, elements, bytes) KT_TYPE_##suffix = id,
  KT_FOR_EACH_TYPE(KT_ENUMERATOR) KT_FOR_EACH_UNSUPPORTED_TYPE(KT_ENUMERATOR)
#undef KT_ENUMERATOR
} KtType;

typedef struct KtTypeInfo {
  uint32_t id;            /* GGUF id */
  uint32_t blockElements; /* elements in a block */
  uint32_t blockBytes;    /* bytes of a block */
  uint32_t supported;     /* 1 if kernels exist for it */
  const char *name;       /* lower case, as printed in IR and text */
} KtTypeInfo;

/* The traits of all types, `*count` of them. */
static inline const KtTypeInfo *ktTypeInfos(size_t *count) {
  static const KtTypeInfo infos[] = {
#define KT_INFO(suffix, id, name, elements, bytes) {id, elements, bytes, 1, name},
      KT_FOR_EACH_TYPE(KT_INFO)
#undef KT_INFO
#define KT_INFO(suffix, id, name, elements, bytes) {id, elements, bytes, 0, name},
          KT_FOR_EACH_UNSUPPORTED_TYPE(KT_INFO)
#undef KT_INFO
  };
  *count = sizeof(infos) / sizeof(infos[0]);
  return infos;
}

/* Returns the traits of the GGUF type `id`, or NULL if the id is unknown. */
static inline const KtTypeInfo *ktTypeInfo(uint32_t id) {
  size_t count;
  const KtTypeInfo *infos = ktTypeInfos(&count);
  for (size_t i = 0; i < count; ++i)
    if (infos[i].id == id)
      return &infos[i];
  return NULL;
}

/* Returns the traits of the type whose name is the `length` bytes at `name`, or NULL if there is none. */
static inline const KtTypeInfo *ktTypeInfoNamed(const char *name, size_t length) {
  size_t count;
  const KtTypeInfo *infos = ktTypeInfos(&count);
  for (size_t i = 0; i < count; ++i)
    if (strlen(infos[i].name) == length && memcmp(infos[i].name, name, length) == 0)
      return &infos[i];
  return NULL;
}

/* True for types whose kernels multiply with float32 activations; all others take q8 or q8k rows. */
static inline int ktTypeTakesF32Activations(uint32_t id) {
  return id == KT_TYPE_F32 || id == KT_TYPE_F16 || id == KT_TYPE_BF16;
}

/* True for the K-quants, whose kernels multiply q8k rows (kt_abi.h) instead of q8 rows. */
static inline int ktTypeTakesQ8k(uint32_t id) {
  const KtTypeInfo *info = ktTypeInfo(id);
  return info != NULL && info->supported && info->blockElements == 256;
}

#endif
