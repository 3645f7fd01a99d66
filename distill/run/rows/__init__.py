"""How rows are made in a run: generate, filter, split, and what a run knows of its dataset."""
