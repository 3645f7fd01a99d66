"""Floor 2: what a run found, as data, as text and as one page that works offline."""
