"""Export targets: from a checkpoint to the file that ships, and the runtime that scores it."""
