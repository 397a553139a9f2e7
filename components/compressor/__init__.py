"""Compressor: applies one compression technique to a checkpoint."""
