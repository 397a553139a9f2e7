"""The search for the most accurate file within a budget (Optuna does the searching)."""
