"""Data work on a Ray cluster: the only place that imports ray, when it is first needed."""
