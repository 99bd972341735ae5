#!/bin/bash
# @COMMAND@
# as @SHARDS@ tasks of a job array: `bash FILE` submits @STEPS@.
# Edit these lines for your site (account, partition, modules, limits):
#SBATCH --job-name=wcat-explore
#SBATCH --time=4:00:00
#SBATCH --cpus-per-task=@PROCESSORS@
#SBATCH --mem=8G
#SBATCH --requeue --open-mode=append --signal=B:TERM@120
#SBATCH --output=slurm-%x-%A_%a.txt
rounds=${ROUNDS:-8}  # of an adaptive sweep: merges that may ask for more trials

# Runs a command. Interrupted (exit code 75), it goes on in a requeued task.
run() {
  "$@" & child=$!
  trap 'kill -TERM $child 2>/dev/null' TERM
  wait $child; code=$?
  while [ $code -gt 128 ] && kill -0 $child 2>/dev/null; do wait $child; code=$?; done
  [ $code -le 128 ] || { wait $child; code=$?; }
  [ $code != 75 ] || scontrol requeue "${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}"
  return $code
}
# Submits the shards, and the merge after them, however they end.
submit() {
  shards=$(sbatch --parsable --array=0-@LAST@ "$@" "$0" shard) || exit
  merge=$(ROUNDS=$rounds sbatch --parsable --dependency=afterany:$shards "$0" merge) || exit
  echo "shards: job $shards; merge: job $merge"
}
case ${1:-submit} in
  submit)
@SUBMIT@
@PREPARE@  shard) run @COMMAND@ --shard auto/@SHARDS@ --threads "$SLURM_CPUS_PER_TASK" ;;
  merge) run @COMMAND@ --merge --threads "$SLURM_CPUS_PER_TASK"; code=$?
@ROUND@         exit $code ;;
  *) echo "usage: bash $0 [submit|shard|merge]" >&2; exit 2 ;;
esac
