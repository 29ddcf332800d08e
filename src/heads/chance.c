/* SPDX-License-Identifier: MIT */
/* heads/chance.c - numbers of many images: mean, variance, bootstrap, Student's t, Benjamini-Hochberg.
 *
 * Nothing here depends on the order in which threads finish: images come one by one, and all that looks random is a hash of the
 * seed and the image's number. */
#define _DEFAULT_SOURCE /* lgamma_r: lgamma keeps its sign in a global */
#include "heads/chance.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

uint64_t heads_hash(uint64_t seed, uint64_t a, uint64_t b, uint64_t c)
{
    const uint64_t part[] = {seed, a, b, c};
    uint64_t x = 0;
    for (int i = 0; i < 4; i++) { /* Steele, Lea, Flood 2014: the finaliser of splitmix64, chained */
        x += part[i] + 0x9e3779b97f4a7c15u;
        x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
        x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
        x ^= x >> 31;
    }
    return x;
}

int heads_poisson(uint64_t hash)
{
    double u = (double)(hash >> 11) * 0x1p-53, term = exp(-1.0), sum = term;
    int k = 0;
    while (u >= sum && k < 18) { /* P(X > 18) is below 2^-53 */
        term /= ++k;
        sum += term;
    }
    return k;
}

static double log_gamma(double x)
{
    int sign;
    return lgamma_r(x, &sign);
}

/* Continued fraction of the incomplete beta function (DLMF 8.17.22) by Lentz's method; quick for x < (a + 1) / (a + b + 2). */
static double beta_fraction(double a, double b, double x)
{
    double c = 1, d = 1 / (1 - (a + b) * x / (a + 1)), f = d;
    for (int m = 1; m < 1000; m++) {
        double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        d = 1 / (1 + even * d);
        c = 1 + even / c;
        f *= c * d;
        double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        d = 1 / (1 + odd * d);
        c = 1 + odd / c;
        f *= c * d;
        if (fabs(c * d - 1) < 1e-15)
            break;
    }
    return f;
}

double heads_student_p(double t, double degrees)
{
    double a = degrees / 2, b = 0.5, x = degrees / (degrees + t * t), tail;
    if (!(x > 0)) /* t is huge: the square overflowed */
        tail = 0;
    else if (!(x < 1))
        tail = 0.5;
    else {
        double front = exp(log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * log(x) + b * log1p(-x));
        double beta = x < (a + 1) / (a + b + 2) ? front * beta_fraction(a, b, x) / a : 1 - front * beta_fraction(b, a, 1 - x) / b;
        tail = 0.5 * beta;
    }
    return t >= 0 ? tail : 1 - tail;
}

double heads_student_t(double p, double degrees)
{
    double low = 0, high = 1;
    while (heads_student_p(high, degrees) > p && high < 1e9)
        high *= 2;
    for (int i = 0; i < 200 && high - low > 1e-12 * high; i++) {
        const double middle = (low + high) / 2;
        if (heads_student_p(middle, degrees) > p)
            low = middle;
        else
            high = middle;
    }
    return high;
}

/* 1 - P(a, x) of the incomplete gamma function: its series (DLMF 8.11.4), or beyond a + 1 its continued fraction (8.9.2). */
double heads_chi_square_p(double x, double degrees)
{
    const double a = degrees / 2, y = x / 2;
    if (!(y > 0))
        return 1;
    const double front = exp(a * log(y) - y - log_gamma(a));
    if (y < a + 1) {
        double term = 1 / a, sum = term;
        for (int n = 1; n < 10000 && term > sum * 1e-16; n++)
            sum += term *= y / (a + n);
        return fmax(0, 1 - front * sum);
    }
    double b = y + 1 - a, c = 1e300, d = 1 / b, f = d;
    for (int n = 1; n < 10000; n++) {
        const double an = n * (a - n);
        b += 2;
        d = 1 / (an * d + b);
        c = b + an / c;
        f *= c * d;
        if (fabs(c * d - 1) < 1e-15)
            break;
    }
    return front * f;
}

void heads_adjust(double *q, const double *p, int *order, int n)
{
    for (int i = 0; i < n; i++) { /* insertion keeps equal values in their order; n is heads times classes, or pairs of them */
        int low = 0, high = i;
        while (low < high) {
            const int middle = (low + high) / 2;
            if (p[order[middle]] > p[i])
                high = middle;
            else
                low = middle + 1;
        }
        memmove(order + low + 1, order + low, (size_t)(i - low) * sizeof *order);
        order[low] = i;
    }
    double least = 1;
    for (int i = n - 1; i >= 0; i--) {
        double here = p[order[i]] * n / (i + 1);
        least = here < least ? here : least;
        q[order[i]] = least;
    }
}

/* ---- a stream of images: mean, variance, bootstrap ---- */

bool heads_stream_open(struct heads_stream *s, size_t heads, size_t width, int replicates)
{
    *s = (struct heads_stream){.heads = heads, .width = width, .replicates = replicates};
    s->count = calloc(width, sizeof *s->count);
    s->mean = calloc(heads * width, sizeof *s->mean);
    s->m2 = calloc(heads * width, sizeof *s->m2);
    if (replicates > 0) {
        s->boot = calloc((size_t)replicates * heads * width, sizeof *s->boot);
        s->boot_weight = calloc((size_t)replicates * width, sizeof *s->boot_weight);
    }
    return s->count && s->mean && s->m2 && (replicates == 0 || (s->boot && s->boot_weight));
}

void heads_stream_close(struct heads_stream *s)
{
    free(s->count);
    free(s->mean);
    free(s->m2);
    free(s->boot);
    free(s->boot_weight);
}

void heads_stream_add(struct heads_stream *s, const double *values, const bool *present, uint64_t seed, uint64_t image)
{
    for (size_t w = 0; w < s->width; w++)
        s->count[w] += present[w];
    for (size_t h = 0; h < s->heads; h++)
        for (size_t w = 0; w < s->width; w++) {
            if (!present[w])
                continue;
            size_t at = h * s->width + w;
            double delta = values[at] - s->mean[at];
            s->mean[at] += delta / (double)s->count[w];
            s->m2[at] += delta * (values[at] - s->mean[at]);
        }
    for (int b = 0; b < s->replicates; b++) {
        int weight = heads_poisson(heads_hash(seed, 0xb007, (uint64_t)b, image));
        if (weight == 0)
            continue;
        double *boot = s->boot + (size_t)b * s->heads * s->width, *sum = s->boot_weight + (size_t)b * s->width;
        for (size_t w = 0; w < s->width; w++)
            sum[w] += present[w] ? weight : 0;
        for (size_t at = 0; at < s->heads * s->width; at++)
            boot[at] += weight * values[at];
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double heads_quantile(const double *sorted, int n, double at)
{
    double place = at * (n - 1);
    int i = (int)place;
    return i + 1 < n ? sorted[i] + (place - i) * (sorted[i + 1] - sorted[i]) : sorted[n - 1];
}

limber_heads_estimate heads_stream_estimate(const struct heads_stream *s, size_t head, size_t w, bool z, double *scratch)
{
    size_t at = head * s->width + w;
    limber_heads_estimate e = {.mean = s->mean[at], .images = (int)s->count[w]};
    e.low = e.high = e.mean;
    int n = 0;
    for (int b = 0; s->count[w] > 1 && b < s->replicates; b++) {
        double weight = s->boot_weight[(size_t)b * s->width + w];
        if (weight > 0) /* a replicate that drew none of the few images says nothing */
            scratch[n++] = s->boot[(size_t)b * s->heads * s->width + at] / weight;
    }
    if (n > 1) {
        qsort(scratch, (size_t)n, sizeof *scratch, by_value);
        e.low = heads_quantile(scratch, n, 0.025);
        e.high = heads_quantile(scratch, n, 0.975);
        e.interval = 1;
    }
    if (z) {
        e.mean = tanh(e.mean);
        e.low = tanh(e.low);
        e.high = tanh(e.high);
    }
    return e;
}

double heads_stream_p(const struct heads_stream *s, size_t head, size_t w)
{
    size_t at = head * s->width + w;
    double n = (double)s->count[w], error = sqrt(s->m2[at] / (n - 1) / n);
    if (!(error > 0))
        return s->mean[at] > 0 ? 0 : 1;
    return heads_student_p(s->mean[at] / error, n - 1);
}
