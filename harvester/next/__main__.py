"""`python -m harvester`."""

from harvester.next.cli import main

main()
