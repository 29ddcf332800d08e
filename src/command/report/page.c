/* SPDX-License-Identifier: MIT */
/* command/report/page.c - the frame of a report in one HTML file: no network, no script, light and dark, phone and print. */
#include "command/report/page.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/unicode.h"
#include "image/jpeg.h"

#define JPEG_QUALITY 82

void page_text(FILE *f, const char *s)
{
    for (; *s; s++)
        switch (*s) {
        case '&':
            fputs("&amp;", f);
            break;
        case '<':
            fputs("&lt;", f);
            break;
        case '>':
            fputs("&gt;", f);
            break;
        case '"':
            fputs("&quot;", f);
            break;
        case '\'':
            fputs("&#39;", f);
            break;
        default:
            if ((unsigned char)*s < 0x20)
                fputc(' ', f);
            else if (utf8_visible(s) == 0) /* names of files are bytes */
                fputs("&#xfffd;", f), s += utf8_length(s) ? utf8_length(s) - 1 : 0;
            else
                for (size_t n = utf8_visible(s); n; n--, s += n > 0)
                    fputc(*s, f);
        }
}

static void page_base64(FILE *f, const uint8_t *bytes, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        uint32_t v = (uint32_t)bytes[i] << 16 | (i + 1 < n ? (uint32_t)bytes[i + 1] << 8 : 0) | (i + 2 < n ? bytes[i + 2] : 0);
        fputc(digits[v >> 18], f);
        fputc(digits[v >> 12 & 63], f);
        fputc(i + 1 < n ? digits[v >> 6 & 63] : '=', f);
        fputc(i + 2 < n ? digits[v & 63] : '=', f);
    }
}

void page_photograph(FILE *f, const uint8_t *rgb, int width, int height)
{
    size_t bytes = 0;
    uint8_t *jpeg = jpeg_encode(rgb, width, height, JPEG_QUALITY, &bytes);
    if (jpeg) {
        fprintf(f, "<image width=%d height=%d style=\"filter:grayscale(.8) brightness(.78)\" href=\"data:image/jpeg;base64,",
                width, height);
        page_base64(f, jpeg, bytes);
        fputs("\"/>", f);
    }
    free(jpeg);
}

void page_number(FILE *f, double v)
{
    char text[32];
    snprintf(text, sizeof text, "%.2f", fabs(v));
    fprintf(f, "%s%s", v < 0 && strcmp(text, "0.00") ? "&minus;" : "", text);
}

void page_estimate(FILE *f, const limber_heads_estimate *e)
{
    if (!e->images) {
        fputs("not known", f);
        return;
    }
    page_number(f, e->mean);
    if (e->interval) {
        fputs(" <span class=ci>[", f);
        page_number(f, e->low);
        fputs(", ", f);
        page_number(f, e->high);
        fputs("]</span>", f);
    }
}

void page_probability(FILE *f, double p)
{
    if (p >= 0.001)
        fprintf(f, "%.3f", p);
    else if (p < 1e-99)
        fputs("&lt; 10<sup>&minus;99</sup>", f);
    else {
        char text[32]; /* "3e-12" */
        snprintf(text, sizeof text, "%.0e", p);
        fprintf(f, "%c&middot;10<sup>&minus;%d</sup>", text[0], -atoi(text + 2));
    }
}

void page_p_and_q(FILE *f, bool tested, double p, double q)
{
    fputs("<td>", f);
    if (tested)
        page_probability(f, p);
    fputs("<td>", f);
    if (tested)
        page_probability(f, q);
}

const char *page_plural(long long n)
{
    return n == 1 ? "" : "s";
}

/* ---- the frame ---- */

static const char style[] =
    ":root{color-scheme:light dark;--bg:#fdfdfb;--fg:#1c1d1f;--dim:#5d6167;--line:#d9d9d4;--card:#f4f4f0;--cell:#ecece7;"
    "--c0:#b4568c;--c1:#00815f;--c2:#0069ab;--c3:#c65200;--c4:#2b93c9;--c5:#b98200;--c6:#6f5bb5;--c7:#6d6d6d;"
    "--more:#c65200;--less:#2f6fb0;--local:#8b8f96;--diffuse:#cfd1d4;--mixed:#aeb2b8}"
    "@media(prefers-color-scheme:dark){:root{--bg:#16181b;--fg:#e9e9e6;--dim:#a2a7ae;--line:#3a3d42;--card:#1f2226;--cell:#"
    "2a2d32;"
    "--c0:#e08fbd;--c1:#3cc49a;--c2:#5aa9e6;--c3:#f28a47;--c4:#8fcdf0;--c5:#e9bd4f;--c6:#a997e8;--c7:#b0b0b0;"
    "--more:#f28a47;--less:#6fb0ec;--local:#7c828b;--diffuse:#3f444b;--mixed:#5b6068}}"
    "*{box-sizing:border-box}html{-webkit-text-size-adjust:100%}"
    "body{margin:0;background:var(--bg);color:var(--fg);font:16px/1.5 system-ui,-apple-system,\"Segoe UI\",Roboto,\"DejaVu "
    "Sans\",sans-serif}"
    "main{max-width:1180px;margin:0 auto;padding:20px 16px 60px}"
    "h1{font-size:clamp(1.5rem,5vw,2.2rem);line-height:1.15;margin:.4em 0 .3em;letter-spacing:-.01em}"
    "h2{font-size:1.25rem;margin:2.4em 0 .3em;line-height:1.25}h3{font-size:1rem;margin:0 0 .2em}"
    "sub,sup{line-height:0}p,li{max-width:74ch}p{margin:.5em 0}.dim,figcaption,.ci{color:var(--dim)}.lead{font-size:1.1rem}"
    ".facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,165px),1fr));gap:0 22px;margin:1.2em 0}"
    ".facts div{border-top:1px solid var(--line);padding:6px 0 10px;font-size:.86rem;color:var(--dim);overflow-wrap:anywhere}"
    ".facts b{display:block;font-size:1.05rem;color:var(--fg);font-weight:600}"
    "figure{margin:1em "
    "0;min-width:0}figcaption{font-size:.86rem;max-width:74ch;overflow-wrap:anywhere}svg{display:block;width:100%;height:auto}"
    "svg text{fill:var(--dim);font:11px system-ui,-apple-system,\"DejaVu Sans\",sans-serif}svg "
    ".strong{fill:var(--fg);font-weight:600}"
    ".maps{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,300px),1fr));gap:8px 28px}"
    ".key{display:flex;flex-wrap:wrap;gap:4px 16px;font-size:.86rem;color:var(--dim);margin:.6em 0}"
    ".key i,.who i{display:inline-block;width:.85em;height:.85em;border-radius:2px;margin-right:.4em;vertical-align:-.06em}"
    ".row{border-top:1px solid var(--line);padding:10px 0;display:grid;grid-template-columns:minmax(170px,210px) "
    "minmax(0,1fr);gap:2px 18px}"
    ".who{font-weight:600}.who span{display:block;font-weight:400;color:var(--dim);font-size:.86rem}"
    ".track{position:relative;height:26px;margin:2px "
    "0}.track:before{content:\"\";position:absolute;left:0;right:0;top:13px;border-top:1px solid var(--line)}"
    ".track span{position:absolute;top:9px;height:9px}.track .iv{top:12px;height:3px;border-radius:2px}.track "
    ".pt{width:11px;height:11px;margin-left:-5px;top:8px;border-radius:50%}"
    ".track .n1,.track .n2{width:2px;margin-left:-1px;top:4px;height:18px;background:var(--fg)}.track "
    ".n2{background:none;border-left:2px dotted var(--fg)}.track .zero{width:1px;top:0;height:26px;background:var(--line)}"
    ".said{font-size:.86rem;color:var(--dim)}.said b{color:var(--fg);font-weight:600}.said span{white-space:nowrap}.said "
    "span.ci{white-space:nowrap}"
    ".axis{display:grid;grid-template-columns:minmax(170px,210px) minmax(0,1fr);gap:18px;font-size:.8rem;color:var(--dim)}.axis "
    "div:last-child{position:relative;height:1.4em}"
    ".axis span{position:absolute;transform:translateX(-50%)}.axis span:first-child{transform:none}.axis "
    "span:last-child{transform:translateX(-100%)}"
    ".pairs{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,460px),1fr));gap:26px 30px;margin-top:1em}"
    ".pair .photos{display:grid;grid-template-columns:1fr 1fr;gap:10px}.pair figure{margin:0}.pair "
    "svg{border-radius:3px}.pair .photos svg,.three svg{background:#000}"
    "table{border-collapse:collapse;font-size:.86rem;font-variant-numeric:tabular-nums}th,td{text-align:right;padding:3px 10px "
    "3px 0;border-bottom:1px solid var(--line);white-space:nowrap}"
    "th{font-weight:600;color:var(--dim)}th:first-child,td:first-child,.l{text-align:left}.wide{overflow-x:auto;max-width:100%}"
    "dt{font-weight:600;margin-top:.6em}dd{margin:0;max-width:74ch}summary{cursor:pointer;font-weight:600;margin:.6em "
    "0}code{font-size:.92em}"
    ".line{position:relative;height:12px}.line span{position:absolute}.line "
    ".zero{width:1px;top:0;height:12px;background:var(--dim)}"
    ".line .iv{top:5px;height:2px;border-radius:1px}.line "
    ".pt{width:8px;height:8px;margin-left:-4px;top:2px;border-radius:50%;border:1.6px "
    "solid}"
    ".two{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,200px),1fr));gap:8px "
    "18px}.two>figure{max-width:480px}"
    ".both{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,340px),1fr));gap:8px "
    "18px}.both>figure{max-width:480px}"
    ".three{display:grid;grid-template-columns:repeat(3,1fr);gap:8px}.pair .two svg{background:none}"
    "@media print{:root{--bg:#fff;--fg:#111;--dim:#444;--line:#bbb;--card:#fff;--cell:#f0f0ee;"
    "--c0:#b4568c;--c1:#00815f;--c2:#0069ab;--c3:#c65200;--c4:#2b93c9;--c5:#b98200;--c6:#6f5bb5;--c7:#6d6d6d;"
    "--more:#c65200;--less:#2f6fb0;--local:#8b8f96;--diffuse:#cfd1d4;--mixed:#aeb2b8}"
    "*{print-color-adjust:exact;-webkit-print-color-adjust:exact}figure,.row,.pair{break-inside:avoid}h2,h2+p{break-after:avoid}"
    "body{font-size:12px}main{max-width:none;padding:0}.pairs{grid-template-columns:1fr "
    "1fr;gap:14px}.maps{grid-template-columns:1fr 1fr 1fr}"
    ".wide{overflow:visible}th,td{white-space:normal;padding-right:6px;font-size:9px}.two{grid-template-columns:1fr 1fr}}"
    "@media(max-width:640px){.row,.axis{grid-template-columns:minmax(0,1fr);gap:0}.axis div:first-child{display:none}.said "
    "span{white-space:normal}}";

static void colours(FILE *f)
{
    fputs(style, f);
    for (int c = 0; c < LIMBER_HEADS_MAX_CLASSES; c++)
        fprintf(f, ".f%d{fill:var(--c%d)}.s%d{stroke:var(--c%d)}.b%d{background:var(--c%d)}", c, c, c, c, c, c);
}

void page_fact(FILE *f, const char *what, const char *value)
{
    fputs("<div>", f);
    page_text(f, what);
    fputs("<b>", f);
    page_text(f, value);
    fputs("</b></div>", f);
}

void page_open(FILE *f, const char *title)
{
    fputs("<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport "
          "content=\"width=device-width,initial-scale=1\"><title>",
          f);
    page_text(f, title);
    fputs("</title><style>", f);
    colours(f);
    fputs("</style></head><body><main>", f);
}

#define PART "<!--limber %s %016" PRIx64 " %s-->\n"

void page_part(FILE *f, const char *name, uint64_t made_with)
{
    fprintf(f, PART, limber_version(), made_with, name);
}

const char *page_find_part(const char *page, const char *name, uint64_t made_with, size_t *size)
{
    char begin[96], end[96];
    const int n = snprintf(begin, sizeof begin, PART, limber_version(), made_with, name);
    snprintf(end, sizeof end, "<!--limber %s %016" PRIx64 " ", limber_version(), made_with);
    const char *from = strstr(page, begin), *to = from ? strstr(from + n, end) : NULL;
    *size = to ? (size_t)(to - from) - (size_t)n : 0;
    return to ? from + n : NULL;
}

void page_close(FILE *f)
{
    fprintf(f, "<p class=dim>limber %s. The same input, options and seed give the same numbers.</p></main></body></html>\n",
            limber_version());
}
