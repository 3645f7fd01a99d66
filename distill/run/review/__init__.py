"""How people's review belongs to a run: the step, the commands' work, where a version lies."""
