"""What an exploration of designs has found: the page with the matrix, and the explorer to walk about in."""
