"""FileValidator: checks an exported file in the runtime that ships it."""
