/* SPDX-License-Identifier: MIT */
/* command/commands.h - the commands. Each gets argv from its own name on and returns its exit status. A new one is a file, a line
 * here and a row of the table in command/main.c. */
#ifndef LIMBER_CLI_COMMANDS_H
#define LIMBER_CLI_COMMANDS_H

int cli_run(int argc, char **argv);    /* command/run/run.c */
int cli_detect(int argc, char **argv); /* command/run/detect.c */
int cli_heads(int argc, char **argv);  /* command/report/heads_command.c */
int cli_patch(int argc, char **argv);  /* command/report/patch_command.c */
int cli_drift(int argc, char **argv);  /* command/report/drift_command.c */
int cli_prune(int argc, char **argv);  /* command/prune/prune.c */
int cli_eval(int argc, char **argv);   /* command/eval/eval.c */
int cli_export(int argc, char **argv); /* command/export/export.c */
int cli_merge(int argc, char **argv);  /* command/merge.c */
int cli_bench(int argc, char **argv);  /* command/bench/bench.c */
int cli_info(int argc, char **argv);   /* command/info.c */

#endif
