"""Debugs any dataset: what is in it, what is wrong with it, and what to fix first. No torch."""
