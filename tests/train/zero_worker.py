"""One process of the launched trainings in test_processes.py: PLAN.json TEACHER_FOLDER|none."""

import sys
from pathlib import Path

from distill.progress import silent
from distill.train.plan import TrainPlan
from distill.train.stage import train
from teachers.local_model import LocalModel

if __name__ == "__main__":
    plan, teacher = TrainPlan.read(Path(sys.argv[1])), sys.argv[2]
    train(plan, None if teacher == "none" else lambda: LocalModel.load(teacher), silent)
