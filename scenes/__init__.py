"""Random furnished rooms with exact depth, drawn by a small ray tracer."""
