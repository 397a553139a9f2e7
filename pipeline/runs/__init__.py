"""What runs left on this machine: folders, store, logs, lineage, reports, retention."""
