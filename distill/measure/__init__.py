"""Figures about texts and results: duplicates, shared n-grams, intervals. No torch here."""
