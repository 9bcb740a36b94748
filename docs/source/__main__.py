"""Write what is made from the code: `python -m docs.source`. The tests compare it with what is committed."""

from pathlib import Path

from . import made

if __name__ == "__main__":
    for name, text in made().items():
        (Path(__file__).parents[1] / name).write_text(text)
