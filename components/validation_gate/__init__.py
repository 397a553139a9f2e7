"""ValidationGate: stops the run where the data are not what the schema says."""
