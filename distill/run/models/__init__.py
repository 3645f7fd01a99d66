"""Models that a run answers with: teachers on this machine, students, hosted ones."""
