"""How a run trains: every arm and seed, on one process or launched on several, or hosted."""
