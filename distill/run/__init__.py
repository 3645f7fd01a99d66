"""Walks a recipe's stages; the only place that builds teachers and hands them to stages."""
