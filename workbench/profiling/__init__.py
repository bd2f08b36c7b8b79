"""Measuring: one timing, a whole campaign, and whether either can be trusted."""
