#!/bin/bash
#SBATCH --job-name=steergan --output=%x-%j.log --open-mode=append
#SBATCH --nodes=1 --ntasks-per-node=8 --gpus-per-node=8 --cpus-per-task=4
#SBATCH --time=24:00:00 --signal=TERM@180 --requeue
# One task a GPU, on any number of nodes; srun is the launcher, there is no torchrun. What follows the script's name are
# train.py's options:   sbatch tools/slurm.sh --outdir=runs --data=data/photos256.zip --cfg=paper256 --workers=3
# The same job again goes on with the run: --signal gives three minutes to write a checkpoint, --requeue sends it again.
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:-.}"
exec srun --kill-on-bad-exit=1 "${PYTHON:-.venv/bin/python}" train.py "$@"
