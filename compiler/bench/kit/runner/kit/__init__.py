"""The kit for a day with a GPU: checks emitted packages on the machine's device, times them, and writes one JSON."""
