"""Spondyl reads spinal MR and CT and says what is in them, with a probability on every statement."""

__version__ = "0.1.0"
