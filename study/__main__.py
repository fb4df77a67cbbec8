"""`python -m study`, the same as `study`."""

from study.cli import main

main()
