"""Charts of the report: a chart is said as data, laid out in Python, drawn as SVG by a template."""
