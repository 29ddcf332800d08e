/* SPDX-License-Identifier: MIT */
/* dispatch.c - which instruction sets this CPU has AND this kernel keeps across a context switch, and which table follows.
 *
 * CPUID says what the silicon can do, XGETBV which registers the operating system saves; both must agree. AMX asks once more:
 * Linux hands out tile state on request (arch_prctl ARCH_REQ_XCOMP_PERM), and may refuse.
 *
 * x86-64: fp32 by avx512 > avx2 > scalar, bf16 by amx > avx512bf16, int8 by amxint8 > avx512vnni > avxvnni > avx2int8.
 * 64-bit ARM: fp32 by neon, which all have; bf16 by neonbf16, int8 by neoni8mm > neondot.
 *
 * Is bf16 the faster one, so that "auto" should take it? With AMX always (10 times fp32). vdpbf16ps alone: yes on AMD, where it issues
 * like an FMA and does twice the work (Zen 5: 506 against 254 GFLOP/s a core); no on Intel, where it takes two issues (Sapphire Rapids: 120
 * against 239). It is the vendor that decides and not a stopwatch, because the same machine must compute the same bytes tomorrow.
 * bfdot of ARM is never taken by "auto": nobody has timed it.
 *
 * int8 is for the linear layers, beside the faster of the others (backend_cpu_has). Never "auto": what it loses is measured
 * (bench/README.md), but a user should ask for it.
 *
 * LIMBER_CPU=NAME, a name of level_names, caps the choice, and fails where the CPU lacks what it names. */
#define _GNU_SOURCE
#include "compute/cpu/cpu.h"
#include "compute/open.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"
#include "base/system.h"
#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

enum level {
    SCALAR,
    NEON,
    NEONDOT,
    NEONI8MM,
    NEONBF16,
    AVX2,
    AVX2INT8,
    AVXVNNI,
    AVX512,
    AVX512VNNI,
    AVX512BF16,
    AMX,
    AMXINT8,
    LEVELS
};
static const char *const level_names[LEVELS] = {"scalar",  "neon",   "neondot",    "neoni8mm",   "neonbf16", "avx2",   "avx2int8",
                                                "avxvnni", "avx512", "avx512vnni", "avx512bf16", "amx",      "amxint8"};

/* Which levels have tables of a precision, best first; no processor has levels of two families. */
static const enum level by_precision[][LEVELS] = {
    [PRECISION_FP32] = {AVX512, AVX2, NEON, SCALAR, LEVELS},
    [PRECISION_BF16] = {AMX, AVX512BF16, NEONBF16, LEVELS},
    [PRECISION_INT8] = {AMXINT8, AVX512VNNI, AVXVNNI, AVX2INT8, NEONI8MM, NEONDOT, LEVELS},
};

/* What this build holds: CMakeLists.txt leaves a file out, and says so here, where the compiler does not know its flags. */
static const struct kernels *const tables[LEVELS] = {
    [SCALAR] = &kernels_scalar,
#if defined(__aarch64__)
    [NEON] = &kernels_neon,
#if !defined(LIMBER_NO_NEONDOT)
    [NEONDOT] = &kernels_neondot,
#endif
#if !defined(LIMBER_NO_NEONI8MM)
    [NEONI8MM] = &kernels_neoni8mm,
#endif
#if !defined(LIMBER_NO_NEONBF16)
    [NEONBF16] = &kernels_neonbf16,
#endif
#endif
#if defined(__x86_64__)
#if !defined(LIMBER_NO_AVX2)
    [AVX2] = &kernels_avx2,
#endif
#if !defined(LIMBER_NO_AVX2INT8)
    [AVX2INT8] = &kernels_avx2int8,
#endif
#if !defined(LIMBER_NO_AVXVNNI)
    [AVXVNNI] = &kernels_avxvnni,
#endif
#if !defined(LIMBER_NO_AVX512)
    [AVX512] = &kernels_avx512,
#endif
#if !defined(LIMBER_NO_AVX512VNNI)
    [AVX512VNNI] = &kernels_avx512vnni,
#endif
#if !defined(LIMBER_NO_AVX512BF16)
    [AVX512BF16] = &kernels_avx512bf16,
#endif
#if !defined(LIMBER_NO_AMX)
    [AMX] = &kernels_amx,
#endif
#if !defined(LIMBER_NO_AMXINT8)
    [AMXINT8] = &kernels_amxint8,
#endif
#endif
};

struct cpu_features {
    bool has[LEVELS]; /* on this CPU, under this kernel, and in this build */
    bool amd;
    bool wide_multipliers; /* vpmaddwd and an addition outrun two FMAs: AVX2INT8 gains */
};

#if defined(__x86_64__)
static uint64_t saved_registers(void)
{
    uint32_t low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

static bool tiles_granted(void)
{
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}
#endif

bool cpu_wide_multipliers(unsigned signature, bool amd, bool intel)
{
    unsigned family = signature >> 8 & 15, model = signature >> 4 & 15;
    if (family == 15)
        family += signature >> 20 & 255;
    if (family == 6 || family > 14)
        model |= signature >> 12 & 0xf0;
    const bool skylake = model == 0x4e || model == 0x5e || model == 0x55, kaby_or_coffee_lake = model == 0x8e || model == 0x9e,
               comet_lake = model == 0xa5 || model == 0xa6;
    return (amd && family >= 0x19) || (intel && family == 6 && (skylake || kaby_or_coffee_lake || comet_lake));
}

static struct cpu_features ask_cpu(void)
{
    struct cpu_features f = {.has[SCALAR] = true};
#if defined(__x86_64__)
    unsigned a, b, c, d, b7 = 0, c7 = 0, d7 = 0, a71 = 0;
    if (!__get_cpuid(0, &a, &b, &c, &d))
        return f;
    f.amd = b == signature_AMD_ebx && c == signature_AMD_ecx && d == signature_AMD_edx;
    const bool intel = b == signature_INTEL_ebx && c == signature_INTEL_ecx && d == signature_INTEL_edx;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
        return f;
    f.wide_multipliers = cpu_wide_multipliers(a, f.amd, intel);
    const bool fma = (c & bit_FMA) && (c & bit_F16C);
    const uint64_t saved = saved_registers();
    if (__get_cpuid_count(7, 0, &a, &b7, &c7, &d7) && a >= 1)
        __get_cpuid_count(7, 1, &a71, &b, &c, &d);
    const unsigned avx512 = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    f.has[AVX2] = (saved & 6) == 6 && fma && (b7 & bit_AVX2);
    f.has[AVX2INT8] = f.has[AVX2];
    f.has[AVXVNNI] = f.has[AVX2] && (a71 & 1u << 4);
    f.has[AVX512] = f.has[AVX2] && (saved & 0xe6) == 0xe6 && (b7 & avx512) == avx512;
    f.has[AVX512VNNI] = f.has[AVX512] && (c7 & bit_AVX512VNNI);
    f.has[AVX512BF16] = f.has[AVX512] && (a71 & 1u << 5);
    f.has[AMX] = f.has[AVX512BF16] && (saved & 0x60000) == 0x60000 && (d7 & 1u << 24) && (d7 & 1u << 22) && tiles_granted();
    f.has[AMXINT8] = f.has[AMX] && (d7 & 1u << 25);
#elif defined(__aarch64__)
    f.has[NEON] = true; /* of the base architecture */
    f.has[NEONDOT] = getauxval(AT_HWCAP) & HWCAP_ASIMDDP;
    f.has[NEONI8MM] = getauxval(AT_HWCAP2) & HWCAP2_I8MM;
    f.has[NEONBF16] = getauxval(AT_HWCAP2) & HWCAP2_BF16;
#endif
    for (int l = 0; l < LEVELS; l++)
        f.has[l] = f.has[l] && tables[l];
    return f;
}

static struct cpu_features known;
static void know(void)
{
    known = ask_cpu();
}

/* Asked once: in a virtual machine each CPUID is a call of its host. */
static struct cpu_features cpu_features(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, know);
    return known;
}

/* The cap of LIMBER_CPU, LEVELS where it is unset; -1 and an error where it cannot be had. */
static int level_cap(const struct cpu_features *f, limber_error *err)
{
    const char *name = getenv("LIMBER_CPU");
    if (!name || !*name)
        return LEVELS;
    for (int l = 0; l < LEVELS; l++)
        if (!strcmp(name, level_names[l])) {
            if (f->has[l])
                return l;
            limber_fail(err, LIMBER_E_UNSUPPORTED, "LIMBER_CPU=%s: %s", name,
                        tables[l] ? "this CPU or its kernel does not have it" : "this build has no kernels for it");
            return -1;
        }
    char names[192] = "";
    for (int l = 0; l < LEVELS; l++)
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s",
                 l == 0           ? ""
                 : l < LEVELS - 1 ? ", "
                                  : " or ",
                 level_names[l]);
    limber_fail(err, LIMBER_E_ARGUMENT, "LIMBER_CPU=%s: expected %s", name, names);
    return -1;
}

/* The best level for a precision that is there and not capped; -1: none. */
static int best_level(const struct cpu_features *f, int cap, enum precision precision)
{
    for (const enum level *l = by_precision[precision]; *l != LEVELS; l++)
        if ((int)*l <= cap && f->has[*l] && (*l != AVX2INT8 || f->wide_multipliers || cap == AVX2INT8))
            return (int)*l;
    return -1;
}

#if defined(__aarch64__)
#define BF16_NEEDS "bf16 needs FEAT_BF16"
#define INT8_NEEDS "int8 needs FEAT_DotProd"
#else
#define BF16_NEEDS "bf16 needs AMX or AVX512_BF16"
#define INT8_NEEDS "int8 needs AMX, AVX512_VNNI, AVX-VNNI, or AVX2 where it outruns fp32"
#endif

const struct kernels *cpu_kernels(enum precision precision, limber_error *err)
{
    const struct cpu_features f = cpu_features();
    const int cap = level_cap(&f, err);
    if (cap < 0)
        return NULL;
    if (precision == PRECISION_FP16) {
        limber_fail(err, LIMBER_E_UNSUPPORTED, "cpu computes in fp32, bf16 or int8, not in fp16");
        return NULL;
    }
    const int level = best_level(&f, cap, precision);
    if (level < 0) {
        limber_fail(err, LIMBER_E_UNSUPPORTED, "cpu: %s, and %s; fp32 works everywhere",
                    precision == PRECISION_BF16 ? BF16_NEEDS : INT8_NEEDS,
                    cap < LEVELS ? "LIMBER_CPU rules them out" : "this CPU or its kernel has none of them");
        return NULL;
    }
    return tables[level];
}

static const char *missing(enum level level)
{
    return tables[level] ? "not on this CPU or kernel" : "not in this build";
}

const struct kernels *cpu_table(int level, const char **name, const char **why)
{
    *name = level < LEVELS ? level_names[level] : NULL;
    *why = level < LEVELS ? missing((enum level)level) : NULL;
    return level < LEVELS && cpu_features().has[level] ? tables[level] : NULL;
}

bool backend_cpu_has(enum precision precision)
{
    const struct cpu_features f = cpu_features();
    const int cap = level_cap(&f, NULL);
    if (precision == PRECISION_FP32)
        return cap >= 0;
    if (precision == PRECISION_INT8)
        return cpu_kernels(precision, NULL) != NULL;
    if (precision != PRECISION_BF16 || cap < 0)
        return false;
    const int level = best_level(&f, cap, PRECISION_BF16);
    return level == AMX || (level == AVX512BF16 && (f.amd || cap == AVX512BF16));
}

int cpu_count(void)
{
    const int n = system_cpus();
    return n > 1024 ? 1024 : n;
}

void backend_cpu_report(struct backend_report *out)
{
    limber_error err = {0};
    const struct kernels *fp32 = cpu_kernels(PRECISION_FP32, &err), *bf16 = cpu_kernels(PRECISION_BF16, NULL);
    const struct kernels *int8 = cpu_kernels(PRECISION_INT8, NULL);
    *out = (struct backend_report){.name = "cpu", .available = fp32 != NULL};
    if (!fp32) {
        snprintf(out->detail, sizeof out->detail, "%.200s", err.text);
        return;
    }
    char amx[64] = "", avx2[96] = "";
#if defined(__x86_64__)
    const struct cpu_features f = cpu_features();
    if (!f.has[AMX])
        snprintf(amx, sizeof amx, "; amx: %s", missing(AMX));
    if (fp32 == &kernels_scalar)
        snprintf(avx2, sizeof avx2, " (%s%s)",
                 f.has[AVX2] ? "" : "avx2 with fma and f16c: ", f.has[AVX2] ? "LIMBER_CPU asks for it" : missing(AVX2));
#endif
    snprintf(out->precisions, sizeof out->precisions, "fp32%s%s", bf16 ? " bf16" : "", int8 ? " int8" : "");
    snprintf(out->detail, sizeof out->detail, "fp32 by %s%s, bf16 %s%s%s, int8 %s%s, %d threads%s", fp32->name, avx2,
             bf16 ? "by " : "not here", bf16 ? bf16->name : "",
             bf16 && !backend_cpu_has(PRECISION_BF16) ? " (slower than fp32 on this CPU)" : "", int8 ? "by " : "not here",
             int8 ? int8->name : "", cpu_count(), amx);
}
