#!/usr/bin/env bash
# Train a recipe on several machines of a Slurm cluster: sbatch docs/slurm.sh paper-l -o /shared/runs/paper-l
#
# A process that dies is started again with all others, from the last checkpoint; so is the whole job when a machine is
# lost or its time is over: submit the script several times, each waits for the one before (--dependency=singleton).
# The run's folder and the shards have to lie on a file system that all machines see.
#SBATCH --job-name=unsilent
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --dependency=singleton
#SBATCH --output=%x-%j.log
set -euo pipefail

if [ "$#" -lt 1 ]; then
  echo "usage: sbatch $0 RECIPE [option of unsilent train ...]" >&2
  exit 2
fi

head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
gpus=${SLURM_GPUS_ON_NODE:-8}
export OMP_NUM_THREADS=$((${SLURM_CPUS_PER_TASK:-$gpus} / gpus))
# A store of its own for every attempt: in a shared one, processes may find the addresses of those that died.
export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1

# --kill-on-bad-exit: a machine whose processes have failed for good must not leave the others waiting.
srun --kill-on-bad-exit=1 torchrun \
  --nnodes="$SLURM_JOB_NUM_NODES" \
  --nproc-per-node="$gpus" \
  --max-restarts="${MAX_RESTARTS:-3}" \
  --rdzv-id="$SLURM_JOB_ID" \
  --rdzv-backend=c10d \
  --rdzv-endpoint="$head:${PORT:-29400}" \
  -m unsilent train "$@"
