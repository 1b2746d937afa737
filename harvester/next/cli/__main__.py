"""``python -m harvester.next.cli``, until the program itself is this one."""

from harvester.next.cli import main

main()
