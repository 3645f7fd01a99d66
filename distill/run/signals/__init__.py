"""How a run captures what a teacher says of each token, and looks after its cache."""
