"""What a network is: operators with physical features in a checked, topologically ordered graph."""
