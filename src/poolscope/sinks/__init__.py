"""Where telemetry goes. Each sink stands alone: importing one imports no other, and no SDK."""
