"""How a judge is found, asked and held against people."""
