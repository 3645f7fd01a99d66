"""How a run ends: the student to ship, and datasets and students put on a hub."""
