"""What a device is like: its capability vector, its behaviour signature, and the probes that reveal it."""
