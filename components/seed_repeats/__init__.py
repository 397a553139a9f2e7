"""SeedRepeats: trains and compresses with other seeds, to tell what is theirs."""
