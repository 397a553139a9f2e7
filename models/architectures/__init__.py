"""Model families, their parts, and the checkpoint that one stage hands to the next."""
