"""Load that nobody would wish on a pool, and what must hold after it."""
