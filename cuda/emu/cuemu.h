/* SPDX-License-Identifier: MIT */
/* cuemu.h - runs CUDA kernels on the CPU, one fiber per CUDA thread. Never part of the product: it is how a machine without a
 * GPU can say that a kernel is right.
 *
 *   cuemu.h     (this file) the dialect, threads, barriers, warp collectives, the launch
 *   tensor.h    what tile_ops.cuh stands on: mma, ldmatrix, cp.async, 16-bit numbers
 *   runtime.h   the host side: memory, streams that really are asynchronous, graphs, devices
 *   ptx.h       the same launch, but of the PTX that nvcc emitted; ptx_call.h is what a launch needs to know of it
 *
 * How a kernel runs:
 *   - blocks run one after another on the calling thread; the threads of a block are fibers;
 *   - __syncthreads, __syncwarp and the warp collectives are rendezvous points, and nothing else switches fibers;
 *   - CUEMU_SCHED chooses who runs next: 0 first in first out, 1 reversed, 2 random (CUEMU_SEED), 3 last in first out, so that one
 *     thread runs ahead of the others as far as barriers let it. Blocks are permuted alike. A correct kernel's output does not
 *     depend on it, bit for bit;
 *   - under AddressSanitizer fibers are announced, and dynamic shared memory is a heap block of exactly the size asked for;
 *   - under ThreadSanitizer every fiber is a TSan fiber and only barriers and __syncwarp order memory: a happens-before race
 *     detector for shared and global memory, within a block and between blocks. A block gets new fibers on new stacks and a new
 *     arena, or thread i of two blocks would pass for one thread. Static __shared__ would defeat that: kernels use SHARED_BYTES;
 *   - shared memory starts as 0xFF, which is NaN in every format, in every block;
 *   - launches that a device would refuse are refused: more shared memory than was opted in to, blocks over 1024 threads, an
 *     empty grid, ...;
 *   - a barrier that not all reach, lanes that meet in different collectives, or a deadlock stop the process with the source
 *     lines at which the threads wait.
 *
 * What it cannot know: timing, the weak memory model beyond happens-before, the rounding inside a tensor core (see tensor.h). */
#ifndef LIMBER_CUEMU_H
#define LIMBER_CUEMU_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) && !defined(__SANITIZE_ADDRESS__)
#define __SANITIZE_ADDRESS__ 1
#endif
#if __has_feature(thread_sanitizer) && !defined(__SANITIZE_THREAD__)
#define __SANITIZE_THREAD__ 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#endif
#if !defined(__x86_64__) || defined(CUEMU_UCONTEXT)
#define CUEMU_UCONTEXT 1
#include <ucontext.h>
#else
#define CUEMU_UCONTEXT 0
#endif

/* ---- the dialect ---- */

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __restrict__ __restrict
#define __align__(n) __attribute__((aligned(n)))
#define __launch_bounds__(...)

struct uint3 {
    unsigned x, y, z;
};
struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(8) uint2 {
    unsigned x, y;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
static inline float2 make_float2(float x, float y)
{
    return {x, y};
}
static inline float4 make_float4(float x, float y, float z, float w)
{
    return {x, y, z, w};
}
static inline uint2 make_uint2(unsigned x, unsigned y)
{
    return {x, y};
}
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w)
{
    return {x, y, z, w};
}

namespace cuemu
{
/* The scheduler itself must be invisible to the sanitizers, or it would order what the kernel does not order: plain arrays, no
 * standard containers, and this attribute. */
#define CUEMU_RAW __attribute__((noinline, no_sanitize("thread"), no_sanitize("address"), no_sanitize("undefined")))

static const unsigned MAX_THREADS = 1024, MAX_ASYNC = 128, RING = 2048;
static const size_t STACK = 256 * 1024, PAGE = 4096;
/* What a block may use without and with opting in; the second is the smallest of sm_75 (64 KB) to sm_120 for which we ship a
 * kernel that asks for more: a launcher that needs more than 64 KB must ask the device first. */
static const size_t SHARED_DEFAULT = 48 * 1024;

struct Ring { /* indices of fibers; head..tail, never more than MAX_THREADS of them */
    unsigned v[RING], tail, head;
};
struct AsyncCopy {
    void *dst;
    const void *src;
    int bytes;
    unsigned group;
};
enum FiberState { READY, WAITING, DONE };
struct Fiber {
    void *sp = nullptr;
    char *stack = nullptr;
    uint3 tid{};
    unsigned index = 0, warp = 0, lane = 0;
    int state = READY;
    const char *what = ""; /* where it waits */
    int line = 0;
    void *tsan = nullptr, *fake_stack = nullptr;
    AsyncCopy copy[MAX_ASYNC]; /* cp.async in flight */
    unsigned copies = 0, group = 0;
#if CUEMU_UCONTEXT
    ucontext_t context;
#endif
};
typedef void (*collective_fn)(void **args, unsigned mask);
struct Pending { /* a warp collective some lanes have reached */
    unsigned mask = 0, arrived = 0;
    int line = 0;
    const char *what = nullptr;
    void *arg[32];
};
struct Warp {
    Pending pending[2]; /* two disjoint halves may be in two collectives */
    unsigned present = 0, generation = 0;
    char sync[2]; /* addresses that stand for "before" and "after", alternating */
};
struct Barrier {
    unsigned arrived = 0, generation = 0;
    int line = 0;
    char sync[2];
    Ring waiting;
};
/* What budgets.txt keeps, and what a test prints. */
struct Counters {
    uint64_t launches, blocks, mma, ldmatrix, ldmatrix_phases, bank_conflicts, async_copies, async_bytes, shuffles, barriers,
        switches;
};
struct State {
    char *shared = nullptr;
    size_t shared_bytes = 0;
    uint3 block_index{};
    dim3 grid, block;
    Fiber *fiber = nullptr, *self = nullptr;
    Fiber host;
    size_t host_stack = 0;
    Warp warp[MAX_THREADS / 32];
    Barrier barrier;
    Ring ready;
    unsigned alive = 0, done = 0, warps = 0;
    int sched = 0;
    uint64_t rng = 88172645463325252ull;
    void (*body)(void *) = nullptr;
    void *body_arg = nullptr;
    const char *kernel = "";
    char block_sync[2];
    size_t shared_optin_max = 99 * 1024; /* sm_86, 89 and 120: the strictest of the sm_80 family */
    struct {
        const void *kernel;
        size_t bytes;
    } optin[256];
    int optins = 0;
    Counters count{};
};
inline State S;

[[noreturn]] CUEMU_RAW inline void die(const char *message)
{
    fprintf(stderr, "cuemu: ERROR in kernel %s, block (%u,%u,%u): %s\n", S.kernel, S.block_index.x, S.block_index.y,
            S.block_index.z, message);
    if (S.self && S.self != &S.host)
        fprintf(stderr, "cuemu:   thread (%u,%u,%u), warp %u, lane %u\n", S.self->tid.x, S.self->tid.y, S.self->tid.z,
                S.self->warp, S.self->lane);
    for (unsigned i = 0, shown = 0; i < S.alive && shown < 8; i++)
        if (S.fiber[i].state == WAITING && ++shown)
            fprintf(stderr, "cuemu:   thread %u waits at %s, line %d\n", i, S.fiber[i].what, S.fiber[i].line);
    fflush(nullptr);
    abort();
}

CUEMU_RAW inline uint64_t random_bits()
{
    S.rng ^= S.rng << 13;
    S.rng ^= S.rng >> 7;
    S.rng ^= S.rng << 17;
    return S.rng;
}

/* ---- switching ---- */

#if !CUEMU_UCONTEXT
extern "C" void limber_cuemu_switch(void **save, void *to);
__asm__(
    ".text\n.weak limber_cuemu_switch\n.hidden limber_cuemu_switch\n.type limber_cuemu_switch,@function\nlimber_cuemu_switch:\n"
    "pushq %rbp\npushq %rbx\npushq %r12\npushq %r13\npushq %r14\npushq %r15\n"
    "movq %rsp,(%rdi)\nmovq %rsi,%rsp\n"
    "popq %r15\npopq %r14\npopq %r13\npopq %r12\npopq %rbx\npopq %rbp\nret\n.size limber_cuemu_switch,.-limber_cuemu_switch\n");
#endif

CUEMU_RAW inline void switch_to(Fiber *to, bool dying = false)
{
    Fiber *from = S.self;
    S.self = to;
    S.count.switches++;
    if (from == to)
        return;
#ifdef __SANITIZE_THREAD__
    __tsan_switch_to_fiber(to->tsan, 1 /* no synchronisation */);
#endif
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(dying ? nullptr : &from->fake_stack, to->stack, to == &S.host ? S.host_stack : STACK);
#endif
    (void)dying;
#if CUEMU_UCONTEXT
    swapcontext(&from->context, &to->context);
#else
    limber_cuemu_switch(&from->sp, to->sp);
#endif
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(from->fake_stack, nullptr, nullptr);
#endif
}

CUEMU_RAW inline void push(Ring &r, unsigned i)
{
    r.v[r.tail++ % RING] = i;
}

CUEMU_RAW inline void make_ready(Fiber *f)
{
    f->state = READY;
    push(S.ready, f->index);
}

CUEMU_RAW inline Fiber *pick()
{
    Ring &r = S.ready;
    if (r.head == r.tail)
        return nullptr;
    if (S.sched == 2) { /* a random one goes to the end, where it is taken */
        unsigned &x = r.v[(r.head + (unsigned)(random_bits() % (r.tail - r.head))) % RING], &y = r.v[(r.tail - 1) % RING];
        unsigned t = x;
        x = y;
        y = t;
    }
    return &S.fiber[S.sched >= 2 ? r.v[--r.tail % RING] : r.v[r.head++ % RING]];
}

CUEMU_RAW inline void wait_here(const char *what, int line)
{
    S.self->state = WAITING;
    S.self->what = what;
    S.self->line = line;
    Fiber *next = pick();
    if (!next)
        die("deadlock: no thread can run (a barrier or warp collective that not all reach)");
    switch_to(next);
}

CUEMU_RAW inline void tsan_release(void *p)
{
#ifdef __SANITIZE_THREAD__
    __tsan_release(p);
#endif
    (void)p;
}

CUEMU_RAW inline void tsan_acquire(void *p)
{
#ifdef __SANITIZE_THREAD__
    __tsan_acquire(p);
#endif
    (void)p;
}

/* ---- __syncthreads ---- */

CUEMU_RAW inline void syncthreads(int line)
{
    Barrier &b = S.barrier;
    if (b.arrived == 0)
        b.line = line;
    else if (b.line != line)
        die("__syncthreads reached from two different lines (divergence)");
    char *sync = &b.sync[b.generation & 1];
    tsan_release(sync);
    if (++b.arrived == S.alive) {
        b.arrived = 0;
        b.generation++;
        S.count.barriers++;
        for (unsigned k = 0, n = b.waiting.tail - b.waiting.head; k < n; k++)
            make_ready(&S.fiber[b.waiting.v[(S.sched == 1 ? b.waiting.tail - 1 - k : b.waiting.head + k) % RING]]);
        b.waiting.tail = b.waiting.head = 0;
        if (S.sched >= 2) { /* others may overtake the last to arrive */
            make_ready(S.self);
            Fiber *next = pick();
            if (next != S.self)
                switch_to(next);
        }
    } else {
        push(b.waiting, S.self->index);
        wait_here("__syncthreads", line);
    }
    tsan_acquire(sync);
}

/* ---- warp collectives: the last lane to arrive computes for all. `orders` says whether memory is ordered too. ---- */

CUEMU_RAW inline void collective(const char *what, int line, unsigned mask, void *arg, collective_fn fn, bool orders)
{
    Fiber *me = S.self;
    Warp &w = S.warp[me->warp];
    unsigned need = mask & w.present;
    if (!(mask >> me->lane & 1))
        die("a lane calls a warp collective whose mask does not name it");
    Pending *p = nullptr;
    for (auto &q : w.pending)
        if (q.arrived && q.mask == mask)
            p = &q;
    if (!p) {
        for (auto &q : w.pending) {
            if (q.arrived && (q.mask & mask))
                die("warp collectives with overlapping, different masks");
            if (!q.arrived && !p)
                p = &q;
        }
        if (!p)
            die("more than two diverged warp collectives");
        p->mask = mask;
        p->what = what;
        p->line = line;
    } else if (p->line != line || strcmp(p->what, what)) {
        die("lanes of one warp meet in different warp collectives (divergence)");
    }
    p->arg[me->lane] = arg;
    p->arrived |= 1u << me->lane;
    char *sync = &w.sync[w.generation & 1];
    if (orders)
        tsan_release(sync);
    if (p->arrived == need) {
        if (fn)
            fn(p->arg, need);
        p->arrived = 0;
        if (orders)
            w.generation++;
        for (unsigned k = 0; k < 32; k++) {
            unsigned lane = S.sched == 1 ? 31 - k : k;
            if ((need >> lane & 1) && lane != me->lane)
                make_ready(&S.fiber[me->index - me->lane + lane]);
        }
        if (S.sched == 2 && (random_bits() & 1)) {
            make_ready(me);
            Fiber *next = pick();
            if (next != me)
                switch_to(next);
        }
    } else {
        wait_here(what, line);
    }
    if (orders)
        tsan_acquire(sync);
}

struct Shuffle {
    uint32_t v;
    unsigned from;
    uint32_t out;
};
CUEMU_RAW inline void do_shuffle(void **arg, unsigned mask)
{
    for (int lane = 0; lane < 32; lane++)
        if (mask >> lane & 1) {
            Shuffle &s = *(Shuffle *)arg[lane];
            s.out = mask >> s.from & 1 ? ((Shuffle *)arg[s.from])->v : 0xffffffffu;
        }
    S.count.shuffles++;
}
template <class T> inline T shuffle(const char *what, int line, unsigned mask, T v, unsigned from)
{
    static_assert(sizeof(T) == 4, "32-bit shuffles only");
    Shuffle s;
    memcpy(&s.v, &v, 4);
    s.from = from & 31;
    collective(what, line, mask, &s, do_shuffle, false);
    memcpy(&v, &s.out, 4);
    return v;
}
CUEMU_RAW inline unsigned lane()
{
    return S.self->lane;
}

/* ---- a grid ---- */

CUEMU_RAW inline void fiber_exit()
{
    Fiber *me = S.self;
    me->state = DONE;
    if (me->copies)
        die("a thread exits with cp.async still in flight");
    if (S.barrier.arrived)
        die("a thread exits while others of its block wait at __syncthreads");
    S.done++;
    tsan_release(&S.block_sync[1]);
    Fiber *next = pick();
    if (!next) {
        if (S.done != S.alive)
            die("deadlock: the last runnable thread has exited, others still wait");
        next = &S.host;
    }
    switch_to(next, true);
    die("a finished fiber was resumed");
}

CUEMU_RAW inline void fiber_main()
{
#ifdef __SANITIZE_ADDRESS__
    const void *bottom;
    size_t size;
    __sanitizer_finish_switch_fiber(nullptr, &bottom, &size);
    if (!S.host.stack) { /* the first switch of a grid comes from the host */
        S.host.stack = (char *)bottom;
        S.host_stack = size;
    }
#endif
    tsan_acquire(&S.block_sync[0]);
    S.body(S.body_arg);
    fiber_exit();
}

CUEMU_RAW inline void fiber_prepare(Fiber &f)
{
#ifdef __SANITIZE_THREAD__
    if (f.stack) {
        __tsan_destroy_fiber(f.tsan);
        munmap(f.stack - PAGE, STACK + 2 * PAGE);
        f.stack = nullptr;
    }
#endif
    if (!f.stack) {
        f.stack =
            (char *)mmap(nullptr, STACK + 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (f.stack == (char *)MAP_FAILED) {
            perror("cuemu: mmap of a fiber's stack");
            abort();
        }
        mprotect(f.stack, PAGE, PROT_NONE);
        f.stack += PAGE;
#ifdef __SANITIZE_THREAD__
        f.tsan = __tsan_create_fiber(0);
#endif
    }
    f.fake_stack = nullptr;
#if CUEMU_UCONTEXT
    getcontext(&f.context);
    f.context.uc_stack.ss_sp = f.stack;
    f.context.uc_stack.ss_size = STACK;
    f.context.uc_link = nullptr;
    makecontext(&f.context, (void (*)())fiber_main, 0);
#else
    void **sp = (void **)(f.stack + STACK);
    *--sp = nullptr; /* keeps the stack aligned to 16 bytes on entry */
    *--sp = (void *)&fiber_main;
    for (int i = 0; i < 6; i++)
        *--sp = nullptr;
    f.sp = sp;
#endif
}

CUEMU_RAW inline void run_block()
{
    unsigned n = S.alive;
    S.done = 0;
    S.ready.tail = S.ready.head = 0;
    for (unsigned i = 0; i < n; i++) {
        Fiber &f = S.fiber[i];
        f.state = READY;
        f.copies = f.group = 0;
        fiber_prepare(f);
        push(S.ready, S.sched == 1 ? n - 1 - i : i);
    }
    for (unsigned i = 0; i < S.warps; i++)
        S.warp[i].pending[0].arrived = S.warp[i].pending[1].arrived = 0;
    S.barrier.arrived = S.barrier.waiting.tail = S.barrier.waiting.head = 0;
    tsan_release(&S.block_sync[0]);
    switch_to(pick());
    S.count.blocks++;
}

/* 0, or the number of the CUDA error a device would answer (9: cudaErrorInvalidConfiguration). */
CUEMU_RAW inline int launch_error(const char *name, const void *kernel, dim3 grid, dim3 block, size_t shared)
{
    size_t limit = SHARED_DEFAULT, threads = (size_t)block.x * block.y * block.z;
    for (int i = 0; i < S.optins; i++)
        if (S.optin[i].kernel == kernel && S.optin[i].bytes > limit)
            limit = S.optin[i].bytes;
    if (threads == 0 || threads > MAX_THREADS || block.z > 64 || !grid.x || !grid.y || !grid.z || grid.x > 0x7fffffffu ||
        grid.y > 65535 || grid.z > 65535 || shared > limit) {
        fprintf(stderr, "cuemu: launch of %s refused: block %zu, grid (%u,%u,%u), %zu bytes of shared memory (limit %zu)\n", name,
                threads, grid.x, grid.y, grid.z, shared, limit);
        return 9;
    }
    return 0;
}

CUEMU_RAW inline void run_grid(const char *name, dim3 grid, dim3 block, size_t shared, void (*body)(void *), void *arg)
{
    const char *sched = getenv("CUEMU_SCHED"), *seed = getenv("CUEMU_SEED");
    unsigned n = block.x * block.y * block.z, blocks = grid.x * grid.y * grid.z;
    S.kernel = name;
    S.grid = grid;
    S.block = block;
    S.body = body;
    S.body_arg = arg;
    S.shared_bytes = shared;
    S.sched = sched ? atoi(sched) : 0;
    if (seed)
        S.rng = 88172645463325252ull + 0x9E3779B97F4A7C15ull * strtoull(seed, nullptr, 0);
    if (!S.fiber)
        S.fiber = new Fiber[MAX_THREADS];
    memset((void *)S.warp, 0, sizeof S.warp);
    S.warps = (n + 31) / 32;
    S.alive = n;
    S.self = &S.host;
    S.host.stack = nullptr;
    for (unsigned i = 0; i < n; i++) {
        Fiber &f = S.fiber[i];
        f.index = i;
        f.lane = i & 31;
        f.warp = i >> 5;
        f.tid = {i % block.x, i / block.x % block.y, i / (block.x * block.y)};
        S.warp[f.warp].present |= 1u << f.lane;
    }
#ifdef __SANITIZE_THREAD__
    S.host.tsan = __tsan_get_current_fiber();
#endif
    unsigned *order = (unsigned *)malloc(blocks * sizeof *order);
    void **arena = (void **)calloc(blocks, sizeof *arena);
    for (unsigned i = 0; i < blocks; i++)
        order[i] = S.sched == 1 ? blocks - 1 - i : i;
    for (unsigned i = blocks; S.sched >= 2 && i > 1; i--) {
        unsigned j = (unsigned)(random_bits() % i), t = order[i - 1];
        order[i - 1] = order[j];
        order[j] = t;
    }
    for (unsigned k = 0; k < blocks; k++) {
        unsigned b = order[k];
        S.block_index = {b % grid.x, b / grid.x % grid.y, b / (grid.x * grid.y)};
        if (posix_memalign(&arena[k], 128, shared ? shared : 1))
            abort();
        memset(arena[k], 0xFF, shared);
        S.shared = (char *)arena[k];
        run_block();
#ifndef __SANITIZE_THREAD__ /* TSan tells blocks apart by the address of their arena */
        free(arena[k]);
        arena[k] = nullptr;
#endif
    }
    tsan_acquire(&S.block_sync[1]);
    for (unsigned k = 0; k < blocks; k++)
        free(arena[k]);
    free(arena);
    free(order);
    S.shared = nullptr;
    S.count.launches++;
}
} // namespace cuemu

#define threadIdx (cuemu::S.self->tid)
#define blockIdx (cuemu::S.block_index)
#define blockDim (cuemu::S.block)
#define gridDim (cuemu::S.grid)
#define __syncthreads() cuemu::syncthreads(__LINE__)
#define __syncwarp() cuemu::collective("__syncwarp", __LINE__, 0xffffffffu, nullptr, nullptr, true)
#define __shfl_xor_sync(m, v, x) cuemu::shuffle("shfl.xor", __LINE__, (m), (v), cuemu::lane() ^ (x))
#define __shfl_sync(m, v, from) cuemu::shuffle("shfl.idx", __LINE__, (m), (v), (from))

template <class T> static inline T __ldg(const T *p)
{
    return *p;
}
static inline int min(int a, int b)
{
    return a < b ? a : b;
}
static inline int max(int a, int b)
{
    return a > b ? a : b;
}

#endif
