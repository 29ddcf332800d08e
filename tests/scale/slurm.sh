#!/bin/sh
# SPDX-License-Identifier: MIT
# slurm.sh - examples/slurm_array.sh on a cluster of one machine, which it starts and ends: an array of four, one task killed in the middle and
# requeued; `limber merge` makes the bytes of a single run. Debian's slurm-wlm and munge are installed; wants root (munge, slurmd), minutes.
# LIMBER is the command [build/dev/limber].
set -eu
cd -- "$(dirname -- "$0")/../.."
. scripts/packages.sh
need slurm-wlm munge
source=$PWD
LIMBER=$(realpath "${LIMBER:-build/dev/limber}")
export LIMBER
work=$(mktemp -d)
chmod 755 "$work" # munge's socket lies below
pids=
job=
finish() {
    if [ -n "$job" ] && scancel "$job" 2>/dev/null; then # its steps would outlive the cluster
        until_true 20 gone || true
    fi
    for pid in $pids; do kill "$pid" 2>/dev/null || true; done
    for pid in $pids; do wait "$pid" 2>/dev/null || true; done
    for pid in $(pgrep slurmstepd); do # what is still there of this cluster
        ! grep -qsF "$work/slurm.conf" "/proc/$pid/environ" || kill -KILL "$pid"
    done
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM
fail() {
    echo "FAILED: $*"
    tail -n 5 "$work"/*.log "$work"/slurm-*.out 2>/dev/null || true
    exit 1
}
# until_true SECONDS COMMAND...
until_true() {
    tries=$(($1 * 20))
    shift
    until "$@"; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
        sleep 0.05
    done
}

gone() { ! squeue -h -j "$job" 2>/dev/null | grep -q .; }

# ---- the cluster ----
host=$(hostname -s)
mkdir "$work/munge" "$work/state" "$work/spool"
head -c 1024 /dev/urandom >"$work/munge/key"
chmod 700 "$work/munge/key"
cat >"$work/slurm.conf" <<END
ClusterName=one
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=26817
SlurmdPort=26818
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$work/munge/socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
MpiDefault=none
ReturnToService=2
KillWait=5
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc --all) State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP
END
export SLURM_CONF="$work/slurm.conf"
munged --foreground --force --socket="$work/munge/socket" --key-file="$work/munge/key" --pid-file="$work/munge/pid" \
    --seed-file="$work/munge/seed" --log-file="$work/munge.log" 2>"$work/munged.log" &
pids="$pids $!"
until_true 60 [ -S "$work/munge/socket" ] || fail "munged does not start"
slurmctld -D 2>"$work/slurmctld.log" &
pids="$pids $!"
slurmd -D -N "$host" 2>"$work/slurmd.log" &
pids="$pids $!"
idle() { sinfo -h -o %T 2>/dev/null | grep -qx idle; }
until_true 120 idle || fail "the machine does not join: $(sinfo -h -o '%T %E' 2>&1)"
echo "one machine, $(nproc --all) processors: $(sinfo --version)"

# ---- photographs: 240 names for six drawings, and one that cannot be read ----
cd "$work"
mkdir photos
for i in $(seq 40); do
    for sample in "$source"/data/samples/*.jpg "$source"/data/samples/*.png; do
        ln -s "$sample" "photos/$i-$(basename "$sample")"
    done
done
head -c 100 "$source/data/samples/three.jpg" >photos/broken.jpg
"$LIMBER" run "$work/photos" --quiet --threads 1 --out single 2>/dev/null || [ $? = 1 ] || fail "the single run"

# ---- the array, its third task killed in the middle ----
job=$(sbatch --parsable --array=1-4 "$source/examples/slurm_array.sh" 4 "$work/photos" "$work/out")
begun() { [ "$(wc -l 2>/dev/null <"out/part/3/poses.jsonl" || echo 0)" -ge 3 ]; } 2>/dev/null
until_true 300 begun || fail "task 3 does not begin"
kill -KILL "$(pgrep -f -- "limber run .*--out $work/out/part/3\$")" || fail "task 3 has no process" # as a machine without memory does
ended() { ! squeue -h -t R,CG -j "${job}_3" 2>/dev/null | grep -q .; }
until_true 120 ended || fail "task 3 lives on"
killed_at=$(wc -l <out/part/3/poses.jsonl)
state=$(scontrol show job "${job}_3" | grep -o 'JobState=[A-Z]*')
echo "task 3: $state after $killed_at of 60 lines"
[ "$state" = JobState=FAILED ] && [ "$killed_at" -lt 60 ] || fail "it was to die in the middle"
"$LIMBER" merge --quiet out/part/*/ --out early 2>refused && fail "merged without a whole part 3"
scontrol requeue "${job}_3"
done_all() { [ "$(scontrol show job "$job" 2>/dev/null | grep -c 'JobState=COMPLETED')" -eq 4 ]; }
until_true 600 done_all || fail "not all ended well: $(scontrol show job "$job" | grep -o 'JobState=[A-Z]*' | tr '\n' ' ')"
[ "$(scontrol show job "${job}_3" | grep -o 'Restarts=[0-9]*')" = Restarts=1 ] || fail "task 3 was not restarted"

"$LIMBER" merge --quiet out/part/*/ --out all
cmp all/poses.jsonl single/poses.jsonl || fail "the parts are not the whole"
[ "$(wc -l <all/poses.jsonl)" -eq 241 ] || fail "$(wc -l <all/poses.jsonl) lines"
echo "passed: 241 lines of 4 tasks, one killed and requeued, are the bytes of a single run"
