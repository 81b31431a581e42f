"""Write the dashboards to grafana/dashboards."""

from pathlib import Path

from grafana.rendering import dashboard_files

FOLDER = Path(__file__).with_name("dashboards")

if __name__ == "__main__":
    for name, text in dashboard_files().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
