"""What stands at a crosspoint and learns: one file an algorithm."""
