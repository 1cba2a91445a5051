"""`python -m winnow.cli`: the command line without an installed script."""

from winnow.cli.main import main

main()
