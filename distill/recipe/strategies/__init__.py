"""Strategies as fields, one file each.

Adding one: its options class, its file, a line in `distill.recipe.expand.STRATEGIES`, its test.
"""
