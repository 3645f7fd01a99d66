"""Proposes candidates and has teachers fill their fields, in rounds that timing cannot change."""
