"""Judges: rubrics, verdicts and how far to trust them."""
