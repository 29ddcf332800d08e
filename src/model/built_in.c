/* SPDX-License-Identifier: MIT */
/* model/built_in.c - the files of data/limber-s and data/limber-find as bytes of this library, so that the first run needs nothing else.
 *
 * The assembler copies them (.incbin): no generated C of five times the size, no step in the build. The symbols are hidden; the
 * tensors are aligned to 64 bytes so that their data is at least 8-byte aligned, as the writer left it. The same text assembles
 * on x86-64 and aarch64, with gcc and with clang. */
#include "model/built_in.h"

#define EMBED(symbol, file)                                                                                                      \
    __asm__(".pushsection .rodata\n"                                                                                             \
            ".balign 64\n"                                                                                                       \
            ".globl " #symbol "\n.hidden " #symbol "\n" #symbol ":\n"                                                            \
            ".incbin \"" LIMBER_DATA_DIR "/" file "\"\n"                                                                         \
            ".globl " #symbol "_end\n.hidden " #symbol "_end\n" #symbol "_end:\n"                                                \
            ".byte 0\n"                                                                                                          \
            ".popsection\n");                                                                                                    \
    extern const uint8_t symbol[] __attribute__((visibility("hidden")));                                                         \
    extern const uint8_t symbol##_end[] __attribute__((visibility("hidden")));

EMBED(limber_pose_config, "limber-s/config.json")
EMBED(limber_pose_preprocessor, "limber-s/preprocessor_config.json")
EMBED(limber_pose_tensors, "limber-s/model.safetensors")
EMBED(limber_find_config, "limber-find/config.json")
EMBED(limber_find_preprocessor, "limber-find/preprocessor_config.json")
EMBED(limber_find_tensors, "limber-find/model.safetensors")

#define BYTES(symbol)                                                                                                            \
    {                                                                                                                            \
        symbol, (size_t)(symbol##_end - symbol)                                                                                  \
    }

struct default_model limber_built_in_model(enum task task)
{
    if (task == TASK_BOXES)
        return (struct default_model){
            .config = BYTES(limber_find_config),
            .preprocessor = BYTES(limber_find_preprocessor),
            .tensors = BYTES(limber_find_tensors),
        };
    return (struct default_model){
        .config = BYTES(limber_pose_config),
        .preprocessor = BYTES(limber_pose_preprocessor),
        .tensors = BYTES(limber_pose_tensors),
    };
}
