"""People in the loop: packs of rows, an append-only log of what reviewers said, pure merges."""
