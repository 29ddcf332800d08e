#!/bin/sh
# SPDX-License-Identifier: MIT
# slurm_array.sh - a folder of photographs on N machines, or N times on one, as an array of Slurm:
#
#     sbatch --array=1-N examples/slurm_array.sh N PHOTOS OUT
#     limber merge OUT/part/*/ --out OUT/all                      when all are done
#
# Task I takes every Nth photograph, beginning with the Ith, and owns OUT/part/I. A task that was preempted, or whose machine failed, is put
# back by Slurm, and goes on where it was; one that was killed, by `scontrol requeue JOB_I`. PHOTOS and OUT are seen by all machines.
#SBATCH --job-name=limber
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --cpus-per-task=1
set -eu
shards=$1 photos=$2 out=$3
mkdir -p "$out/part"
status=0
"${LIMBER:-limber}" run "$photos" --quiet --threads "${SLURM_CPUS_PER_TASK:-1}" --shard "$SLURM_ARRAY_TASK_ID/$shards" \
    --resume --out "$out/part/$SLURM_ARRAY_TASK_ID" || status=$?
[ "$status" -ne 1 ] || status=0 # some photographs cannot be read: their lines say so, and another try would not help
exit "$status"
