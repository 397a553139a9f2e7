"""SettingsSearch: tries settings of the float model and hands on the best ones."""
