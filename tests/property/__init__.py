"""Real httpcore pools on a network in memory, where each step waits for the test's word."""
