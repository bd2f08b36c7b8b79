"""Panels: look and drag where typing would be slower. One file each; `Panel` says what they share."""
