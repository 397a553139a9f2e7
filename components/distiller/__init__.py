"""Distiller: an ensemble of models teaches one student."""
