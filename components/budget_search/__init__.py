"""BudgetSearch: tries recipes and hands on the best one within a budget."""
