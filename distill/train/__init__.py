"""Training of the student: the plan, the untrained student, and the trainer."""
