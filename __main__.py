"""``python -m mdeas`` is the console script."""

from mdeas.cli import main

if __name__ == "__main__":
    main()
