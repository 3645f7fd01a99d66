"""A deterministic stand-in: in process here, over HTTP by `python -m teachers.scripted`.

It follows written rules and says so; everything it decides, it decides by the hash of the ask.
"""

from teachers.scripted.adapter import ScriptedAdapter

__all__ = ["ScriptedAdapter"]
