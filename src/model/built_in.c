/* model/built_in.c - the files of data/limber-s as bytes of this library, so that the first run needs nothing else.
 *
 * The assembler copies them (.incbin): no generated C of five times the size, no step in the build. The symbols are hidden; the
 * tensors are aligned to 64 bytes so that their data is at least 8-byte aligned, as the writer left it. The same text assembles
 * on x86-64 and aarch64, with gcc and with clang. */
#include "model/built_in.h"

#define EMBED(symbol, file)                                                                                                      \
    __asm__(".pushsection .rodata\n"                                                                                             \
            ".balign 64\n"                                                                                                       \
            ".globl " #symbol "\n.hidden " #symbol "\n" #symbol ":\n"                                                            \
            ".incbin \"" LIMBER_DEFAULT_MODEL_DIR "/" file "\"\n"                                                                \
            ".globl " #symbol "_end\n.hidden " #symbol "_end\n" #symbol "_end:\n"                                                \
            ".byte 0\n"                                                                                                          \
            ".popsection\n");                                                                                                    \
    extern const uint8_t symbol[] __attribute__((visibility("hidden")));                                                         \
    extern const uint8_t symbol##_end[] __attribute__((visibility("hidden")));

EMBED(limber_default_config, "config.json")
EMBED(limber_default_preprocessor, "preprocessor_config.json")
EMBED(limber_default_tensors, "model.safetensors")

struct default_model limber_built_in_model(void)
{
    return (struct default_model){
        .config = {limber_default_config, (size_t)(limber_default_config_end - limber_default_config)},
        .preprocessor = {limber_default_preprocessor, (size_t)(limber_default_preprocessor_end - limber_default_preprocessor)},
        .tensors = {limber_default_tensors, (size_t)(limber_default_tensors_end - limber_default_tensors)},
    };
}
