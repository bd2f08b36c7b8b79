"""Seeing: figures, the attention map and the report that a person reads."""
