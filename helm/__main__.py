"""Write the chart's schema, the table of its values, and the defaults of the rules' settings."""

from helm.chart import CHART, generated

if __name__ == "__main__":
    for name, text in generated().items():
        (CHART / name).write_text(text, encoding="utf-8")
