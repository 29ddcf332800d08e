/* SPDX-License-Identifier: MIT */
/* command/eval/eval_heads.h - what a model loses without one attention head, for `limber eval --each-head`. */
#ifndef LIMBER_CLI_EVAL_HEADS_H
#define LIMBER_CLI_EVAL_HEADS_H

#include "command/options.h"
#include "command/eval/eval_set.h"
#include "base/json_write.h"
#include "limber_heads.h"

#define LOSS_CLASSES (LIMBER_HEADS_LIMBS + 1) /* the limbs, then all joints */
const char *loss_class_name(int class);

struct head_loss {
    int layer, head;
    double ap;                                /* without it */
    limber_heads_estimate loss[LOSS_CLASSES]; /* of OKS, over images */
    double q[LOSS_CLASSES];                   /* that the loss is above 0 */
};
struct head_losses {
    struct head_loss *v;
    int count;
};

/* Measures the set once for every head that `model` still has. `whole`: with all of them. CLI_DONE, CLI_NOTHING with the reason on
 * stderr, or CLI_INTERRUPTED. */
int head_losses_measure(struct head_losses *out, const struct cli_common *common, const struct eval_set *set,
                        const limber_model *model, const struct eval_result *whole);
void head_losses_free(struct head_losses *l);
/* A table on stdout; `ap` is the whole model's. */
void head_losses_print(const struct head_losses *l, double ap);
/* The same, as an array. */
void head_losses_put(struct json_text *t, const struct head_losses *l);

#endif
