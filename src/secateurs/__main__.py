"""`python -m secateurs`."""

from secateurs.cli import main

if __name__ == "__main__":  # workers of a comparison import this module, and are no command
    main()
