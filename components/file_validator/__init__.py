"""LiteValidator: checks a TFLite file in the runtime that ships it."""
