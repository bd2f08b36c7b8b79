"""Operators x hardware -> latency: HODM, its closed-form adaptation, and the floors it has to beat."""
