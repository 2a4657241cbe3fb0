"""What every provider keeps, whatever its service: the same questions to each through a small harness of its own."""
