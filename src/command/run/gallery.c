/* SPDX-License-Identifier: MIT */
/* command/run/gallery.c - poses.jsonl, or boxes.jsonl -> index.html. One file a page, with its own style and script: it asks no network, works from
 * file:// and, but for the filter and the joints, without its script. Pictures are the overlays themselves, loaded as they come into
 * sight. A picture is a link to its overlay with what is known of its people in attributes:
 *
 *     data-size="640 426"       data-people="[[0.87,412.8,157.6,53.1,138,398.1,181.8,0.88,...],...]"
 *                                            of each person the score, the box, and x, y, score of each joint
 *
 * All text of a run comes from strangers - names of files, errors, labels of a model - and is escaped here; the script only ever sets
 * text, never HTML. */
#define _GNU_SOURCE
#include "command/run/gallery.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json_write.h"
#include "command/output.h"
#include "command/report/page.h"
#include "command/run/lines.h"
#include "command/run/run.h"

static const char style[] =
    ":root{color-scheme:light "
    "dark;--bg:#fdfdfb;--fg:#1c1d1f;--dim:#5d6167;--line:#d9d9d4;--card:#f1f1ec;--left:#c96a00;--right:#1a6fc4}"
    "@media(prefers-color-scheme:dark){:root{--bg:#16181b;--fg:#e9e9e6;--dim:#a2a7ae;--line:#3a3d42;--card:#212428;--left:#"
    "ff9a34;"
    "--right:#5aaaff}}"
    "*{box-sizing:border-box}html{-webkit-text-size-adjust:100%}"
    "body{margin:0;background:var(--bg);color:var(--fg);font:15px/1.45 system-ui,-apple-system,\"Segoe UI\",Roboto,\"DejaVu "
    "Sans\",sans-serif}"
    "header,.errors,nav,footer{max-width:1600px;margin:0 auto;padding:0 16px}"
    "h1{font-size:1.45rem;line-height:1.2;margin:.8em 0 .2em}p{margin:.3em "
    "0}.dim{color:var(--dim)}.left{color:var(--left)}.right{color:"
    "var(--right)}.left,.right{font-weight:600}"
    "form{position:sticky;top:0;z-index:1;background:var(--bg);border-bottom:1px solid var(--line)}"
    "form>div{max-width:1600px;margin:0 auto;padding:8px 16px;display:flex;flex-wrap:wrap;gap:6px 18px;align-items:center}"
    "label{display:flex;gap:6px;align-items:center}input,select,button{font:inherit;color:inherit;background:var(--card);border:"
    "1px solid "
    "var(--line);border-radius:5px;padding:3px "
    "7px;min-height:32px}input[type=number]{width:5.2em}input[type=search]{width:11em;min-width:0}"
    "button{cursor:pointer}output{margin-left:auto;color:var(--dim);font-variant-numeric:tabular-nums}"
    "main{max-width:1600px;margin:0 auto;padding:14px 16px "
    "50px;display:grid;gap:14px;grid-template-columns:repeat(auto-fill,minmax(min("
    "44%,230px),1fr))}"
    "main "
    "a{display:block;color:inherit;text-decoration:none;background:var(--card);border-radius:6px;overflow:hidden;content-"
    "visibility:"
    "auto;contain-intrinsic-size:230px 215px}main a[hidden]{display:none}main a:focus-visible{outline:3px solid var(--right)}"
    "main img{display:block;width:100%;aspect-ratio:4/3;object-fit:contain;background:#0003}"
    "main span{display:block;padding:5px 8px "
    "0;font-size:.86rem;white-space:nowrap;overflow:hidden;text-overflow:ellipsis;direction:rtl;"
    "text-align:left}main small{display:block;padding:0 8px 6px;color:var(--dim);font-variant-numeric:tabular-nums}"
    ".errors{margin-top:12px}.errors ul{margin:.3em 0;padding-left:1.2em;max-height:40vh;overflow:auto}.errors "
    "li{overflow-wrap:anywhere}"
    "summary{cursor:pointer;font-weight:600}nav{display:flex;gap:18px;padding-top:12px}footer{padding-bottom:30px}"
    "dialog{width:min(1500px,calc(100vw - 32px));height:calc(100vh - 32px);height:calc(100dvh - "
    "32px);max-width:none;max-height:none;padding:"
    "0;border:1px solid var(--line);border-radius:8px;background:var(--bg);color:var(--fg);overflow:hidden}"
    "dialog[open]{display:grid;grid-template:auto minmax(0,1fr)/minmax(0,1fr) 330px}dialog::backdrop{background:#000b}"
    ".bar{grid-column:1/-1;display:flex;gap:8px;align-items:center;padding:8px 12px;border-bottom:1px solid var(--line)}"
    ".bar "
    "b{flex:1;min-width:0;font-weight:600;overflow:hidden;text-overflow:ellipsis;white-space:nowrap;direction:rtl;text-align:"
    "left}"
    ".view{display:flex;min-width:0;min-height:0;background:#000}"
    ".view svg{width:100%;height:100%}.view rect,.view "
    "circle{fill:none;stroke:#ffe14a;vector-effect:non-scaling-stroke;stroke-width:2.5}"
    ".who{overflow:auto;padding:4px 12px 20px;border-left:1px solid var(--line)}.who summary{padding:7px 0 "
    "3px;font-variant-numeric:"
    "tabular-nums}.who summary small{font-weight:400;color:var(--dim)}"
    "table{border-collapse:collapse;width:100%;font-size:.86rem;font-variant-numeric:tabular-nums}th,td{text-align:right;padding:"
    "2px 0 2px "
    "8px;font-weight:400;border-bottom:1px solid "
    "var(--line)}th:first-child,td:first-child{text-align:left;padding-left:0;overflow-wrap:"
    "anywhere}th{color:var(--dim)}tr.low td{color:var(--dim)}tbody tr:hover,tbody tr.on{background:var(--card)}"
    "@media(max-width:760px){dialog{width:100vw;height:100vh;height:100dvh;border:0;border-radius:0;margin:0}dialog[open]{grid-"
    "template:auto "
    "minmax(0,48%) "
    "minmax(0,1fr)/minmax(0,1fr)}.who{border-left:0}form{position:static}output{margin-left:0;width:100%}main{gap:10px;padding:"
    "12px 10px 40px}header,.errors,nav,footer,form>div{padding-left:10px;padding-right:10px}}"
    "@media print{form,dialog{display:none!important}main a{break-inside:avoid}}";

/* The filter counts a picture's people with a score within the bounds; `people` says how many there must be. */
static const char script[] =
    "'use strict';\n"
    "const $=s=>document.querySelector(s),main=$('main'),form=$('form'),dialog=$('dialog'),svg=$('.view svg'),who=$('.who');\n"
    "const joints=JSON.parse(main.dataset.joints),cards=[...main.children];\n"
    "const people=c=>JSON.parse(c.dataset.people),scores=cards.map(c=>people(c).map(p=>p[0]));\n"
    "const names=cards.map(c=>c.querySelector('span').textContent.toLowerCase());\n"
    "const count={any:(n,all)=>n>0||all,0:n=>n===0,1:n=>n===1,2:n=>n===2,more:n=>n>2};\n"
    "function filter(){\n"
    "  const least=form.least.value===''?-Infinity:+form.least.value,most=form.most.value===''?Infinity:+form.most.value;\n"
    "  const all=least===-Infinity&&most===Infinity,fits=count[form.people.value],name=form.name.value.toLowerCase();\n"
    "  let shown=0;\n"
    "  cards.forEach((c,i)=>{\n"
    "    const n=scores[i].filter(s=>s>=least&&s<=most).length,show=fits(n,all)&&names[i].includes(name);\n"
    "    if(c.hidden===show)c.hidden=!show;\n"
    "    shown+=show;\n"
    "  });\n"
    "  form.shown.value=shown===cards.length?'all '+shown+' shown':shown+' of '+cards.length+' shown';\n"
    "}\n"
    "const make=(tag,text,to)=>{const "
    "e=document.createElement(tag);if(text!==undefined)e.textContent=text;if(to)to.append(e);return e};\n"
    "const shape=(tag,set)=>{const e=document.createElementNS('http://www.w3.org/2000/svg',tag);for(const k in "
    "set)e.setAttribute(k,set[k]);svg.append(e);return e};\n"
    "const part=x=>x.toFixed(2);\n"
    "let open=null;\n"
    "function mark(set,row){\n"
    "  svg.querySelectorAll('rect,circle').forEach(e=>e.remove());\n"
    "  who.querySelectorAll('.on').forEach(e=>e.classList.remove('on'));\n"
    "  if(set)shape(set.r?'circle':'rect',set);\n"
    "  if(row)row.classList.add('on');\n"
    "}\n"
    "function show(card){\n"
    "  open=card;\n"
    "  const [w,h]=card.dataset.size.split(' ').map(Number),list=people(card);\n"
    "  svg.replaceChildren();\n"
    "  svg.setAttribute('viewBox','0 0 '+w+' '+h);\n"
    "  shape('image',{href:card.getAttribute('href'),width:w,height:h});\n"
    "  $('.bar bdi').textContent=card.querySelector('span').textContent;\n"
    "  who.replaceChildren();\n"
    "  make('p',list.length?'':'Nobody was found.',who).className='dim';\n"
    "  list.forEach((p,i)=>{\n"
    "    const d=make('details',undefined,who),s=make('summary',i+1+': score '+part(p[0])+' ',d);\n"
    "    d.open=list.length<4;\n"
    "    make('small','box '+p.slice(1,5).map(Math.round).join(', '),s);\n"
    "    s.onmouseenter=()=>mark({x:p[1],y:p[2],width:p[3],height:p[4]});\n"
    "    s.addEventListener('click',s.onmouseenter);\n"
    "    const t=make('table',undefined,d),head=make('tr',undefined,make('thead',undefined,t)),body=make('tbody',undefined,t);\n"
    "    ['joint','x','y','score'].forEach(x=>make('th',x,head));\n"
    "    joints.forEach((name,k)=>{\n"
    "      const [x,y,score]=p.slice(5+3*k,8+3*k),row=make('tr',undefined,body);\n"
    "      [name,...[x,y].map(v=>v===null?'':v.toFixed(1)),score===null?'':part(score)].forEach(v=>make('td',v,row));\n"
    "      if(score<.3)row.className='low';\n"
    "      row.onmouseenter=row.onclick=()=>mark({cx:x+.5,cy:y+.5,r:Math.max(w,h)/70},row);\n"
    "    });\n"
    "  });\n"
    "  who.scrollTop=0;\n"
    "  if(!dialog.open)dialog.showModal();\n"
    "}\n"
    "function step(by){\n"
    "  const shown=cards.filter(c=>!c.hidden),to=shown[shown.indexOf(open)+by];\n"
    "  if(to)show(to);\n"
    "}\n"
    "form.hidden=false;\n"
    "form.onsubmit=e=>e.preventDefault();\n"
    "form.oninput=filter;\n"
    "main.onclick=e=>{\n"
    "  const card=e.target.closest('a');\n"
    "  if(!card||e.ctrlKey||e.metaKey||e.shiftKey)return;\n"
    "  e.preventDefault();\n"
    "  show(card);\n"
    "};\n"
    "$('#before').onclick=()=>step(-1);\n"
    "$('#after').onclick=()=>step(1);\n"
    "$('#close').onclick=()=>dialog.close();\n"
    "dialog.onclose=()=>{if(open)open.focus()};\n"
    "dialog.onkeydown=e=>{if(e.key==='ArrowLeft')step(-1);if(e.key==='ArrowRight')step(1)};\n"
    "filter();\n"; /* a browser may have kept what was typed */

#define FIRST_SIGHT 24 /* pictures that are loaded at once, before anybody scrolls */

/* ---- the lines ---- */

struct reader {
    const struct gallery *g;
    FILE *f;
    char *path;         /* of the lines */
    char *line;         /* the one that was read */
    size_t room, count; /* lines read */
    struct line parsed;
    char *name;     /* bytes */
    char *joints;   /* JSON text: the names of every person's joints; NULL: nobody seen yet */
    json_t *labels; /* the same */
};

/* 1, 0 at the end, -1 with the reason on stderr. */
static int next_line(struct reader *r)
{
    const ssize_t n = file_line(&r->line, &r->room, r->f);
    if (n <= 0 || r->line[n - 1] != '\n') /* torn: of a run that goes on */
        return n < 0 ? (cli_fail("%s: %s", r->path, error_text(errno)), -1) : 0;
    r->line[n - 1] = 0;
    r->count++;
    if (!line_parse(&r->parsed, r->line, (size_t)n - 1))
        return cli_fail("%s: line %zu is not one that limber run writes", r->path, r->count), -1;
    free(r->name);
    r->name = line_path(&r->parsed);
    return r->name ? 1 : (cli_fail("no memory"), -1);
}

/* All people of a run have the same joints: those of its model. */
static int check_joints(struct reader *r, const json_t *keypoints)
{
    json_t *labels = json_array(), *value;
    const char *key;
    json_object_foreach((json_t *)(uintptr_t)keypoints, key, value) json_array_append_new(labels, json_string(key));
    if (!r->labels) {
        r->labels = labels;
        r->joints = json_dumps(labels, JSON_COMPACT);
        return labels && r->joints ? CLI_DONE : cli_fail("no memory");
    }
    const bool same = json_equal(labels, r->labels);
    json_decref(labels);
    return same ? CLI_DONE : cli_fail("%s: line %zu: other joints than those before", r->path, r->count);
}

/* ---- one picture ---- */

/* Bytes of a path in a link: all but the plainest are written as numbers, whatever they mean. */
static void put_link(FILE *f, const char *path)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/";
    for (; *path; path++)
        if (strchr(plain, *path))
            fputc(*path, f);
        else
            fprintf(f, "%%%02X", (unsigned char)*path);
}

static void put_numbers(struct json_text *t, const json_t *array, int scores_at)
{
    size_t i;
    json_t *value;
    json_array_foreach(array, i, value) put_number(t, json_number_value(value), (int)i == scores_at ? 2 : 1);
}

/* [[score, box, x, y, score of each joint], ...] and the highest score */
static int put_people(struct reader *r, struct json_text *t, const json_t *people, double *best)
{
    size_t i;
    json_t *person, *joint;
    const char *key;
    int status = CLI_DONE;
    put_open(t, '[');
    json_array_foreach(people, i, person)
    {
        const double score = json_number_value(json_object_get(person, "score"));
        json_t *keypoints = json_object_get(person, "keypoints");
        if ((status = check_joints(r, keypoints)))
            return status;
        *best = score > *best ? score : *best;
        put_open(t, '[');
        put_number(t, score, 2);
        put_numbers(t, json_object_get(person, "box"), -1);
        json_object_foreach(keypoints, key, joint) put_numbers(t, joint, 2);
        put_close(t, ']');
    }
    put_close(t, ']');
    return t->failed ? cli_fail("no memory") : status;
}

/* "people" of a line; "boxes" and "scores" as people without joints. To be released; NULL: no memory. */
static json_t *people_of(const json_t *line)
{
    const json_t *boxes = json_object_get(line, "boxes"), *scores = json_object_get(line, "scores");
    if (!boxes)
        return json_incref(json_object_get(line, "people"));
    json_t *people = json_array(), *box;
    size_t i;
    json_array_foreach(boxes, i, box)
    {
        json_t *score = json_array_get(scores, i);
        if (!score || json_array_append_new(people, json_pack("{s:O,s:O,s:{}}", "box", box, "score", score, "keypoints"))) {
            json_decref(people);
            return NULL;
        }
    }
    return people;
}

static int print_card(FILE *f, struct reader *r, struct json_text *t, bool lazy)
{
    json_error_t error;
    const size_t offset = (size_t)(r->parsed.rest - r->line);
    r->line[offset] = '{'; /* ,"width":... becomes {"width":... */
    json_t *about = json_loads(r->line + offset, 0, &error);
    if (!about)
        return cli_fail("%s: line %zu: %s", r->path, r->count, error.text);
    json_t *people = people_of(about);
    const size_t count = json_array_size(people);
    double best = -1;
    put_clear(t);
    int status = people ? put_people(r, t, people, &best) : cli_fail("no memory");
    char *overlay = status ? NULL : run_overlay_find(r->g->dir, r->name, r->g->kind);
    if (!status && !overlay)
        status = cli_fail("no memory");
    if (!status) {
        fputs("<a href=\"overlay/", f);
        put_link(f, overlay);
        fprintf(f, "\" data-size=\"%lld %lld\" data-people=\"%s\"><img%s alt=\"\" src=\"overlay/",
                (long long)json_integer_value(json_object_get(about, "width")),
                (long long)json_integer_value(json_object_get(about, "height")), t->text, lazy ? " loading=lazy" : "");
        put_link(f, overlay);
        fputs("\"><span><bdi>", f);
        page_text(f, r->name);
        fputs("</bdi></span><small>", f);
        if (count == 0)
            fputs("nobody", f);
        else if (count == 1)
            fprintf(f, "1 person, %.2f", best);
        else
            fprintf(f, "%zu people, best %.2f", count, best);
        fputs("</small></a>\n", f);
    }
    free(overlay);
    json_decref(people);
    json_decref(about);
    return status;
}

static void print_error(FILE *f, const struct reader *r)
{
    /* ,"error":"..."} is a line whose name is the error */
    const char *quoted = r->parsed.rest + strlen(",\"error\":");
    const struct line error = {.name = quoted, .name_length = strlen(quoted) - 1};
    char *text = line_path(&error);
    fputs("<li><bdi>", f);
    page_text(f, r->name);
    fputs("</bdi>: ", f);
    page_text(f, text ? text : "no memory");
    fputs("</li>\n", f);
    free(text);
}

/* ---- one page ---- */

static void page_name(char name[32], size_t page)
{
    if (page == 1)
        strcpy(name, GALLERY);
    else
        snprintf(name, 32, "index-%zu.html", page);
}

static void print_link(FILE *f, const char *text, size_t page)
{
    char name[32];
    page_name(name, page);
    fprintf(f, "<a href=\"%s\">%s</a>", name, text);
}

static void print_head(FILE *f, const struct gallery *g, size_t page, size_t pages)
{
    fprintf(f,
            "<!doctype html>\n<html lang=en><head><meta charset=utf-8><meta name=generator content=\"limber %s\">"
            "<meta name=viewport content=\"width=device-width,initial-scale=1\"><title>limber: %zu "
            "picture%s</title>\n<style>%s</style></head>"
            "<body>\n<header><h1>%zu picture%s, %zu %s</h1>\n",
            limber_version(), g->images, page_plural((long long)g->images), style, g->images, page_plural((long long)g->images),
            g->people, g->people == 1 ? "person" : "people");
    fputs("<p class=dim>", f);
    if (g->boxes)
        fputs("Boxes of people, the surest first. Choose a picture to see it larger.", f);
    else
        fputs("A person's <span class=left>left is orange</span>, the <span class=right>right is blue</span>. Choose a picture "
              "for its "
              "joints. Joints with scores below 0.3 are not drawn.",
              f);
    if (!g->complete)
        fputs(" The run stopped before its end.", f);
    fputs("</p>", f);
    if (pages > 1) {
        fprintf(f, "<nav>Page %zu of %zu ", page, pages);
        if (page > 1)
            print_link(f, "first", 1), fputc(' ', f), print_link(f, "before", page - 1);
        if (page < pages)
            fputc(' ', f), print_link(f, "next", page + 1), fputc(' ', f), print_link(f, "last", pages);
        fputs("</nav>", f);
    }
    fputs("</header>\n<form hidden><div><label>People <select name=people><option value=any>any<option value=0>nobody<option "
          "value=1>one"
          "<option value=2>two<option value=more>more</select></label>"
          "<label>with a score from <input name=least type=number step=0.05 min=0></label>"
          "<label>to <input name=most type=number step=0.05 min=0></label>"
          "<label>Name <input name=name type=search></label><output name=shown></output></div></form>\n",
          f);
}

static void print_foot(FILE *f, const char *cards, const char *errors, size_t failed, const char *joints)
{
    if (failed)
        fprintf(f, "<details class=errors open><summary>%zu picture%s could not be used</summary><ul>\n%s</ul></details>\n",
                failed, page_plural((long long)failed), errors);
    fputs("<main data-joints=\"", f);
    page_text(f, joints ? joints : "[]");
    fprintf(f, "\">\n%s</main>\n", cards);
    fputs("<dialog aria-label=\"One picture\"><div class=bar><b><bdi></bdi></b><button id=before aria-label=\"The picture "
          "before\">&larr;</button>"
          "<button id=after aria-label=\"The next picture\">&rarr;</button><button id=close>Close</button></div>"
          "<div class=view><svg></svg></div><div class=who></div></dialog>\n<script>\n",
          f);
    fputs(script, f);
    fputs("</script></body></html>\n", f);
}

/* A page of the lines that come next, to NAME. */
static int write_page(struct reader *r, size_t page, size_t pages)
{
    char *texts[3] = {NULL}, name[32];
    size_t sizes[3], failed = 0, seen = 0;
    FILE *files[3];
    struct json_text t = {0};
    for (int i = 0; i < 3; i++)
        files[i] = open_memstream(&texts[i], &sizes[i]); /* the page, its cards, its errors */
    FILE *const all = files[0], *const cards = files[1], *const errors = files[2];
    int more = 1, status = all && cards && errors ? CLI_DONE : cli_fail("no memory");
    for (; !status && seen < GALLERY_PAGE && (more = next_line(r)) > 0; seen++) {
        if (r->parsed.failed)
            print_error(errors, r), failed++;
        else
            status = print_card(cards, r, &t, seen >= FIRST_SIGHT);
    }
    bool fine = !status && more >= 0;
    if (fine) {
        fine = !fflush(cards) && !fflush(errors);
        print_head(all, r->g, page, pages);
        print_foot(all, texts[1], texts[2], failed, r->joints);
    }
    for (int i = 0; i < 3; i++)
        if (files[i])
            fine = !ferror(files[i]) && !fclose(files[i]) && fine;
    page_name(name, page);
    if (!status && more >= 0)
        status = fine ? output_file(r->g->dir, name, texts[0], sizes[0]) : cli_fail("no memory for %s", name);
    for (int i = 0; i < 3; i++)
        free(texts[i]);
    put_free(&t);
    return more < 0 ? CLI_NOTHING : status;
}

/* ---- all ---- */

/* A page that is not limber's is somebody's. */
static bool is_ours(const char *path)
{
    static const char mark[] = "<meta name=generator content=\"limber ";
    char head[256] = "";
    FILE *f = fopen(path, "re");
    if (f) {
        head[fread(head, 1, sizeof head - 1, f)] = 0;
        fclose(f);
    }
    return strstr(head, mark) != NULL;
}

/* The page, if it is there, becomes NAME~. *there: it was. */
static int keep(const char *dir, size_t page, bool only_others, bool *there)
{
    char name[32], *kept = NULL;
    page_name(name, page);
    char *path = output_path(dir, name);
    int status = path && asprintf(&kept, "%s~", path) >= 0 ? CLI_DONE : cli_fail("no memory");
    *there = !status && !access(path, F_OK);
    const bool ours = *there && is_ours(path);
    if (*there && !(only_others && ours)) {
        if (rename(path, kept))
            status = cli_fail("%s: cannot be kept as %s: %s", path, kept, error_text(errno));
        else if (!ours)
            cli_warn("%s was there: kept as %s", path, kept);
    }
    free(path);
    if (!status)
        free(kept);
    return status;
}

int gallery_retire(const char *dir)
{
    bool there = true;
    int status = CLI_DONE;
    for (size_t page = 1; !status && there; page++)
        status = keep(dir, page, false, &there);
    return status;
}

int gallery_write(const struct gallery *g)
{
    struct reader r = {.g = g, .path = output_path(g->dir, g->boxes ? BOXES : LINES)};
    const size_t pages = g->images > GALLERY_PAGE ? (g->images + GALLERY_PAGE - 1) / GALLERY_PAGE : 1;
    int status = r.path ? CLI_DONE : cli_fail("no memory");
    bool there;
    for (size_t page = 1; !status && page <= pages; page++)
        status = keep(g->dir, page, true, &there);
    if (!status && !(r.f = fopen(r.path, "re")))
        status = cli_fail("%s: %s", r.path, error_text(errno));
    for (size_t page = 1; !status && page <= pages; page++)
        status = write_page(&r, page, pages);
    if (r.f)
        fclose(r.f);
    json_decref(r.labels);
    free(r.joints);
    free(r.path);
    free(r.line);
    free(r.name);
    return status;
}
