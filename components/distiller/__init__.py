"""Distiller: an ensemble of DeepFMs teaches one student."""
