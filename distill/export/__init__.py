"""Floor 3: how the student leaves a run."""
