"""`python -m pmpctl`."""

from pmpctl.cli import main

if __name__ == "__main__":
    main()
