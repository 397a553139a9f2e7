"""How figures are shown: titles and formats, terminal tables, HTML pages, TensorBoard."""
