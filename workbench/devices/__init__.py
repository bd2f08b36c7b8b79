"""What networks run on: device cards, detection of this machine, micro-benchmarks, execution backends."""
