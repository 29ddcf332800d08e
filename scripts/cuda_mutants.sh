#!/bin/sh
# SPDX-License-Identifier: MIT
# Seeds defects into copies of the CUDA sources, one at a time, and shows which stage of the proof catches each: the proof is worth what it
# would notice. Slow (minutes), not part of the tests; the last table is kept in cuda/PROOF.md.
#
#     scripts/cuda_mutants.sh [only mutants whose number or name matches this pattern]
#
# Stages, cheapest first, until one objects: plain (first in first out), random, run-ahead, address (ASan + UBSan), races (TSan); with NVCC
# set also ptx (the interpreted PTX of compute_80) and wrap (cuBLASLt's descriptors). Mutants of plugin.cu run test_emulated.c,
# test_golden.c, test_yolos.c and test_ops.c through PROOF_BUILD, a build directory that has cuda_proof. MUTANT_OBJECTS names a folder that
# keeps the unchanged objects from run to run (empty it when a source has changed). A stage objects only if it passes the unchanged source,
# which is asked before its first mutant.
#
# A test program may take LIMIT seconds (600). One that takes longer has not objected: a mutant that no other stage catches is then "TIMED
# OUT", not caught: run it again on a quieter machine, or see whether it hangs. Exit status: 0 every mutant was caught; 1 otherwise; 2 the
# unchanged source fails a stage.
set -u
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
only=${1-.}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
kept=${MUTANT_OBJECTS-$work}
limit=${LIMIT-600}
number=0
escaped=0
late=0
base="-std=c++20 -g -Wno-unknown-pragmas -I$root/include -I$root/src"
kernels="attention layernorm elementwise embed head decode"

flags_of() {
    case $1 in
    address) echo "-O1 -fsanitize=address,undefined -fno-sanitize-recover=all" ;;
    races) echo "-O1 -fsanitize=thread" ;;
    *) echo "-O1" ;;
    esac
}
kind_of() {
    case $1 in
    address | races) echo "$1" ;;
    *) echo plain ;;
    esac
}

# objects KIND: every unchanged kernel and test under these flags, once
objects() {
    [ -d "$kept/$1" ] && return
    mkdir -p "$kept/$1"
    for file in $kernels; do
        # shellcheck disable=SC2086,SC2046 # lists of words
        ${CXX-g++} $base $(flags_of "$1") -x c++ -c "$root/cuda/$file.cu" -o "$kept/$1/$file.o" || exit 2
    done
    for file in attention kernels; do
        # shellcheck disable=SC2086,SC2046
        ${CXX-g++} $base $(flags_of "$1") -x c++ -c "$root/tests/cuda/test_$file.cu" -o "$kept/$1/test_$file.o" || exit 2
    done
}

# All of the emulated plugin but plugin.cu, once.
objects_of_plugin() {
    [ -e "$kept/plugin/error.o" ] && return
    mkdir -p "$kept/plugin"
    for file in $kernels; do
        # shellcheck disable=SC2086
        ${CXX-g++} $base -O1 -fPIC -x c++ -c "$root/cuda/$file.cu" -o "$kept/plugin/$file.o" || exit 2
    done
    # shellcheck disable=SC2086
    ${CXX-g++} $base -O1 -fPIC -x c++ -c "$root/cuda/emu/linear_lt_cpu.cc" -o "$kept/plugin/linear_lt_cpu.o" || exit 2
    ${CC-cc} -c -I"$root/include" -I"$root/src" -fPIC "$root/src/base/error.c" -o "$kept/plugin/error.o" || exit 2
}

# attempt STAGE TEST FILE: the tests of the kernels with FILE as it lies in $tree. Returns 0 where nothing was noticed, 124 out of time.
attempt() {
    kind=$(kind_of "$1")
    objects "$kind"
    binary=$tree/test.$kind
    if ! [ -e "$binary" ]; then
        # shellcheck disable=SC2086,SC2046
        ${CXX-g++} $base $(flags_of "$kind") -x c++ -c "$tree/cuda/$3.cu" -o "$tree/$3.$kind.o" 2>"$work/out" || return 1
        list=$kept/$kind/test_$2.o
        for file in $kernels; do
            [ "$file" = "$3" ] && list="$list $tree/$3.$kind.o" || list="$list $kept/$kind/$file.o"
        done
        # shellcheck disable=SC2086,SC2046
        ${CXX-g++} $(flags_of "$kind") -rdynamic $list -o "$binary" -ldl || exit 2
    fi
    case $1 in
    plain) schedule=0 ;;
    random) schedule=2 ;;
    run-ahead) schedule=3 ;;
    *) schedule=0 ;;
    esac
    size=small
    [ "$1" = races ] && size=races
    files=''
    if [ "$1" = ptx ]; then
        for file in $kernels; do
            "$NVCC" -std=c++20 -O3 -I"$root/include" -I"$root/src" -arch=compute_80 -ptx "$tree/cuda/$file.cu" -o "$tree/$file.ptx" || exit 2
            files=$files:$tree/$file.ptx
        done
    fi
    if [ -n "$files" ]; then
        CUEMU_PTX=$files timeout "$limit" "$binary" $size >"$work/out" 2>&1
    else
        CUEMU_SCHED=$schedule CUEMU_SEED=3 ASAN_OPTIONS=detect_leaks=0 TSAN_OPTIONS=halt_on_error=1 timeout "$limit" "$binary" $size >"$work/out" 2>&1
    fi
}

reason() { # the first line that says what was noticed; else how the program ended, and its last word
    { grep -m1 -E 'cuemu: ERROR|cuemu: launch|AddressSanitizer|runtime error|data race|^FAIL|failed|WRONG|differs|error is|were opened|off by|are others|differ in|patches differ' "$work/out" ||
        echo "exit status $1: $(tail -n 1 "$work/out")"; } | sed "s|$root/||g" | tr -s ' ' | cut -c1-110
}

# stage STAGE TEST FILE: one stage over $tree. Returns 0 where it has nothing against it, 124 out of time, anything else where it objects.
stage() {
    case $1 in
    model)
        objects_of_plugin
        rm -f "$tree/plugin.so"
        # shellcheck disable=SC2086
        ${CXX-g++} $base -O1 -fPIC -shared -x c++ "$tree/cuda/plugin.cu" -x none "$kept"/plugin/*.o -o "$tree/plugin.so" >"$work/out" 2>&1 || exit 2
        overdue=0
        for test in cuda/cuda_test_emulated test_golden test_yolos test_ops; do
            LIMBER_CUDA_PLUGIN=$tree/plugin.so timeout "$limit" "$PROOF_BUILD/tests/$test" --jobs 2 >"$work/out" 2>&1 && continue
            status=$?
            [ $status = 124 ] || return $status
            overdue=124
        done
        return $overdue
        ;;
    wrap)
        library=$(dirname -- "$NVCC")/../lib64
        cp "$root"/tests/cuda/*.cu "$root"/tests/cuda/*.h "$tree/"
        sed -i 's#"../../cuda/#"cuda/#' "$tree"/*.cu "$tree"/*.h
        "$NVCC" -std=c++20 -O1 -arch=sm_80 -I"$root/include" -I"$root/src" -Xlinker --wrap=cublasLtCreate -Xlinker --wrap=cublasLtDestroy -Xlinker --wrap=cublasLtMatmulAlgoGetHeuristic \
            -Xlinker --wrap=cublasLtMatmul "$tree/cuda/linear_lt.cu" "$tree/test_linear_lt.cu" -o "$tree/wrap" -lcublasLt >"$work/out" 2>&1 || exit 2
        LD_LIBRARY_PATH=$library timeout "$limit" "$tree/wrap" >"$work/out" 2>&1
        ;;
    *) attempt "$@" ;;
    esac
}

# sound STAGE TEST FILE: the unchanged source passes. Asked once for each stage and test.
sound() {
    case $passed in *" $1/$2 "*) return ;; esac
    tree=$work/unchanged
    rm -rf "$tree"
    mkdir "$tree"
    cp -r "$root/cuda" "$tree/cuda"
    ln -s "$root/src" "$tree/src"
    if ! stage "$@"; then
        echo "the unchanged source fails (or outlasts $limit s of) stage $1 of $2: its word on a mutant is worth nothing"
        tail -5 "$work/out"
        exit 2
    fi
    passed="$passed$1/$2 "
}

# mutant NAME FILE TEST STAGES PERL-EXPRESSION: the expression must change cuda/FILE
mutant() {
    number=$((number + 1))
    echo "$number $1" | grep -Eq "$only" || return 0
    rm -rf "$work/mutant"
    mkdir "$work/mutant"
    cp -r "$root/cuda" "$work/mutant/cuda"
    ln -s "$root/src" "$work/mutant/src"
    perl -0pi -e "$5" "$work/mutant/cuda/$2"
    if cmp -s "$root/cuda/$2" "$work/mutant/cuda/$2"; then
        echo "| $number | $1 | $2 | THE SOURCE HAS CHANGED: this mutant no longer applies | |"
        escaped=$((escaped + 1))
        return 0
    fi
    changed=${2%.cu*}
    [ "$changed" = tile_ops ] && changed=attention
    overdue_at=''
    for stage in $4; do
        case $stage in
        ptx | wrap) [ -n "${NVCC-}" ] || continue ;;
        model) [ -n "${PROOF_BUILD-}" ] || { echo "| $number | $1 | $2 | not tried: PROOF_BUILD is not set | |"; return 0; } ;;
        esac
        sound "$stage" "$3" "$changed"
        tree=$work/mutant
        stage "$stage" "$3" "$changed"
        status=$?
        if [ $status = 124 ]; then
            overdue_at="$overdue_at $stage"
        elif [ $status != 0 ]; then
            echo "| $number | $1 | $2 | $stage | $(reason "$status") |"
            return 0
        fi
    done
    if [ -n "$overdue_at" ]; then
        echo "| $number | $1 | $2 | TIMED OUT | more than $limit s:$overdue_at |"
        late=$((late + 1))
    else
        echo "| $number | $1 | $2 | NOT CAUGHT | |"
        escaped=$((escaped + 1))
    fi
}

schedules="plain random run-ahead"
all="$schedules address races"
passed=" "
echo "| # | defect | file | caught by | what it said |"
echo "|---|---|---|---|---|"

# ---- attention ----
mutant "barrier only before the first tile" attention.cu attention "$all" 's/__syncthreads\(\); \/\* tile has landed/if (tile == 0) __syncthreads(); \/* tile has landed/'
mutant "reads past the last row of a ragged tile" attention.cu attention "$all" 's/if \(row \+ KEYS <= tokens\) \{/if (true) {/'
mutant "no __syncwarp before the exchange of the output" attention.cu attention "$all" 's/    __syncwarp\(\);\n//'
mutant "no wait for cp.async" attention.cu attention "$all" 's/        cp_async_wait<0>\(\);\n//'
mutant "a shuffle under a lane-dependent if" attention.cu attention "$all" 's/new1 = quad_max\(new1\);/if (g < 4) new1 = quad_max(new1);/'
mutant "the output loop runs into the next warp's rows" attention.cu attention "$all" 's/i < M \* WARP_QUERIES \* Y::CHUNKS/i < (M * WARP_QUERIES + 1) * Y::CHUNKS/'
mutant "more than 48 KB of shared memory without opting in" attention.cu attention "$all" 's/cudaError_t e = cudaFuncSetAttribute[^;]*;/cudaError_t e = cudaSuccess;/'
mutant "prefetch before the barrier" attention.cu attention "$all" 's/        cp_async_wait<0>\(\);\n        __syncthreads\(\);([^\n]*)\n        if \(tile \+ 1 < tiles\)\n            load_tile\(tile \+ 1\);/        cp_async_wait<0>();\n        if (tile + 1 < tiles)\n            load_tile(tile + 1);\n        __syncthreads();/'
mutant "row pitch not a multiple of 16 bytes" attention.cu attention "$all" 's/LD = \(CHUNKS \| 1\) \* 8;/LD = CHUNKS * 8 + 4;/'
mutant "row pitch without padding" attention.cu attention "$all" 's/LD = \(CHUNKS \| 1\) \* 8;/LD = CHUNKS * 8;/'
mutant "halves of a B fragment swapped" attention.cu attention "$all" 's/mma\(o\[m\]\[2 \* d\], pf\[m\], b\[0\], b\[1\], T\(\)\)/mma(o[m][2 * d], pf[m], b[1], b[0], T())/'
mutant "ragged rows are all stored to the last one" attention.cu attention "$all" 's/row = first \+ warp_row \+ r;\n        if \(row < tokens\)/row = min(first + warp_row + r, tokens - 1);/'
mutant "operands swapped in the text of mma's assembly only" tile_ops.cuh attention "plain ptx" 's/"r"\(a\[0\]\), "r"\(a\[1\]\), "r"\(a\[2\]\), "r"\(a\[3\]\), "r"\(b0\), "r"\(b1\)\)/"r"(a[0]), "r"(a[2]), "r"(a[1]), "r"(a[3]), "r"(b0), "r"(b1))/'
mutant "the own key stays in the class masses" attention.cu attention "$all" 's/own == column \? 0xffff0000u : own == column \+ 1 \? 0x0000ffffu : 0xffffffffu/0xffffffffu/'
mutant "the entropy sum is not shifted with the maximum" attention.cu attention "$all" 's/entropy = a \* fmaf\(shift, total, entropy\);/entropy = a * entropy;/'
mutant "squares rescaled by a instead of its square" attention.cu attention "$all" 's/squares \*= a \* a;/squares *= a;/'
mutant "positions of the wrong buffer" attention.cu attention "$all" 's/positions\[\(tile & 1\) \* KEYS \+ column\]/positions[(tile + 1 & 1) * KEYS + column]/'
mutant "ragged keys masked one too late" attention.cu attention "$all" 's/t \* 2 \+ j >= tokens\)/t * 2 + j > tokens)/'
mutant "statistics take the masked keys for class 0 beyond the last" attention.cu attention "$all" 's/p\.classes && key < tokens \? p\.masks/p.classes ? p.masks/'
mutant "a wide block's second half of queries is its first" attention.cu attention "$all" 's/load_rows\(sq \+ m \* Y::KV, q, first \+ m \* KEYS\)/load_rows(sq + m * Y::KV, q, first)/'
mutant "both m16 tiles of a warp take the first one's weights" attention.cu attention "$all" 's/mma\(o\[m\]\[2 \* d\], pf\[m\]/mma(o[m][2 * d], pf[0]/'
mutant "the second m16 tile's sums are not rescaled" attention.cu attention "$all" 's/            l\[m\]\[0\] \*= a0;/            l[0][0] *= a0;/'
mutant "fp32 rows: no barrier before a tile is overwritten" attention.cu attention "$all" 's/first \+= ROW_KEYS\) \{\n\K        __syncthreads\(\);\n//'
mutant "fp32 rows: every lane of a quad counts every key" attention.cu attention "$all" 's/STATS && \(j & 3\) == t && key < tokens/STATS && key < tokens/'
mutant "fp32 rows: q beyond head_dim is not zero" attention.cu attention "$all" 's/qr\[i\] = d < dim \? element/qr[i] = true ? element/'
# ---- layernorm ----
mutant "eps left out" layernorm.cu kernels "$all" 's/ \+ eps\)/)/g'
mutant "the variance counts lanes beyond dim" layernorm.cu kernels "$all" 's/        if \(\(i \* 32 \+ lane\) \* 4 < dim\) \{/        {/'
mutant "no check of the last row" layernorm.cu kernels "$all" 's/if \(row >= rows\)\n        return;/if (row > rows)\n        return;/g'
mutant "the sum misses one step of the shuffle" layernorm.cu kernels "$all" 's/lanes = 16; lanes;/lanes = 8; lanes;/'
# ---- elementwise ----
mutant "GELU in its tanh form" elementwise.cu kernels "$all" 's/erff\(x \* 0\.70710678118654752f\)/tanhf(0.79788456f * (x + 0.044715f * x * x * x))/'
mutant "the residual inside of the activation" elementwise.cu kernels "$all" 's/activated<RELU>\(v\.x \+ b\.x\) \+ r\.x/activated<RELU>(v.x + b.x + r.x)/'
mutant "the bias read beyond its end" elementwise.cu kernels "$all" 's/c \+ 3 < cols \? bias\[c \+ 3\] : 0\.f/bias[c + 3]/'
mutant "ReLU lets pass what is negative" elementwise.cu kernels "$all" 's/RELU \? fmaxf\(x, 0\.f\)/RELU ? x/'
mutant "ReLU before the bias" elementwise.cu kernels "$all" 's/activated<RELU>\(v\.w \+ b\.w\)/(RELU ? activated<RELU>(v.w) + b.w : activated<RELU>(v.w + b.w))/'
mutant "positions for the first person only" elementwise.cu kernels "$all" 's/person < people/person < 1/'
mutant "no position for the last token" elementwise.cu kernels "$all" 's/c < cols && token < tokens; token/c < cols \&\& token < tokens - 1; token/'
mutant "positions run on with the people" elementwise.cu kernels "$all" 's/const float4 v = load4\(to\);/const float4 v = load4(to), p = load4(positions + ((size_t)person * (size_t)tokens + (size_t)token) * (size_t)ld + (size_t)c);/'
# ---- embed ----
mutant "mirrored by one pixel too many" embed.cu kernels "$all" 's/p\.image_w - 1 - x/p.image_w - x/'
mutant "the column past the last counts as inside" embed.cu kernels "$all" 's/x < p\.image_w\)/x <= p.image_w)/'
mutant "channels in the order of the file's twin" embed.cu kernels "$all" 's/p\.lut\[channel \* 256/p.lut[(2 - channel) * 256/'
mutant "the class token takes the first patch's place" embed.cu kernels "$all" 's/place = token - p\.before;/place = token;/'
mutant "other tokens get the patches' bias" embed.cu kernels "$all" 's/is_patch \? p\.bias\[o\] \+ position : position/p.bias[o] + position/'
mutant "position without the patches' bias" embed.cu kernels "$all" 's/is_patch \? p\.bias\[o\] \+ position : position/position/'
mutant "tokens that are no patch write one" embed.cu kernels "$all" 's/is_patch && i < 3/i < 3/'
# ---- head ----
mutant "upsampling with aligned corners" head.cu kernels "$all" 's/\(\(float\)o \+ 0\.5f\) \/ \(float\)scale - 0\.5f/(float)o \/ (float)scale/'
mutant "taps continue beyond the upsampled map" head.cu kernels "$all" 's/x < 0 \|\| x >= w\)\n                continue;/x < 0 || x > w)\n                continue;/'
mutant "parities of rows and columns exchanged" head.cu kernels "$all" 's/\(y & 1\) \* 2 \+ \(x & 1\)/(x & 1) * 2 + (y & 1)/'
mutant "the gather reads beyond the border" head.cu kernels "$all" 's/const bool there = y >= 0 && y < h && x >= 0 && x < w;/const bool there = y >= 0 && x >= 0;/'
mutant "no barrier before a slice is overwritten" head.cu kernels "$all" 's/            __syncthreads\(\); \/\* everyone is done with the slice before \*\/\n//'
mutant "keypoints of the second round overwrite the first" head.cu kernels "$all" 's/const int k = round \+ i \* CLASSIC_WARPS \+ warp;\n            if/const int k = i * CLASSIC_WARPS + warp;\n            if/'
# ---- decode ----
mutant "the later of two equal maxima" decode.cu kernels "$all" 's/return a\.at < b\.at;/return a.at > b.at;/'
mutant "no barrier after the warps' maxima" decode.cu kernels "$all" 's/s->peak\[tid \/ 32\] = best;\n\K    __syncthreads\(\);\n//'
mutant "the mirror image is off by one" decode.cu kernels "$all" 's/w - 1 - x\)\]/w - 2 - x < 0 ? 0 : w - 2 - x)]/'
mutant "the blur clamps where it should mirror" decode.cu kernels "$all" 's/mirror_index\(top - RADIUS/clamp_index(top - RADIUS/'
mutant "no barrier before the step" decode.cu kernels "$all" 's/    __syncthreads\(\);\n    if \(tid != 0\)/    if (tid != 0)/'
# ---- the host side, through whole models ----
mutant "finish does not wait" plugin.cu - model 's/    went_well\(ex, cudaStreamSynchronize\(ex->stream\), "a kernel or copy of this pass"\);\n//'
mutant "a played graph forgets where its joints go" plugin.cu - model 's/    ex->pending = g->joints;\n//'
mutant "recording runs nothing" plugin.cu - model 's/    good = good && went_well\(ex, cudaGraphLaunch\(g->exec, ex->stream\), "cudaGraphLaunch"\);\n//'
mutant "graphs of all sizes are one" plugin.cu - model 's/ex->graphs\[i\]\.people == people && //'
mutant "the bias of the wrong type" plugin.cu - model 's/of\(y\)->type == ELEMENT_F32 \? \(void \*\)w->bias : w->bias_typed/w->bias/'
mutant "the residual is forgotten" plugin.cu - model 's/, \.accumulate = plain && add\}/}/'
mutant "the second deconvolution uses the first one's weights" plugin.cu - model 's/gathered, w->w2,/gathered, w->w,/'
mutant "the mirrored pass is not mirrored" plugin.cu - model 's/    p\.mirrored = mirrored;\n//'
mutant "statistics of the first layer only" plugin.cu - model 's/stats->out \+ \(size_t\)span\.first \* person, ex->stats\.p, \(size_t\)span\.count/stats->out + (size_t)span.first * person, ex->stats.p, (size_t)0/'
mutant "out of memory is not reported" plugin.cu - model 's/    if \(e != cudaSuccess\) \{\n        free\(b\);/    if (false) {\n        free(b);/'
mutant "rows from the first token on" plugin.cu - model 's/rows_at\(x, span\) \+ \(size_t\)first \* row,/rows_at(x, span),/'
mutant "rows of everybody are the first person's" plugin.cu - model 's/\(size_t\)x->tokens \* row, taken/taken, taken/'
mutant "ReLU computed as GELU" plugin.cu - model 's/act == ACT_RELU \? ACTIVATE_RELU : ACTIVATE_GELU/ACTIVATE_GELU/'
mutant "patches are added where the class token is" plugin.cu - model 's/\(size_t\)person \* \(size_t\)x->tokens \+ \(size_t\)s->before/(size_t)person * (size_t)x->tokens/'
mutant "patches of all people in one product, whatever stands between" plugin.cu - model 's/others \? patches : span/span/; s/others \? span\.count : 1/1/'
mutant "positions of whoever is first in the span" plugin.cu - model 's/\(const float \*\)of\(positions\)->p, span\.count, x->tokens/(const float *)of(positions)->p, 1, x->tokens/'
mutant "graphs of all grids are one" plugin.cu - model 's/ && ex->graphs\[i\]\.variant == variant//'
mutant "graphs outlive the buffers they read" plugin.cu - model 's/    drop_graphs\(\(struct cuda_exec \*\)base\);\n//'
# ---- cuBLASLt ----
mutant "weights not transposed" linear_lt.cu - wrap 's/CUBLASLT_MATMUL_DESC_TRANSA, &transposed/CUBLASLT_MATMUL_DESC_TRANSB, &transposed/'
mutant "beta zero" linear_lt.cu - wrap 's/plan->accumulate \? 1\.f : 0\.f/0.f/'
mutant "the bias type left to its default" linear_lt.cu - wrap 's/const cudaDataType_t bias_type = data_type\(p\.y_type\);/const cudaDataType_t bias_type = data_type(p.type);/'
mutant "the batch's stride of x for w" linear_lt.cu - wrap 's/p\.ld_w, p\.batch, p\.stride_w/p.ld_w, p.batch, p.stride_x/'
mutant "rows and columns of y exchanged" linear_lt.cu - wrap 's/p\.y_type, p\.out, p\.rows, p\.ld_y/p.y_type, p.rows, p.out, p.ld_y/'

echo
if [ $((escaped + late)) -gt 0 ]; then
    echo "of $number mutants $escaped were not caught, $late timed out"
    exit 1
fi
echo "all were caught"
