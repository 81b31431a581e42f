"""Write the generated pages to docs."""

from pathlib import Path

from docs.generator.pages import pages

FOLDER = Path(__file__).parents[1]

if __name__ == "__main__":
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
