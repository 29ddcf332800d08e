/* SPDX-License-Identifier: MIT */
/* ptx.h - runs the PTX that nvcc emitted, one interpreter per fiber of cuemu.h.
 *
 * The source emulation shares its inline-assembly twins with nobody: a wrong operand order inside an asm string would pass it. Here
 * the instructions themselves run, after NVIDIA's front end has optimised, unrolled and rearranged them; only ptxas is left out.
 * Memory accesses are real ones, so the sanitizers see them. An instruction or form that is not in the table stops the process with
 * its line: nothing is skipped. A program that includes this header once runs its kernels from the PTX files that CUEMU_PTX names.
 *
 * A kernel is found by its mangled name, which nvcc and g++ share; the emulated program must export its kernels (-rdynamic, or a
 * shared library) for that. */
#ifndef LIMBER_CUEMU_PTX_H
#define LIMBER_CUEMU_PTX_H

#include <alloca.h>
#include <dlfcn.h>
#include <fenv.h>

#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "ptx_call.h"
#include "tensor.h"

namespace cuemu
{
namespace ptx
{
enum Op {
    MOV,
    ADD,
    SUB,
    MUL,
    MAD,
    FMA,
    NEG,
    ABS,
    MIN,
    MAX,
    AND,
    OR,
    XOR,
    NOT,
    SHL,
    SHR,
    SETP,
    SELP,
    CVT,
    CVT2,
    RCP,
    SQRT,
    RSQRT,
    EX2,
    LG2,
    DIV,
    REM,
    BFI,
    BFE,
    PRMT,
    LOP3,
    COPYSIGN,
    LD,
    ST,
    BRA,
    RET,
    BAR,
    WARPSYNC,
    SHFL,
    MMA,
    LDMATRIX,
    CP,
    CP_COMMIT,
    CP_WAIT,
    TRAP,
};
enum Kind { UNSIGNED, SIGNED, FLOAT, PREDICATE };
struct Type {
    Kind kind = UNSIGNED;
    int bytes = 4;
};
enum Space { GLOBAL, SHARED, PARAM };
enum Compare { LT, LE, GT, GE, EQ, NE, BOTH_NUMBERS, ANY_NAN };
enum Special {
    TID_X,
    TID_Y,
    TID_Z,
    NTID_X,
    NTID_Y,
    NTID_Z,
    CTAID_X,
    CTAID_Y,
    CTAID_Z,
    NCTAID_X,
    NCTAID_Y,
    NCTAID_Z,
    LANEID,
    SPECIALS
};
struct Operand {
    enum { REGISTER, IMMEDIATE, SPECIAL } kind;
    int index;
    uint64_t value;
};
struct Instruction {
    Op op = MOV;
    Type type, from; /* `from` of cvt */
    Space space = GLOBAL;
    int vector = 1, mode = 0, predicate = -1, target = -1, line = 0, rounding = FE_TONEAREST;
    bool negated = false, flag = false, ftz = false, sat = false, unordered = false, half = false;
    std::vector<Operand> o;
    std::string text;
};
struct Program : Signature {
    std::vector<Instruction> code;
    int registers = 0;
};

/* ---- reading ---- */

inline std::vector<std::string> split(const std::string &s, const char *separators)
{
    std::vector<std::string> words;
    std::string word;
    for (char c : s + separators[0])
        if (!strchr(separators, c)) {
            word += c;
        } else if (!word.empty()) {
            words.push_back(word);
            word.clear();
        }
    return words;
}

struct Parser {
    Program program;
    std::map<std::string, int> registers;
    std::map<std::string, size_t> parameters; /* name -> offset */
    std::map<std::string, int> labels;
    std::vector<std::pair<size_t, std::string>> jumps;

    int register_of(const std::string &name)
    {
        return registers.emplace(name, (int)registers.size()).first->second;
    }
    Operand operand(const std::string &s)
    {
        static const char *const specials[SPECIALS] = {"%tid.x",    "%tid.y",    "%tid.z",   "%ntid.x",  "%ntid.y",
                                                       "%ntid.z",   "%ctaid.x",  "%ctaid.y", "%ctaid.z", "%nctaid.x",
                                                       "%nctaid.y", "%nctaid.z", "%laneid"};
        for (int i = 0; i < SPECIALS; i++)
            if (s == specials[i])
                return {Operand::SPECIAL, i, 0};
        if (s[0] == '%')
            return {Operand::REGISTER, register_of(s), 0};
        if (s.size() > 2 && s[0] == '0' && strchr("fFdD", s[1]))
            return {Operand::IMMEDIATE, 0, strtoull(s.c_str() + 2, nullptr, 16)};
        if (isdigit((unsigned char)s[0]))
            return {Operand::IMMEDIATE, 0, strtoull(s.c_str(), nullptr, 0)};
        if (s[0] == '-')
            return {Operand::IMMEDIATE, 0, (uint64_t)strtoll(s.c_str(), nullptr, 0)};
        auto parameter = parameters.find(s);
        if (parameter != parameters.end())
            return {Operand::IMMEDIATE, 0, parameter->second};
        if (s.find("limber_shared") != std::string::npos) /* the one dynamic shared array */
            return {Operand::IMMEDIATE, 0, 0};
        return {Operand::REGISTER, register_of(s), 0}; /* declared inside inline assembly */
    }
    static Type type_of(const std::string &m, const std::string &text)
    {
        if (m == "pred")
            return {PREDICATE, 1};
        int bits = m.size() > 1 ? atoi(m.c_str() + 1) : 0;
        Kind kind = m[0] == 'f' ? FLOAT : m[0] == 's' ? SIGNED : UNSIGNED;
        if (!strchr("fsub", m[0]) || (bits != 8 && bits != 16 && bits != 32 && bits != 64) || (kind == FLOAT && bits < 32))
            unknown("type", text);
        return {kind, bits / 8};
    }
    void
    parameter(const std::string &declaration) /* ".param .align 8 .b8 name[120]" or ".param .u64 .ptr .global .align 1 name" */
    {
        auto words = split(declaration, " \t\n");
        std::string name = words.back();
        size_t bytes = 0, align = 0, bracket = name.find('[');
        for (size_t i = 1; i + 1 < words.size(); i++) {
            if (words[i] == ".align" && !bytes)
                align = strtoull(words[i + 1].c_str(), nullptr, 10);
            else if (!bytes && words[i].size() > 2 && words[i][0] == '.' && strchr("fsub", words[i][1]) &&
                     isdigit((unsigned char)words[i][2]))
                bytes = (size_t)atoi(words[i].c_str() + 2) / 8;
        }
        if (bracket != std::string::npos) {
            bytes *= strtoull(name.c_str() + bracket + 1, nullptr, 10);
            name = name.substr(0, bracket);
        }
        if (!align)
            align = bytes;
        size_t at = (program.parameter_bytes + align - 1) / align * align;
        parameters[name] = at;
        program.parameters.push_back({at, bytes});
        program.parameter_bytes = at + bytes;
    }
    void statement(std::string s, int line)
    {
        static const std::map<std::string, Op> ops = {
            {"mov", MOV},   {"add", ADD},   {"sub", SUB},           {"mul", MUL},
            {"mad", MAD},   {"fma", FMA},   {"neg", NEG},           {"abs", ABS},
            {"min", MIN},   {"max", MAX},   {"and", AND},           {"or", OR},
            {"xor", XOR},   {"not", NOT},   {"shl", SHL},           {"shr", SHR},
            {"setp", SETP}, {"selp", SELP}, {"cvt", CVT},           {"cvta", MOV},
            {"rcp", RCP},   {"sqrt", SQRT}, {"rsqrt", RSQRT},       {"ex2", EX2},
            {"lg2", LG2},   {"div", DIV},   {"rem", REM},           {"bfi", BFI},
            {"bfe", BFE},   {"prmt", PRMT}, {"lop3", LOP3},         {"copysign", COPYSIGN},
            {"ld", LD},     {"st", ST},     {"bra", BRA},           {"ret", RET},
            {"exit", RET},  {"trap", TRAP}, {"bar", BAR},           {"barrier", BAR},
            {"shfl", SHFL}, {"mma", MMA},   {"ldmatrix", LDMATRIX}, {"cp", CP}};
        Instruction i;
        i.line = line;
        i.text = s = s.substr(s.find_first_not_of(" \t\n"));
        if (s[0] == '@') {
            size_t end = s.find_first_of(" \t");
            i.negated = s[1] == '!';
            i.predicate = register_of(s.substr(i.negated ? 2 : 1, end - (i.negated ? 2 : 1)));
            s = s.substr(s.find_first_not_of(" \t", end));
        }
        size_t end = s.find_first_of(" \t");
        std::string mnemonic = s.substr(0, end), rest = end == std::string::npos ? "" : s.substr(end);
        auto m = split(mnemonic, ".");
        auto has = [&](const char *word) {
            for (auto &w : m)
                if (w == word)
                    return true;
            return false;
        };
        auto op = ops.find(m[0]);
        if (op == ops.end())
            unknown("opcode", i.text);
        i.op = op->second;
        i.ftz = has("ftz");
        i.sat = has("sat");
        i.rounding = has("rm") ? FE_DOWNWARD : has("rp") ? FE_UPWARD : has("rz") ? FE_TOWARDZERO : FE_TONEAREST;
        switch (i.op) {
        case BRA:
            jumps.push_back({program.code.size(), split(rest, " \t").front()});
            program.code.push_back(i);
            return;
        case MMA:
            i.flag = mnemonic == "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32";
            i.mode = mnemonic == "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32";
            if (!i.flag && !i.mode && mnemonic != "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32")
                unknown("mma shape", i.text);
            break;
        case LDMATRIX:
            if (!has("m8n8") || !has("x4") || !has("shared") || !has("b16"))
                unknown("ldmatrix form", i.text);
            i.flag = has("trans");
            break;
        case CP:
            if (has("commit_group"))
                i.op = CP_COMMIT;
            else if (has("wait_group"))
                i.op = CP_WAIT;
            else if (mnemonic != "cp.async.cg.shared.global")
                unknown("cp form", i.text);
            break;
        case BAR:
            if (has("warp"))
                i.op = WARPSYNC;
            else if (!has("sync"))
                unknown("bar form", i.text);
            break;
        case SHFL:
            if (!has("bfly") && !has("idx"))
                unknown("shfl form", i.text);
            i.mode = has("idx");
            break;
        case CVT:
            if (has("f16x2") || has("bf16x2")) {
                i.op = CVT2;
                i.flag = has("bf16x2");
                if (!has("rn"))
                    unknown("cvt rounding", i.text);
            } else if (m[m.size() - 2] == "f16" || m.back() == "f16") { /* between one f16 in 16 bits and fp32 */
                i.half = true;
                i.flag = m.back() == "f16";
                if (m.back() != "f32" && m[m.size() - 2] != "f32")
                    unknown("cvt form", i.text);
            } else {
                i.type = type_of(m[m.size() - 2], i.text);
                i.from = type_of(m.back(), i.text);
                i.rounding = has("rni")   ? FE_TONEAREST
                             : has("rmi") ? FE_DOWNWARD
                             : has("rpi") ? FE_UPWARD
                             : has("rzi") ? FE_TOWARDZERO
                                          : i.rounding;
                i.mode = has("rni") || has("rmi") || has("rpi") || has("rzi"); /* to an integer value */
            }
            break;
        case RET:
        case TRAP:
            break;
        default:
            i.type = type_of(m.back(), i.text);
            if (i.op == SETP) {
                static const std::map<std::string, Compare> compares = {{"lt", LT},
                                                                        {"le", LE},
                                                                        {"gt", GT},
                                                                        {"ge", GE},
                                                                        {"eq", EQ},
                                                                        {"ne", NE},
                                                                        {"lo", LT},
                                                                        {"ls", LE},
                                                                        {"hi", GT},
                                                                        {"hs", GE},
                                                                        {"num", BOTH_NUMBERS},
                                                                        {"nan", ANY_NAN}};
                std::string name = m[1];
                if (name.size() == 3 && name.back() == 'u') {
                    i.unordered = true;
                    name.pop_back();
                }
                auto c = compares.find(name);
                if (c == compares.end() || has("and") || has("or") || has("xor"))
                    unknown("setp form", i.text);
                i.mode = c->second;
            }
            if (i.op == MUL || i.op == MAD)
                i.mode = has("wide") ? 2 : has("hi") ? 1 : 0;
            if (i.op == LD || i.op == ST) {
                i.space = has("shared")  ? SHARED
                          : has("param") ? PARAM
                          : has("local") ? (unknown("spill", i.text), PARAM)
                                         : GLOBAL;
                i.vector = has("v4") ? 4 : has("v2") ? 2 : 1;
            }
            if (i.op == PRMT && m.size() != 2)
                unknown("prmt form", i.text);
        }
        for (auto &w : split(rest, ",{} \t|")) { /* [a+n] becomes two operands: base and offset */
            if (w[0] != '[') {
                i.o.push_back(operand(w));
                continue;
            }
            std::string inside = w.substr(1, w.size() - 2);
            size_t plus = inside.find('+');
            i.o.push_back(operand(inside.substr(0, plus)));
            i.o.push_back({Operand::IMMEDIATE, 0,
                           plus == std::string::npos ? 0 : (uint64_t)strtoll(inside.c_str() + plus + 1, nullptr, 0)});
        }
        if (i.op == MOV && i.o.size() == 3) { /* mov.b32 r, {lo, hi}  or  mov.b32 {lo, hi}, r */
            if (i.type.bytes != 4)
                unknown("mov form", i.text);
            i.mode = rest.find('{') < rest.find(',') ? 2 : 1;
        }
        program.code.push_back(i);
    }
};

inline void load(const char *file, std::map<std::string, Program> &out)
{
    FILE *f = fopen(file, "rb");
    if (!f)
        unknown("file", file);
    std::string raw, text;
    char block[65536];
    for (size_t n; (n = fread(block, 1, sizeof block, f)) > 0;)
        raw.append(block, n);
    fclose(f);
    for (size_t i = 0; i < raw.size();) { /* comments go, lines stay */
        if (raw.compare(i, 2, "//") == 0)
            while (i < raw.size() && raw[i] != '\n')
                i++;
        else
            text += raw[i++];
    }
    for (size_t at = 0; (at = text.find(".entry ", at)) != std::string::npos;) {
        size_t open = text.find('(', at), close = text.find("\n)", open), begin = text.find("\n{", open) + 2,
               end = text.find("\n}", begin);
        Parser parser;
        parser.program.name = text.substr(at + 7, open - at - 7);
        if (close == std::string::npos || close > begin)
            close = text.find(')', open);
        for (auto &declaration : split(text.substr(open + 1, close - open - 1), ","))
            if (declaration.find(".param") != std::string::npos)
                parser.parameter(declaration);
        int line = 1;
        for (size_t i = 0; i < begin; i++)
            line += text[i] == '\n';
        std::string current;
        for (size_t i = begin; i < end; i++) {
            char c = text[i];
            size_t first = current.find_first_not_of(" ");
            line += c == '\n';
            if (c == ';') {
                if (first != std::string::npos && current[first] != '.')
                    parser.statement(current, line);
                current.clear();
            } else if (c == ':' && first != std::string::npos) {
                parser.labels[current.substr(first)] = (int)parser.program.code.size();
                current.clear();
            } else if (first == std::string::npos && strchr("{}\n\t ", c)) {
                current.clear(); /* the scopes of inline assembly */
            } else {
                current += strchr("\n\t", c) ? ' ' : c;
            }
        }
        for (auto &jump : parser.jumps) {
            if (!parser.labels.count(jump.second))
                unknown("label", jump.second);
            parser.program.code[jump.first].target = parser.labels[jump.second];
        }
        parser.program.registers = (int)parser.registers.size();
        out[parser.program.name] = std::move(parser.program);
        at = end;
    }
}

/* The PTX of a kernel, where CUEMU_PTX names files; NULL where it does not. A kernel that is not in the files is an error. */
inline const Signature *program_of(const void *kernel)
{
    static const char *const files = getenv("CUEMU_PTX");
    static std::map<std::string, Program> programs;
    static std::map<const void *, const Program *> known;
    if (!files)
        return nullptr;
    if (programs.empty())
        for (auto &file : split(files, ":"))
            load(file.c_str(), programs);
    const Program *&program = known[kernel];
    if (!program) {
        Dl_info info;
        if (!dladdr((void *)kernel, &info) || info.dli_saddr != kernel || !info.dli_sname)
            unknown("name of a kernel (link with -rdynamic)", files);
        auto found = programs.find(info.dli_sname);
        if (found == programs.end())
            unknown("kernel", info.dli_sname);
        program = &found->second;
    }
    return program;
}

/* ---- running ---- */

inline uint64_t &instructions() /* interpreted so far */
{
    static uint64_t n;
    return n;
}

template <class F> inline F flushed(F x, bool ftz)
{
    return ftz && x > (F)-1.17549435e-38 && x < (F)1.17549435e-38 ? copysign((F)0, x) : x;
}
template <class T> inline bool compare(int mode, T a, T b)
{
    switch (mode) {
    case LT:
        return a < b;
    case LE:
        return a <= b;
    case GT:
        return a > b;
    case GE:
        return a >= b;
    case EQ:
        return a == b;
    default:
        return a != b;
    }
}
/* Division and square root in the rounding the instruction names; everything else here is exact or nearest. */
struct Rounding {
    int before;
    explicit Rounding(int mode) : before(fegetround())
    {
        if (mode != before)
            fesetround(mode);
    }
    ~Rounding()
    {
        if (fegetround() != before)
            fesetround(before);
    }
};

struct Lane { /* one thread's registers and how an instruction reads them */
    uint64_t *r;
    const Call &call;
    const Instruction *i;

    uint64_t raw(size_t k) const
    {
        const Operand &o = i->o[k];
        if (o.kind == Operand::REGISTER)
            return r[o.index];
        if (o.kind == Operand::IMMEDIATE)
            return o.value;
        const unsigned special[SPECIALS] = {S.self->tid.x, S.self->tid.y,   S.self->tid.z,   S.block.x,       S.block.y,
                                            S.block.z,     S.block_index.x, S.block_index.y, S.block_index.z, S.grid.x,
                                            S.grid.y,      S.grid.z,        S.self->lane};
        return special[o.index];
    }
    static uint64_t narrow(uint64_t v, int bytes)
    {
        return bytes == 8 ? v : v & ((1ull << 8 * bytes) - 1);
    }
    uint64_t bits(size_t k, Type t) const
    {
        return narrow(raw(k), t.bytes);
    }
    int64_t whole(size_t k, Type t) const /* sign-extended where the type is signed */
    {
        uint64_t v = bits(k, t);
        int shift = 64 - 8 * t.bytes;
        return t.kind == SIGNED ? (int64_t)(v << shift) >> shift : (int64_t)v;
    }
    float f32(size_t k) const
    {
        return flushed(float_of((uint32_t)raw(k)), i->ftz);
    }
    double f64(size_t k) const
    {
        uint64_t v = raw(k);
        double d;
        memcpy(&d, &v, 8);
        return d;
    }
    double number(size_t k, Type t) const
    {
        return t.bytes == 8 ? f64(k) : (double)f32(k);
    }
    void set(uint64_t v, Type t)
    {
        r[i->o[0].index] = narrow(v, t.bytes);
    }
    void set32(float v)
    {
        if (i->sat)
            v = v > 0 ? v < 1 ? v : 1.f : 0.f; /* NaN becomes 0, as the ISA says */
        r[i->o[0].index] = bits_of(flushed(v, i->ftz));
    }
    void set64(double v)
    {
        memcpy(&r[i->o[0].index], &v, 8);
    }
    char *shared_at(uint64_t offset, size_t bytes) const
    {
        if ((uint32_t)offset + bytes > call.shared) {
            fprintf(stderr, "cuemu: %s\n", i->text.c_str());
            die("shared memory access out of bounds");
        }
        return S.shared + (uint32_t)offset;
    }
    void arithmetic();
    void integer();
    void convert();
    void load();
    void store();
};

inline void Lane::arithmetic() /* f32 and f64 */
{
    /* through volatile, so that the compiler neither folds nor moves it out of the rounding mode */
    const bool wide = i->type.bytes == 8;
    const volatile double a = number(1, i->type), b = i->o.size() > 2 ? number(2, i->type) : 0,
                          c = i->o.size() > 3 ? number(3, i->type) : 0;
    const volatile float x = (float)a, y = (float)b, z = (float)c;
    Rounding rounding(i->rounding);
    switch (i->op) {
    case ADD:
        return wide ? set64(a + b) : set32(x + y);
    case SUB:
        return wide ? set64(a - b) : set32(x - y);
    case MUL:
        return wide ? set64(a * b) : set32(x * y);
    case FMA:
        return wide ? set64(fma(a, b, c)) : set32(fmaf(x, y, z));
    case DIV:
        return wide ? set64(a / b) : set32(x / y);
    case RCP:
        return wide ? set64(1 / a) : set32(1 / x);
    case SQRT:
        return wide ? set64(sqrt(a)) : set32(sqrtf(x));
    case NEG:
        return wide ? set64(-a) : set32(-x);
    case ABS:
        return wide ? set64(fabs(a)) : set32(fabsf(x));
    case MIN:
        return wide ? set64(fmin(a, b)) : set32(fminf(x, y));
    case MAX:
        return wide ? set64(fmax(a, b)) : set32(fmaxf(x, y));
    case COPYSIGN:
        return wide ? set64(copysign(b, a)) : set32(copysignf(y, x)); /* the sign of the first, the size of the second */
    default:
        break;
    }
    if (wide)
        unknown("f64 operation", i->text);
    switch (i->op) {
    case RSQRT:
        return set32(1 / sqrtf(x));
    case EX2:
        return set32(exp2f(x));
    case LG2:
        return set32(log2f(x));
    default:
        unknown("float operation", i->text);
    }
}

inline void Lane::integer()
{
    const Type t = i->type;
    const unsigned width = 8 * (unsigned)t.bytes;
    switch (i->op) {
    case ADD:
        set(raw(1) + raw(2), t);
        break;
    case SUB:
        set(raw(1) - raw(2), t);
        break;
    case MUL:
    case MAD: {
        __int128 product =
            t.kind == SIGNED ? (__int128)whole(1, t) * whole(2, t) : (__int128)((unsigned __int128)bits(1, t) * bits(2, t));
        uint64_t v = i->mode == 1 ? (uint64_t)(product >> width) : (uint64_t)product;
        if (i->op == MAD)
            v += raw(3);
        set(v, i->mode == 2 ? Type{t.kind, 2 * t.bytes} : t);
        break;
    }
    case NEG:
        set(0 - raw(1), t);
        break;
    case ABS:
        set((uint64_t)(whole(1, t) < 0 ? -whole(1, t) : whole(1, t)), t);
        break;
    case MIN:
    case MAX: {
        bool less = t.kind == SIGNED ? whole(1, t) < whole(2, t) : bits(1, t) < bits(2, t);
        set(less == (i->op == MIN) ? raw(1) : raw(2), t);
        break;
    }
    case DIV:
        t.kind == SIGNED ? set((uint64_t)(whole(1, t) / whole(2, t)), t) : set(bits(1, t) / bits(2, t), t);
        break;
    case REM:
        t.kind == SIGNED ? set((uint64_t)(whole(1, t) % whole(2, t)), t) : set(bits(1, t) % bits(2, t), t);
        break;
    case AND:
        set(raw(1) & raw(2), t);
        break;
    case OR:
        set(raw(1) | raw(2), t);
        break;
    case XOR:
        set(raw(1) ^ raw(2), t);
        break;
    case NOT:
        set(t.kind == PREDICATE ? ~raw(1) & 1 : ~raw(1), t);
        break;
    case SHL: {
        uint32_t by = (uint32_t)raw(2);
        set(by >= width ? 0 : raw(1) << by, t);
        break;
    }
    case SHR: {
        uint32_t by = (uint32_t)raw(2);
        if (t.kind == SIGNED)
            set((uint64_t)(whole(1, t) >> (by >= width ? width - 1 : by)), t);
        else
            set(by >= width ? 0 : bits(1, t) >> by, t);
        break;
    }
    case BFI: {
        uint32_t at = (uint32_t)raw(3) & 255, len = (uint32_t)raw(4) & 255, mask = len >= 32 ? ~0u : (1u << len) - 1;
        if (t.bytes != 4)
            unknown("bfi type", i->text);
        mask = at > 31 ? 0 : mask << at;
        set(((uint32_t)raw(2) & ~mask) | ((at > 31 ? 0 : (uint32_t)raw(1) << at) & mask), t);
        break;
    }
    case BFE: {
        uint32_t at = (uint32_t)raw(2) & 255, len = (uint32_t)raw(3) & 255;
        if (t.bytes != 4 || t.kind == SIGNED)
            unknown("bfe type", i->text);
        set(at > 31 ? 0 : ((uint32_t)raw(1) >> at) & (len >= 32 ? ~0u : (1u << len) - 1), t);
        break;
    }
    case PRMT: {
        uint64_t pool = (uint32_t)raw(1) | (uint64_t)(uint32_t)raw(2) << 32;
        uint32_t selector = (uint32_t)raw(3), v = 0;
        for (int k = 0; k < 4; k++) {
            uint32_t nibble = selector >> 4 * k & 15, byte = pool >> 8 * (nibble & 7) & 255;
            v |= (nibble & 8 ? (byte & 128 ? 255u : 0u) : byte) << 8 * k;
        }
        set(v, t);
        break;
    }
    case LOP3: {
        uint32_t a = (uint32_t)raw(1), b = (uint32_t)raw(2), c = (uint32_t)raw(3), table = (uint32_t)raw(4), v = 0;
        for (int k = 0; k < 32; k++)
            v |= (table >> ((a >> k & 1) << 2 | (b >> k & 1) << 1 | (c >> k & 1)) & 1) << k;
        set(v, t);
        break;
    }
    default:
        unknown("integer operation", i->text);
    }
}

inline void Lane::convert()
{
    if (i->half) {
        i->flag ? set32(from_f16((uint16_t)raw(1))) : set(to_f16(float_of((uint32_t)raw(1))), {UNSIGNED, 2});
        return;
    }
    if (i->from.kind == FLOAT) {
        double v = number(1, i->from);
        if (i->mode) {
            Rounding rounding(i->rounding);
            v = nearbyint(v);
        }
        if (i->type.kind == FLOAT) {
            i->type.bytes == 8 ? set64(v) : set32((float)v);
            return;
        }
        double low = i->type.kind == SIGNED ? -ldexp(1, 8 * i->type.bytes - 1) : 0; /* out of range saturates, NaN is 0 */
        double high = ldexp(1, 8 * i->type.bytes - (i->type.kind == SIGNED));
        if (v != v)
            set(0, i->type);
        else if (v <= low)
            set((uint64_t)(int64_t)low, i->type);
        else if (v >= high)
            set(i->type.kind == SIGNED ? (uint64_t)(high - 1) : ~0ull, i->type);
        else
            set(i->type.kind == SIGNED ? (uint64_t)(int64_t)v : (uint64_t)v, i->type);
    } else if (i->type.kind == FLOAT) {
        if (i->type.bytes == 8)
            set64(i->from.kind == SIGNED ? (double)whole(1, i->from) : (double)bits(1, i->from));
        else
            set32(i->from.kind == SIGNED ? (float)whole(1, i->from) : (float)bits(1, i->from));
    } else {
        set((uint64_t)whole(1, i->from), i->type);
    }
}

inline void Lane::load()
{
    const size_t n = (size_t)i->vector, bytes = (size_t)i->type.bytes;
    uint64_t address = raw(n) + raw(n + 1);
    const char *p = i->space == PARAM    ? (const char *)call.parameters + address
                    : i->space == SHARED ? shared_at(address, n * bytes)
                                         : (const char *)address;
    check_aligned(p, n * bytes, i->text.c_str());
    for (size_t k = 0; k < n; k++) {
        uint64_t v = bytes == 8   ? *(const word64 *)(p + 8 * k)
                     : bytes == 4 ? *(const uint32_t __attribute__((may_alias)) *)(p + 4 * k)
                     : bytes == 2 ? *(const uint16_t __attribute__((may_alias)) *)(p + 2 * k)
                                  : *(const uint8_t *)(p + k);
        if (i->type.kind == SIGNED && bytes < 4) /* a narrow signed load fills a wider register */
            v = (uint64_t)((int64_t)(v << (64 - 8 * bytes)) >> (64 - 8 * bytes));
        r[i->o[k].index] = v;
    }
}

inline void Lane::store()
{
    const size_t n = (size_t)i->vector, bytes = (size_t)i->type.bytes;
    uint64_t address = raw(0) + raw(1);
    char *p = i->space == SHARED ? shared_at(address, n * bytes) : (char *)address;
    check_aligned(p, n * bytes, i->text.c_str());
    for (size_t k = 0; k < n; k++) {
        uint64_t v = raw(2 + k);
        if (bytes == 8)
            *(word64 *)(p + 8 * k) = v;
        else if (bytes == 4)
            *(uint32_t __attribute__((may_alias)) *)(p + 4 * k) = (uint32_t)v;
        else if (bytes == 2)
            *(uint16_t __attribute__((may_alias)) *)(p + 2 * k) = (uint16_t)v;
        else
            *(uint8_t *)(p + k) = (uint8_t)v;
    }
}

inline void run(const Call &call)
{
    const Program &program = *static_cast<const Program *>(call.program);
    uint64_t *r = (uint64_t *)alloca(sizeof *r * (size_t)(program.registers + 1)), executed = 0;
    for (int k = 0; k < program.registers; k++)
        r[k] = ~0ull;
    Lane lane{r, call, nullptr};
    for (size_t pc = 0; pc < program.code.size(); pc++) {
        const Instruction &i = program.code[pc];
        lane.i = &i;
        executed++;
        if (i.predicate >= 0 && ((r[i.predicate] & 1) != 0) == i.negated)
            continue;
        switch (i.op) {
        case MOV:
            if (i.mode == 2) {
                uint64_t v = lane.raw(2);
                r[i.o[0].index] = v & 0xffff;
                r[i.o[1].index] = v >> 16 & 0xffff;
            } else {
                lane.set(i.mode ? (lane.raw(1) & 0xffff) | (lane.raw(2) & 0xffff) << 16 : lane.raw(1), i.type);
            }
            break;
        case SETP: {
            bool v;
            if (i.type.kind == FLOAT) {
                double a = lane.number(1, i.type), b = lane.number(2, i.type);
                bool nan = a != a || b != b;
                v = i.mode == ANY_NAN ? nan : i.mode == BOTH_NUMBERS ? !nan : nan ? i.unordered : compare(i.mode, a, b);
            } else {
                v = i.type.kind == SIGNED ? compare(i.mode, lane.whole(1, i.type), lane.whole(2, i.type))
                                          : compare(i.mode, lane.bits(1, i.type), lane.bits(2, i.type));
            }
            r[i.o[0].index] = v;
            break;
        }
        case SELP:
            lane.set(lane.raw(3) & 1 ? lane.raw(1) : lane.raw(2), i.type);
            break;
        case CVT:
            lane.convert();
            break;
        case CVT2: { /* the first operand becomes the upper half */
            float high = float_of((uint32_t)lane.raw(1)), low = float_of((uint32_t)lane.raw(2));
            r[i.o[0].index] = i.flag ? (uint32_t)to_bf16(high) << 16 | to_bf16(low) : (uint32_t)to_f16(high) << 16 | to_f16(low);
            break;
        }
        case LD:
            lane.load();
            break;
        case ST:
            lane.store();
            break;
        case BRA:
            pc = (size_t)i.target - 1;
            break;
        case RET:
            pc = program.code.size();
            break;
        case TRAP:
            die("trap");
        case BAR:
            if (lane.raw(0) != 0 || i.o.size() > 1)
                unknown("barrier", i.text);
            syncthreads(i.line);
            break;
        case WARPSYNC:
            collective("bar.warp.sync", i.line, (uint32_t)lane.raw(0), nullptr, nullptr, true);
            break;
        case SHFL: { /* d|p, a, b, c, mask */
            size_t k = i.o.size() == 6;
            uint32_t by = (uint32_t)lane.raw(2 + k);
            if (lane.raw(3 + k) != 31)
                unknown("shfl segment", i.text);
            r[i.o[0].index] = shuffle("shfl", i.line, (uint32_t)lane.raw(4 + k), (uint32_t)lane.raw(1 + k),
                                      i.mode ? by & 31 : S.self->lane ^ by);
            if (k)
                r[i.o[1].index] = 1;
            break;
        }
        case MMA: {
            float d[4];
            uint32_t a[4] = {0, 0, 0, 0}, b[2] = {0, 0};
            size_t na = i.mode ? 2 : 4, nb = i.mode ? 1 : 2; /* m16n8k8: the upper half of k is zero */
            for (size_t k = 0; k < na; k++)
                a[k] = (uint32_t)lane.raw(4 + k);
            for (size_t k = 0; k < nb; k++)
                b[k] = (uint32_t)lane.raw(4 + na + k);
            for (size_t k = 0; k < 4; k++)
                d[k] = float_of((uint32_t)lane.raw(4 + na + nb + k));
            mma16816(d, a, b[0], b[1], i.flag, i.line);
            for (size_t k = 0; k < 4; k++)
                r[i.o[k].index] = bits_of(d[k]);
            break;
        }
        case LDMATRIX: {
            uint32_t v[4];
            ldmatrix_x4(v, lane.shared_at(lane.raw(4) + lane.raw(5), 16), i.flag, i.line);
            for (size_t k = 0; k < 4; k++)
                r[i.o[k].index] = v[k];
            break;
        }
        case CP:
            if (lane.raw(4) != 16)
                unknown("cp.async size", i.text);
            cp_async16(lane.shared_at(lane.raw(0) + lane.raw(1), 16), (const void *)(lane.raw(2) + lane.raw(3)),
                       i.o.size() > 5 ? (int)lane.raw(5) : 16);
            break;
        case CP_COMMIT:
            cp_async_commit();
            break;
        case CP_WAIT:
            cp_async_wait((unsigned)lane.raw(0));
            break;
        default:
            i.type.kind == FLOAT ? lane.arithmetic() : lane.integer();
        }
    }
    __atomic_fetch_add(&instructions(), executed, __ATOMIC_RELAXED);
}

/* Including this file is what makes CUEMU_PTX heard. */
static const bool hooked = (find = program_of, execute = run, true);
} // namespace ptx
} // namespace cuemu
#endif
