"""SchemaFromConfig: the schema that the configuration promises."""
