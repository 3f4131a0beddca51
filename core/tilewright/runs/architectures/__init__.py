"""Networks by family."""
