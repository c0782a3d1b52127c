"""`python -m secateurs`."""

from secateurs.cli import main

main()
