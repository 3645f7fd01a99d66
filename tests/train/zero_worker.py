"""One process of the launched trainings of these tests: PLAN.json TEACHER_FOLDER|none [STEP].

With a step it ends there, as if it had been killed.
"""

import sys
from pathlib import Path

from distill.train.plan import TrainPlan
from distill.train.stage import train
from teachers.local_model import LocalModel

if __name__ == "__main__":
    plan, teacher = TrainPlan.read(Path(sys.argv[1])), sys.argv[2]
    stop = int(sys.argv[3]) if len(sys.argv) > 3 else None

    def listen(progress):
        """Ends the process where it was to end."""
        if progress.done == stop:
            sys.exit(9)

    train(plan, None if teacher == "none" else lambda: LocalModel.load(teacher), listen)
