"""How a run measures: who is asked about held-out rows, with what, and what follows from it."""
