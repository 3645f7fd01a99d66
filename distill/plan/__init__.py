"""Before anything is spent: which method, what it costs, whether it can run."""
