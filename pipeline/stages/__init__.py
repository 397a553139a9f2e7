"""How the components of each part of the pipeline are wired."""
